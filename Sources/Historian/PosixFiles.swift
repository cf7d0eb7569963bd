internal import Telemetry

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// An open file that closes itself.
final class OpenFile: Sendable {
    let descriptor: Int32
    let path: String

    init(_ path: String, _ flags: Int32, mode: mode_t = 0o600) throws(GatewayError) {
        self.path = path
        descriptor = open(path, flags | O_CLOEXEC, mode)
        if descriptor < 0 { throw .storage(errno, path, "open") }
    }

    /// A file for reading and writing, made new or emptied.
    init(creating path: String, on disk: any StoreDisk) throws(GatewayError) {
        self.path = path
        let result = disk.create(path)
        if result < 0 { throw .storage(Int32(-result), path, "create") }
        descriptor = Int32(result)
    }

    /// A file that is there, for reading and writing.
    init(opening path: String, on disk: any StoreDisk) throws(GatewayError) {
        self.path = path
        let result = disk.open(path)
        if result < 0 { throw .storage(Int32(-result), path, "open") }
        descriptor = Int32(result)
    }

    deinit { close(descriptor) }

    /// Writes all of the bytes at an offset.
    func write(_ bytes: [UInt8], at offset: Int, on disk: any StoreDisk) throws(GatewayError) {
        var refusal = 0
        var start = offset
        bytes.withUnsafeBytes { bytes in
            var rest = bytes[...]
            while !rest.isEmpty {
                let result = disk.write(UnsafeRawBufferPointer(rebasing: rest), to: descriptor, at: start)
                guard result > 0 else {
                    refusal = result == 0 ? -Int(ENOSPC) : result
                    return
                }
                start += result
                rest = rest.dropFirst(result)
            }
        }
        if refusal != 0 { throw .storage(Int32(-refusal), path, "write") }
    }

    /// Has the disk confirm what was written.
    func synchronize(on disk: any StoreDisk) throws(GatewayError) {
        let result = disk.synchronize(descriptor)
        if result != 0 { throw .storage(Int32(-result), path, "synchronize") }
    }

    /// Whether the file has no name any more.
    var isRemoved: Bool {
        var information = stat()
        return fstat(descriptor, &information) == 0 && information.st_nlink == 0
    }

    /// What is given up where the medium cannot be read.
    private static let blockBytes = 4096

    /// Reads bytes at an offset; fewer than asked for only at the end of the file.
    ///
    /// Blocks that the medium refuses (`EIO`) are zeros: a bad sector is damage like any other, for checksums to find.
    func bytes(at offset: Int, count: Int) throws(GatewayError) -> [UInt8] {
        var failure: Int32 = 0
        var piece = count
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, total in
            while total < count {
                let left = min(piece, count - total)
                let result = pread(descriptor, buffer.baseAddress.map { $0 + total }, left, off_t(offset + total))
                if result == 0 { break }
                if result > 0 {
                    total += result
                    piece = count
                } else if errno == EIO {
                    let block = min(count - total, OpenFile.blockBytes - (offset + total) % OpenFile.blockBytes)
                    if left > block {
                        piece = block
                    } else {
                        for index in total..<(total + block) { buffer[index] = 0 }
                        total += block
                    }
                } else if errno != EINTR {
                    failure = errno
                    break
                }
            }
        }
        if failure != 0 { throw .storage(failure, path, "read") }
        return bytes
    }

    var size: Int {
        var information = stat()
        return fstat(descriptor, &information) == 0 ? Int(information.st_size) : 0
    }
}

/// The few things done with folders and names.
enum Files {
    /// Makes a folder and those above it, and has the disk confirm their names.
    static func createFolder(_ path: String, on disk: any StoreDisk) throws(GatewayError) {
        var partial = path.hasPrefix("/") ? "" : "."
        for component in path.split(separator: "/") {
            let parent = partial.isEmpty ? "/" : partial
            partial += "/" + component
            if mkdir(partial, 0o700) == 0 {
                try synchronizeFolder(parent, on: disk)
            } else if errno != EEXIST {
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

    static func isFile(_ path: String) -> Bool {
        var information = stat()
        return stat(path, &information) == 0 && information.st_mode & S_IFMT == S_IFREG
    }

    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    static func remove(_ path: String, on disk: any StoreDisk) throws(GatewayError) {
        let result = disk.remove(path)
        if result < 0, result != -Int(ENOENT) { throw .storage(Int32(-result), path, "remove") }
    }

    static func rename(_ path: String, to target: String, on disk: any StoreDisk) throws(GatewayError) {
        try check(disk.rename(path, to: target), path, "rename")
    }

    static func cut(_ path: String, to bytes: Int, on disk: any StoreDisk) throws(GatewayError) {
        try check(disk.truncate(path, to: bytes), path, "truncate")
    }

    /// Makes names created, renamed or removed in a folder survive a power failure.
    static func synchronizeFolder(_ path: String, on disk: any StoreDisk) throws(GatewayError) {
        try check(disk.synchronizeFolder(path), path, "synchronize")
    }

    private static func check(_ result: Int, _ path: String, _ operation: String) throws(GatewayError) {
        if result < 0 { throw .storage(Int32(-result), path, operation) }
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
