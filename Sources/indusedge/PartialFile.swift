internal import Foundation
internal import Synchronization
internal import Telemetry

/// A file that gets its name only when it is complete; until then, and when the program fails, nobody can take it for whole.
final class PartialFile: Sendable {
    private let path: String
    private let partial: String
    private let replaces: Bool
    private let handle: FileHandle
    private let state = Mutex((bytes: 0, isComplete: false))

    /// Throws when there is a file of that name and it is not to be replaced.
    init(_ path: String, replaces: Bool) throws(GatewayError) {
        self.path = path
        self.replaces = replaces
        partial = "\(path).partial-\(ProcessInfo.processInfo.processIdentifier)"
        let files = FileManager.default
        guard replaces || !files.fileExists(atPath: path) else { throw PartialFile.taken(path) }
        guard files.createFile(atPath: partial, contents: nil), let handle = FileHandle(forWritingAtPath: partial) else {
            throw GatewayError(
                .storageFailed, resource: path, operation: "write", "the file cannot be made: does its folder exist, and is it writable?")
        }
        self.handle = handle
    }

    deinit {
        if !state.withLock({ $0.isComplete }) { try? FileManager.default.removeItem(atPath: partial) }
    }

    /// How many bytes were written.
    var bytes: Int { state.withLock { $0.bytes } }

    func write(_ bytes: [UInt8]) throws(GatewayError) {
        do {
            try handle.write(contentsOf: bytes)
        } catch {
            throw GatewayError(.storageFailed, resource: path, operation: "write", "the disk refused \(bytes.count) bytes", cause: error)
        }
        state.withLock { $0.bytes += bytes.count }
    }

    /// Brings the file to the disk and gives it its name.
    func complete() throws(GatewayError) {
        do {
            try handle.synchronize()
            try handle.close()
            guard replaces || !FileManager.default.fileExists(atPath: path) else { throw PartialFile.taken(path) }
            guard rename(partial, path) == 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
        } catch let error as GatewayError {
            throw error
        } catch {
            throw GatewayError(.storageFailed, resource: path, operation: "write", "the file cannot be completed", cause: error)
        }
        state.withLock { $0.isComplete = true }
    }

    private static func taken(_ path: String) -> GatewayError {
        GatewayError(.refused, resource: path, operation: "write", "the file exists already: give another name, or --force to replace it")
    }
}
