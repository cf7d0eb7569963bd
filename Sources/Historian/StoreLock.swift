internal import Telemetry

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// Keeps a second process, or a second opener in this one, away from a store. Released when the last reference is gone,
/// and by the system however the process ends.
final class StoreLock: Sendable {
    private let file: OpenFile

    /// Throws `.storageLocked` with the number of the process that has the store.
    init(folder: String) throws(GatewayError) {
        let path = folder + "/lock"
        let file = try OpenFile(path, O_RDWR | O_CREAT)
        guard flock(file.descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let number = errno
            guard number == EWOULDBLOCK else { throw .storage(number, path, "lock") }
            throw GatewayError(
                .storageLocked, resource: "log \(folder)", operation: "lock",
                "process \(StoreLock.owner(file)) has this store open: stop it first, or name another folder")
        }
        let text = Array("\(getpid())\n".utf8)
        // The number only serves the message above: a disk too full to hold it must not keep the log closed.
        _ = ftruncate(file.descriptor, 0)
        _ = text.withUnsafeBytes { pwrite(file.descriptor, $0.baseAddress, $0.count, 0) }
        self.file = file
    }

    // Closing alone would leave the lock with a child process that is just being started and has not executed its program yet.
    deinit { _ = flock(file.descriptor, LOCK_UN) }

    private static func owner(_ file: OpenFile) -> String {
        let bytes = (try? file.bytes(at: 0, count: 20)) ?? []
        let digits = bytes.prefix { $0 >= 48 && $0 <= 57 }
        return digits.isEmpty ? "(unknown)" : String(decoding: digits, as: UTF8.self)
    }
}
