internal import Telemetry

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// The two calls that a disk refuses in the middle of work; tests hand in ones that fail.
package protocol JournalDisk: Sendable {
    /// Writes some of the bytes at an offset: their number, or a negative `errno`.
    func write(_ bytes: UnsafeRawBufferPointer, to file: Int32, at offset: Int) -> Int
    /// Brings a file's data to the medium: 0, or a negative `errno`.
    func synchronize(_ file: Int32) -> Int
}

/// The disk itself.
package struct SystemDisk: JournalDisk {
    package init() {}

    package func write(_ bytes: UnsafeRawBufferPointer, to file: Int32, at offset: Int) -> Int {
        while true {
            let written = pwrite(file, bytes.baseAddress, bytes.count, off_t(offset))
            if written >= 0 { return written }
            if errno != EINTR { return -Int(errno) }
        }
    }

    package func synchronize(_ file: Int32) -> Int { fdatasync(file) == 0 ? 0 : -Int(errno) }
}

/// An open file that closes itself.
final class OpenFile: Sendable {
    let descriptor: Int32
    let path: String

    init(_ path: String, _ flags: Int32, mode: mode_t = 0o600) throws(GatewayError) {
        self.path = path
        descriptor = open(path, flags | O_CLOEXEC, mode)
        if descriptor < 0 { throw .storage(errno, path, "open") }
    }

    deinit { close(descriptor) }

    /// Reads bytes at an offset; fewer than asked for only at the end of the file.
    func bytes(at offset: Int, count: Int) throws(GatewayError) -> [UInt8] {
        var failure: Int32 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, total in
            while total < count {
                let result = pread(descriptor, buffer.baseAddress.map { $0 + total }, count - total, off_t(offset + total))
                if result == 0 { break }
                if result > 0 {
                    total += result
                } else if errno != EINTR {
                    failure = errno
                    break
                }
            }
        }
        if failure != 0 { throw .storage(failure, path, "read") }
        return bytes
    }

    /// Writes bytes at the start of the file.
    func write(_ bytes: [UInt8]) throws(GatewayError) {
        let written = bytes.withUnsafeBytes { SystemDisk().write($0, to: descriptor, at: 0) }
        if written < 0 { throw .storage(Int32(-written), path, "write") }
        if written < bytes.count { throw .storage(ENOSPC, path, "write") }
    }

    var size: Int {
        var information = stat()
        return fstat(descriptor, &information) == 0 ? Int(information.st_size) : 0
    }
}

/// The few things done with folders and names.
enum Files {
    static func createFolder(_ path: String) throws(GatewayError) {
        var partial = path.hasPrefix("/") ? "" : "."
        for component in path.split(separator: "/") {
            partial += "/" + component
            if mkdir(partial, 0o700) != 0, errno != EEXIST {
                let number = errno
                var information = stat()
                // A read-only parent answers EROFS for folders that are there.
                if stat(partial, &information) == 0 { continue }
                throw .storage(number, path, "create folder")
            }
        }
    }

    /// Names in a folder, sorted.
    static func names(in folder: String) throws(GatewayError) -> [String] {
        guard let stream = opendir(folder) else { throw .storage(errno, folder, "list") }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// Bytes of a file; 0 where there is none.
    static func size(_ path: String) -> Int {
        var information = stat()
        return stat(path, &information) == 0 ? Int(information.st_size) : 0
    }

    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    static func remove(_ path: String) throws(GatewayError) {
        if unlink(path) != 0, errno != ENOENT { throw .storage(errno, path, "remove") }
    }

    static func rename(_ path: String, to target: String) throws(GatewayError) {
        if renameFile(path, target) != 0 { throw .storage(errno, path, "rename") }
    }

    static func cut(_ path: String, to bytes: Int) throws(GatewayError) {
        if truncate(path, off_t(bytes)) != 0 { throw .storage(errno, path, "truncate") }
    }

    /// Makes names created, renamed or removed in a folder survive a power failure.
    static func synchronizeFolder(_ path: String) throws(GatewayError) {
        let folder = try OpenFile(path, O_RDONLY | O_DIRECTORY)
        if fsync(folder.descriptor) != 0 { throw .storage(errno, path, "synchronize") }
    }
}

extension GatewayError {
    /// An error of the C library on a file of the store, with what to do about it.
    static func storage(_ number: Int32, _ path: String, _ operation: String) -> GatewayError {
        let text = String(cString: strerror(number))
        switch number {
        case ENOSPC, EDQUOT, EFBIG:
            return GatewayError(.storageFull, resource: "log \(path)", operation: operation, "\(text): free space on this file system")
        case ENOENT: return GatewayError(.notFound, resource: "log \(path)", operation: operation, text)
        case EACCES, EPERM, EROFS:
            return GatewayError(
                .storageFailed, resource: "log \(path)", operation: operation,
                "\(text): make the folder writable for the user that runs the gateway, or name another one")
        default:
            return GatewayError(.storageFailed, resource: "log \(path)", operation: operation, text)
        }
    }
}

/// The C function, out of reach of the method of the same name.
private func renameFile(_ path: String, _ target: String) -> Int32 { rename(path, target) }
