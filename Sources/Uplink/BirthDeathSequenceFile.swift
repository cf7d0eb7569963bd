internal import GatewayCore
internal import Telemetry

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// Keeps `bdSeq` of an edge node over restarts: hosts match an NDEATH to its NBIRTH by it, and a death of an earlier run that comes late
/// must not match a birth of this one.
///
/// One decimal number in a file per route and cluster. A file that is missing or damaged counts as none: the node begins with 0.
struct BirthDeathSequenceFile: Sendable {
    let path: String

    /// - Parameter folder: is made when the first number is kept.
    init(folder: String, route: String, cluster: String) { path = "\(folder)/\(Self.safe(route)).\(Self.safe(cluster)).bdseq" }

    /// Names come from the site document, where they are letters, digits, `-`, `_` and `.`; anything else must not leave the folder.
    private static func safe(_ name: String) -> String { String(name.map { $0 == "/" || $0 == "\0" ? "_" : $0 }) }

    /// The number of the last CONNECT; `nil` if there was none.
    func load() -> UInt8? {
        guard let file = fopen(path, "r") else { return nil }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 8)
        let count = fread(&bytes, 1, bytes.count, file)
        return UInt8(String(decoding: bytes[..<count].prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self))
    }

    /// Replaces the file in one step, on the disk before it returns. Throws a `GatewayError` when that cannot be.
    func save(_ number: UInt8) throws(GatewayError) {
        let folder = String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
        _ = mkdir(folder, 0o755)
        let unfinished = path + ".new"
        guard let file = fopen(unfinished, "w") else { throw failure("open") }
        var isWritten = fputs("\(number)\n", file) >= 0
        isWritten = fflush(file) == 0 && fdatasync(fileno(file)) == 0 && isWritten
        isWritten = fclose(file) == 0 && isWritten
        guard isWritten, rename(unfinished, path) == 0 else { throw failure("write") }
    }

    private func failure(_ operation: String) -> GatewayError {
        GatewayError(
            .storageFailed, resource: path, operation: operation,
            "the birth/death sequence cannot be kept: \(String(cString: strerror(errno)))")
    }
}
