internal import Definitions
internal import Foundation
internal import GatewayCore
internal import Telemetry

/// What was learned of reading the devices of a site, kept in the log's folder so that a restart need not learn it again.
///
/// It can always be learned anew: a file that is missing, damaged, too large or of another version is as good as none.
struct PlanStore: Sendable {
    /// What is kept of one device.
    struct Entry: Sendable, Equatable, Codable {
        var learned: LearnedReads
        var groups: [AchievedTimes]
    }

    /// How long the polls of a group took when last seen.
    struct AchievedTimes: Sendable, Equatable, Codable {
        var group: String
        var requests: Int
        var predictedSeconds: Double
        var meanSeconds: Double
        var p95Seconds: Double
        var polls: Int

        init(_ times: PollTimes) {
            group = times.group
            requests = times.requests
            predictedSeconds = times.predictedSeconds
            meanSeconds = times.meanSeconds
            p95Seconds = times.p95Seconds
            polls = times.polls
        }
    }

    private struct Document: Codable {
        var version: Int
        var devices: [String: Entry]
    }

    static let fileName = "read-plans.json"
    static let version = 1
    /// The largest file that is read or written.
    static let bytesMax = 16 << 20

    private let file: URL

    init(folder: String) { file = URL(fileURLWithPath: folder, isDirectory: true).appendingPathComponent(PlanStore.fileName) }

    /// The name that a device's knowledge is kept under: another definition, address or unit is another device.
    static func key(of device: Device) -> String {
        let endpoint = SiteBuilder.endpoint(of: device.connection)
        return
            "\(device.name) \(device.definition.name)@\(device.definition.version) \(endpoint) \(SiteBuilder.unit(of: device.connection))"
    }

    /// Every device that something is known of.
    func load() -> [String: Entry] {
        guard let handle = try? FileHandle(forReadingFrom: file) else { return [:] }
        defer { try? handle.close() }
        guard let data = try? handle.read(upToCount: PlanStore.bytesMax + 1), data.count <= PlanStore.bytesMax,
            let document = try? JSONDecoder().decode(Document.self, from: data), document.version == PlanStore.version
        else { return [:] }
        return document.devices.filter(\.value.learned.isPossible)
    }

    /// Replaces the file in one step. Throws a `GatewayError` when it cannot be written.
    func save(_ devices: [String: Entry]) throws(GatewayError) {
        do {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys]
            let data = try encoder.encode(Document(version: PlanStore.version, devices: devices))
            guard data.count <= PlanStore.bytesMax else {
                throw GatewayError(
                    .limitExceeded, resource: "file \(file.path)", operation: "write",
                    "what was learned takes \(data.count) bytes, but at most \(PlanStore.bytesMax) are kept")
            }
            try data.write(to: file, options: .atomic)
        } catch let error as GatewayError {
            throw error
        } catch {
            throw GatewayError(
                .storageFailed, resource: "file \(file.path)", operation: "write", "what was learned of the devices cannot be kept",
                cause: error)
        }
    }
}
