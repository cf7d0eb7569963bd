package import Envelope
internal import Foundation
package import GatewayCore
internal import Identity
package import Logging
internal import Synchronization
package import Telemetry

/// Keeps the keys of a receiving end as their files are, and what was dealt with over a restart.
package final class Envelopes: Sendable {
    /// By broker; brokers of one cluster have the same.
    package let openers: [EnvelopeOpener]
    private let settings: EnvelopeSettings
    private let time: any TimeSource
    private let logger: Logger
    /// What the files hold, by cluster.
    private let saved = Mutex<[String: [UInt8]]>([:])

    /// How often files are looked at, and what was dealt with is saved.
    package static let interval = Duration.seconds(30)

    /// Reads the keys, and what was dealt with before.
    ///
    /// Throws a `GatewayError` that names the file: a receiver that opens less than it was told to does not start.
    package init(_ settings: EnvelopeSettings, time: any TimeSource, logger: Logger) throws(GatewayError) {
        self.settings = settings
        self.time = time
        self.logger = logger
        let keys = try settings.load()
        for file in settings.keys where PEMFile.isReadableByOthers(file) {
            logger.warning("others than its owner may read a private key", metadata: ["file": "\(file)"])
        }
        var made: [String: EnvelopeOpener] = [:]
        var openers: [EnvelopeOpener] = []
        for cluster in settings.clusters {
            if let known = made[cluster] {
                openers.append(known)
            } else {
                let opener = try Self.opener(cluster, settings, keys)
                made[cluster] = opener
                openers.append(opener)
            }
        }
        self.openers = openers
    }

    private static func opener(
        _ cluster: String, _ settings: EnvelopeSettings, _ keys: EnvelopeSettings.Keys
    ) throws(GatewayError) -> EnvelopeOpener {
        let file = settings.stateFile(cluster)
        let state = try ReplayFile.read(file)
        do throws(EnvelopeRefusal) {
            return try EnvelopeOpener(cluster: cluster, keys: keys.own, gateways: keys.gateways, replayState: state)
        } catch {
            throw GatewayError(
                .storageCorrupt, resource: file ?? cluster, operation: "read",
                "what was dealt with cannot be read (\(error)); without this file it begins anew")
        }
    }

    /// Follows the files until the task is cancelled.
    package func run() async throws {
        while true {
            try await time.sleep(for: Self.interval)
            step()
        }
    }

    /// Reads the keys again and saves what was dealt with. What cannot be read or written is said, and the keys of before go on.
    package func step() {
        do throws(GatewayError) {
            let keys = try settings.load()
            for opener in openers { opener.replace(keys: keys.own, gateways: keys.gateways) }
        } catch {
            warn("the keys cannot be read again; those of before go on", error)
        }
        do throws(GatewayError) {
            try save()
        } catch {
            warn("which envelopes were dealt with is not remembered", error)
        }
    }

    /// Saves what was dealt with, on the disk before it returns. Throws a `GatewayError` when the disk does not take it.
    package func save() throws(GatewayError) {
        for opener in openers {
            guard let file = settings.stateFile(opener.cluster) else { return }
            let state = opener.replayState
            guard saved.withLock({ $0[opener.cluster] != state }) else { continue }
            try ReplayFile.write(state, to: file)
            saved.withLock { $0[opener.cluster] = state }
        }
    }

    private func warn(_ message: Logger.Message, _ error: GatewayError) {
        logger.warning(message, metadata: ["error_chain": .array(error.chain.map { "\($0)" })])
    }
}

extension EnvelopeSettings {
    /// The file of what was dealt with for a cluster.
    fileprivate func stateFile(_ cluster: String) -> String? { state.map { "\($0)/\(cluster).replay" } }
}

/// The file of what was dealt with.
private enum ReplayFile {
    /// The largest file, in bytes.
    static let bytesMax = 1 << 30

    /// Its bytes; none where there is no file.
    static func read(_ file: String?) throws(GatewayError) -> [UInt8] {
        guard let file, PEMFile.exists(file) else { return [] }
        do {
            let handle = try FileHandle(forReadingFrom: URL(fileURLWithPath: file))
            defer { try? handle.close() }
            let bytes = try handle.read(upToCount: bytesMax + 1) ?? Data()
            guard bytes.count <= bytesMax else {
                throw GatewayError(.limitExceeded, resource: file, operation: "read", "it has more than \(bytesMax) bytes")
            }
            return Array(bytes)
        } catch {
            throw GatewayError(.storageFailed, resource: file, operation: "read", "it cannot be read", cause: error)
        }
    }

    /// Replaces it in one step, on the disk before this returns; its folder is made if it is not there.
    static func write(_ bytes: [UInt8], to file: String) throws(GatewayError) {
        let unfinished = file + ".new"
        do {
            let folder = URL(fileURLWithPath: file).deletingLastPathComponent().path
            try FileManager.default.createDirectory(
                atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
            PEMFile.remove(unfinished)
            try PEMFile.create(unfinished, bytes, mode: 0o600)
            guard rename(unfinished, file) == 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
        } catch {
            throw GatewayError(.storageFailed, resource: file, operation: "write", "it cannot be written", cause: error)
        }
    }
}
