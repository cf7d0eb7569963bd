internal import Telemetry

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// Appends to an audit trail. One at a time per folder, used by one task at a time: whoever holds the lock of the log beside it.
///
/// A record is on disk when `append` returns. When anything fails, the trail closes itself, and the next `append` opens it again and
/// looks at what the failure left.
package final class AuditTrail {
    private let files: AuditFiles
    private let fileBytesMax: Int
    private let filesMax: Int
    private let now: () -> String
    private var open: OpenEnd?

    /// Bytes after which a new file is begun.
    package static let fileBytesMax = 1 << 20
    /// Files that are kept: the oldest is removed when there is one more.
    package static let filesMax = 64
    /// What a file can have at most: its last record begins before the limit.
    static let readBytesMax = 16 << 20

    private struct OpenEnd {
        var descriptor: Int32
        var file: UInt64
        var size: Int
        var head: AuditHead
    }

    /// - Parameters:
    ///   - folder: made when the first record is written.
    ///   - now: the time of the records that the trail writes by itself, RFC 3339.
    package init(
        folder: String, fileBytesMax: Int = AuditTrail.fileBytesMax, filesMax: Int = AuditTrail.filesMax, now: @escaping () -> String
    ) {
        precondition(filesMax >= 2 && fileBytesMax > 0)
        files = AuditFiles(folder: folder)
        self.fileBytesMax = fileBytesMax
        self.filesMax = filesMax
        self.now = now
    }

    deinit { shut() }

    /// Appends a record, has the disk confirm it, and gives the new head.
    ///
    /// Throws a `GatewayError` when the record is not certain to be on disk.
    @discardableResult
    package func append(_ record: AuditRecord) throws -> AuditHead {
        do {
            try openIfNeeded()
            if let open, open.size >= fileBytesMax { try rotate() }
            return try put(record)
        } catch {
            shut()
            throw GatewayError(
                (error as? GatewayError)?.code ?? .storageFailed, resource: "audit trail \(files.folder)", operation: "append",
                "the record could not be written", cause: error)
        }
    }

    // MARK: - Writing

    private func put(_ record: AuditRecord) throws -> AuditHead {
        guard var end = open else { throw GatewayError(.stopped, resource: files.folder, operation: "append", "the trail is not open") }
        var record = record
        record.number = end.head.number + 1
        let line = try AuditLine(record, after: end.head.hash)
        let written = line.bytes.withUnsafeBytes { pwrite(end.descriptor, $0.baseAddress, $0.count, off_t(end.size)) }
        guard written == line.bytes.count, fdatasync(end.descriptor) == 0 else {
            throw files.failure(written >= 0 && written < line.bytes.count ? ENOSPC : errno, files.path(of: end.file), "write")
        }
        end.size += line.bytes.count
        end.head = AuditHead(number: record.number, hash: line.hash)
        open = end
        try files.write(head: end.head)
        return end.head
    }

    private func rotate() throws {
        guard let end = open else { return }
        shut()
        try begin(file: end.file + 1, after: end.head, reason: nil)
        try removeOldFiles()
    }

    /// The removal is told of before it happens, so that a file that is missing without a word was taken by somebody else.
    private func removeOldFiles() throws {
        let numbers = try files.numbers()
        for number in numbers.prefix(max(0, numbers.count - filesMax)) {
            let contents = try files.read(files.path(of: number), atMost: AuditTrail.readBytesMax)
            let last = AuditWalk(contents, after: nil).last
            var record = AuditRecord(time: now(), kind: .removed, reason: "the trail is kept within \(filesMax) files")
            record.file = number
            record.through = last?.number
            record.hash = last?.hash
            _ = try put(record)
            guard unlink(files.path(of: number)) == 0 else { throw files.failure(errno, files.path(of: number), "remove") }
        }
        try files.synchronizeFolder()
    }

    private func begin(file number: UInt64, after head: AuditHead, reason: String?) throws {
        let path = files.path(of: number)
        let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw files.failure(errno, path, "create") }
        open = OpenEnd(descriptor: descriptor, file: number, size: 0, head: head)
        var record = AuditRecord(time: now(), kind: .begin, reason: reason)
        record.file = number
        record.through = head.number
        record.hash = head.hash
        _ = try put(record)
        try files.synchronizeFolder()
    }

    private func shut() {
        if let open { close(open.descriptor) }
        open = nil
    }

    // MARK: - Opening

    private func openIfNeeded() throws {
        guard open == nil else { return }
        if mkdir(files.folder, 0o700) != 0, errno != EEXIST { throw files.failure(errno, files.folder, "create") }
        let noted = files.head()
        guard let number = try files.numbers().last else {
            let reason = noted.map { "the files with the records up to \($0.number) are missing" }
            return try begin(file: 1, after: noted ?? .none, reason: reason)
        }
        let path = files.path(of: number)
        let contents = try files.read(path, atMost: AuditTrail.readBytesMax)
        let walk = AuditWalk(contents, after: nil)
        guard let last = walk.last else { return try beginAgain(file: number, walk, noted: noted) }
        if let noted, noted.number > last.number {
            // Records that were on disk are gone or changed: they stay as they are, for people to look at.
            let reason = "file \(number) is damaged: it ends with record \(last.number), but there were \(noted.number)"
            return try begin(file: number + 1, after: noted, reason: reason)
        }
        let descriptor = Glibc.open(path, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { throw files.failure(errno, path, "open") }
        open = OpenEnd(descriptor: descriptor, file: number, size: walk.goodBytes, head: last)
        let torn = contents.count - walk.goodBytes
        if torn > 0 {
            guard ftruncate(descriptor, off_t(walk.goodBytes)) == 0, fdatasync(descriptor) == 0 else {
                throw files.failure(errno, path, "cut")
            }
            _ = try put(
                AuditRecord(
                    time: now(), kind: .recovered,
                    reason: "\(torn) bytes of a record that was never confirmed were cut from the end, as a crash leaves them"))
        } else if noted == nil {
            _ = try put(AuditRecord(time: now(), kind: .recovered, reason: "the note of the last record was missing"))
        }
        try removeOldFiles()
    }

    /// Of the last file nothing is whole. When it has not even one line, a crash came between its making and its first record, and it is made
    /// anew; else it stays for people to look at.
    private func beginAgain(file number: UInt64, _ walk: AuditWalk, noted: AuditHead?) throws {
        var before = noted ?? .none
        if number > 1, let contents = try? files.read(files.path(of: number - 1), atMost: AuditTrail.readBytesMax),
            let last = AuditWalk(contents, after: nil).last, last.number > before.number
        {
            // The note is written after the record, and may be one behind.
            before = last
        }
        guard walk.isEmptyStart else {
            return try begin(file: number + 1, after: before, reason: "file \(number) is damaged from its start")
        }
        let path = files.path(of: number)
        guard unlink(path) == 0 else { throw files.failure(errno, path, "remove") }
        try begin(file: number, after: before, reason: nil)
    }
}
