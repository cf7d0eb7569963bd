internal import Telemetry

/// Keeps `bdSeq` of an edge node over restarts: hosts match an NDEATH to its NBIRTH by it, and a death of an earlier run that comes late
/// must not match a birth of this one.
///
/// One decimal number in a file per route and cluster. A file that is missing or damaged counts as none: the node begins with 0.
struct BirthDeathSequenceFile: Sendable {
    private let file: StateFile
    var path: String { file.path }

    /// - Parameter folder: is made when the first number is kept.
    init(folder: String, route: String, cluster: String) { file = StateFile(folder: folder, name: "\(route).\(cluster).bdseq") }

    /// The number of the last CONNECT; `nil` if there was none.
    func load() -> UInt8? { file.load().flatMap { UInt8($0) } }

    /// Replaces the file in one step, on the disk before it returns. Throws a `GatewayError` when that cannot be.
    func save(_ number: UInt8) throws(GatewayError) { try file.save("\(number)") }
}
