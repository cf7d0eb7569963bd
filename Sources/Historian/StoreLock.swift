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
        self.file = file
        let noted = StoreLock.numbers(file).dropFirst().first.flatMap { UInt32($0) } ?? 0
        newestEpoch = noted <= StoreLock.epochMax ? noted : 0
        note(epoch: newestEpoch)
    }

    /// A higher number was not written by a log.
    private static let epochMax = UInt32.max / 2

    /// The highest epoch noted before; 0 where there is none. A second memory of it, for a database that was lost.
    let newestEpoch: UInt32

    /// Notes the owner and its epoch.
    ///
    /// The number of the process only serves a message and the epoch is in the database: a disk too full to hold them must not keep the
    /// log closed.
    func note(epoch: UInt32) {
        let text = Array("\(getpid()) \(epoch)\n".utf8)
        _ = text.withUnsafeBytes { pwrite(file.descriptor, $0.baseAddress, $0.count, 0) }
        _ = ftruncate(file.descriptor, off_t(text.count))
    }

    // Closing alone would leave the lock with a child process that is just being started and has not executed its program yet.
    deinit { _ = flock(file.descriptor, LOCK_UN) }

    private static func owner(_ file: OpenFile) -> String {
        let process = numbers(file).first ?? ""
        return process.isEmpty || !process.allSatisfy(\.isNumber) ? "(unknown)" : String(process)
    }

    /// What stands in the first line, word by word.
    private static func numbers(_ file: OpenFile) -> [Substring] {
        let bytes = (try? file.bytes(at: 0, count: 40)) ?? []
        return String(decoding: bytes.prefix { $0 != 10 }, as: UTF8.self).split(separator: " ")
    }
}
