internal import Telemetry

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// The files of a trail: `00000001.audit`, `00000002.audit`, … and `head`.
struct AuditFiles: Sendable {
    let folder: String

    func path(of number: UInt64) -> String {
        let digits = String(number)
        return "\(folder)/\(String(repeating: "0", count: max(0, 8 - digits.count)))\(digits).audit"
    }

    var headPath: String { "\(folder)/head" }

    /// The numbers of the files that are there, lowest first; none without a folder.
    func numbers() throws(GatewayError) -> [UInt64] {
        guard let listing = opendir(folder) else {
            if errno == ENOENT { return [] }
            throw failure(errno, folder, "list")
        }
        defer { closedir(listing) }
        var numbers: [UInt64] = []
        while let entry = readdir(listing) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard name.hasSuffix(".audit"), let number = UInt64(name.dropLast(6)), path(of: number).hasSuffix("/" + name) else { continue }
            numbers.append(number)
        }
        return numbers.sorted()
    }

    /// The bytes of a file, at most `limit` of them.
    func read(_ path: String, atMost limit: Int) throws(GatewayError) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure(errno, path, "open") }
        defer { close(descriptor) }
        var information = stat()
        guard fstat(descriptor, &information) == 0 else { throw failure(errno, path, "open") }
        let size = Int(information.st_size)
        guard size <= limit else {
            throw GatewayError(
                .storageCorrupt, resource: path, operation: "read", "the file has \(size) bytes, at most \(limit) are possible")
        }
        var bytes = [UInt8](repeating: 0, count: size)
        var total = 0
        while total < size {
            let count = bytes[total...].withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, $0.count, off_t(total)) }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure(errno, path, "read") }
            if count == 0 { break }
            total += count
        }
        return Array(bytes[..<total])
    }

    /// The head that was noted last; `nil` when there is none, or it cannot be read.
    func head() -> AuditHead? {
        guard let bytes = try? read(headPath, atMost: 4096) else { return nil }
        return AuditHead(String(decoding: bytes, as: UTF8.self).filter { $0 != "\n" })
    }

    func write(head: AuditHead) throws(GatewayError) {
        let temporary = headPath + ".new"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw failure(errno, temporary, "create") }
        let bytes = Array("\(head)\n".utf8)
        let written = Glibc.write(descriptor, bytes, bytes.count)
        let code = written == bytes.count ? (fdatasync(descriptor) == 0 ? 0 : errno) : errno
        close(descriptor)
        guard code == 0, written == bytes.count else { throw failure(code == 0 ? ENOSPC : code, temporary, "write") }
        guard rename(temporary, headPath) == 0 else { throw failure(errno, headPath, "write") }
        try synchronizeFolder()
    }

    /// Has the disk confirm names that were made, changed or removed.
    func synchronizeFolder() throws(GatewayError) {
        let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure(errno, folder, "open") }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw failure(errno, folder, "synchronize") }
    }

    func failure(_ code: Int32, _ path: String, _ operation: String) -> GatewayError {
        GatewayError(
            code == ENOSPC || code == EDQUOT ? .storageFull : .storageFailed, resource: path, operation: operation,
            String(cString: strerror(code)))
    }
}
