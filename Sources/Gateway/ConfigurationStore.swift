internal import Definitions
internal import Foundation
internal import GatewayCore
internal import Telemetry

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// What is kept of the configuration beside the log, in `<log.path>/configuration`: the last known good documents, and what became of the newest.
struct ConfigurationStore: Sendable {
    let folder: String
    private var bundleFile: String { folder + "/last-known-good.json" }
    private var statusFile: String { folder + "/status.json" }
    /// The most bytes of a file that is read: the texts of all files of one load, escaped.
    static let fileBytesMax = 64 << 20

    init(logPath: String) { folder = logPath + "/configuration" }

    /// The file of the last known good documents.
    private struct Kept: Codable {
        static let format = 1
        var format = Kept.format
        var saved: String
        /// Of the bundle, so that damage is noticed.
        var digest: String
        var bundle: ConfigurationBundle
    }

    /// Writes the last known good documents in the place of others, whole or not at all.
    func save(_ bundle: ConfigurationBundle, at time: Timestamp) throws(GatewayError) {
        try write(Kept(saved: time.description, digest: bundle.digest, bundle: bundle), to: bundleFile)
    }

    /// The last known good documents, and when they were kept; `nil` where there are none, or the file is damaged.
    func lastKnownGood() -> (bundle: ConfigurationBundle, saved: String)? {
        guard let kept = read(Kept.self, from: bundleFile), kept.format == Kept.format, kept.bundle.digest == kept.digest else {
            return nil
        }
        return (kept.bundle, kept.saved)
    }

    func save(_ status: ConfigurationStatus) throws(GatewayError) { try write(status, to: statusFile) }

    /// What became of the newest document; `nil` where nothing is known.
    func status() -> ConfigurationStatus? { read(ConfigurationStatus.self, from: statusFile) }

    private func read<Value: Decodable>(_ type: Value.Type, from path: String) -> Value? {
        guard let handle = FileHandle(forReadingAtPath: path) else { return nil }
        defer { try? handle.close() }
        guard let data = try? handle.read(upToCount: ConfigurationStore.fileBytesMax + 1), data.count <= ConfigurationStore.fileBytesMax
        else {
            return nil
        }
        return try? JSONDecoder().decode(type, from: data)
    }

    private func write(_ value: some Encodable, to path: String) throws(GatewayError) {
        do {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
            let data = try encoder.encode(value)
            try FileManager.default.createDirectory(
                atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o750])
            let temporary = path + ".new"
            // Documents may name what not everybody is to know.
            guard FileManager.default.createFile(atPath: temporary, contents: nil, attributes: [.posixPermissions: 0o640]) else {
                throw CocoaError(.fileWriteNoPermission)
            }
            let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: temporary))
            do {
                try handle.write(contentsOf: data)
                try handle.synchronize()
            } catch {
                try? handle.close()
                throw error
            }
            try handle.close()
            guard rename(temporary, path) == 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
            // The new name must reach the disk as well.
            let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            if descriptor >= 0 {
                _ = fsync(descriptor)
                _ = close(descriptor)
            }
        } catch {
            throw GatewayError(.storageFailed, resource: path, operation: "write", "the configuration cannot be kept", cause: error)
        }
    }
}

/// What became of the newest site document, for people and for the platform.
package struct ConfigurationStatus: Sendable, Equatable, Codable {
    package enum State: String, Sendable, Codable {
        /// Runs, and is the last known good one.
        case accepted
        /// Runs, and is judged when its time is over.
        case onTrial
        /// Could not be used; what ran before runs.
        case refused
        /// Was used and taken back; the last known good one runs.
        case rolledBack
    }

    package var state: State
    /// When this became so, in UTC.
    package var since: String
    /// Of the newest document: `ConfigurationBundle.digest`.
    package var digest: String
    /// Of the document that runs.
    package var runningDigest: String
    /// What the newest document changed, a line each.
    package var changes: [String]
    /// Why it was refused or taken back, or what is worth knowing of it.
    package var reasons: [String]
    /// How often the gateway ended while the document was on trial.
    package var interruptions = 0
}

extension ConfigurationStatus {
    /// What a gateway last kept beside its log, in this folder; `nil` where there is nothing.
    package static func kept(beside logPath: String) -> ConfigurationStatus? { ConfigurationStore(logPath: logPath).status() }
}
