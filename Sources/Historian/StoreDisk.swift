internal import GatewayCore
internal import Telemetry

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// Every change that a store makes to its files and their names, beside the database's own; tests hand in disks that refuse or forget.
///
/// Each call answers with 0 or a number that is not negative, or with a negative `errno`.
package protocol StoreDisk: Sendable {
    /// Opens a file for reading and writing, made new, or emptied if it was there: its descriptor, which the caller closes.
    func create(_ path: String) -> Int
    /// Opens a file that is there for reading and writing: its descriptor, which the caller closes.
    func open(_ path: String) -> Int
    /// Writes some of the bytes at an offset: their number.
    func write(_ bytes: UnsafeRawBufferPointer, to file: Int32, at offset: Int) -> Int
    /// Has the medium take some of a file's bytes now, and waits; it promises nothing. What is synchronized later has less to do then, and who
    /// else waits for the medium waits for less.
    func writeOut(_ file: Int32, at offset: Int, count: Int)
    /// Brings a file's data to the medium.
    func synchronize(_ file: Int32) -> Int
    /// Gives a file another name; a file that had that name is gone.
    func rename(_ path: String, to target: String) -> Int
    /// Takes a file's name away.
    func remove(_ path: String) -> Int
    /// Cuts a file off behind its first bytes.
    func truncate(_ path: String, to bytes: Int) -> Int
    /// Brings names made, changed or taken away in a folder to the medium.
    func synchronizeFolder(_ path: String) -> Int
}

extension StoreDisk {
    package func writeOut(_ file: Int32, at offset: Int, count: Int) {}
}

/// The disk itself.
package struct SystemDisk: StoreDisk {
    package init() {}

    package func create(_ path: String) -> Int { outcome(systemOpen(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)) }

    package func open(_ path: String) -> Int { outcome(systemOpen(path, O_RDWR | O_CLOEXEC, 0)) }

    package func write(_ bytes: UnsafeRawBufferPointer, to file: Int32, at offset: Int) -> Int {
        while true {
            let written = pwrite(file, bytes.baseAddress, bytes.count, off_t(offset))
            if written >= 0 { return written }
            if errno != EINTR { return -Int(errno) }
        }
    }

    package func writeOut(_ file: Int32, at offset: Int, count: Int) {
        MediumWriting.writeOut(file, at: offset, count: count)
    }

    package func synchronize(_ file: Int32) -> Int { outcome(fdatasync(file)) }

    package func rename(_ path: String, to target: String) -> Int { outcome(systemRename(path, target)) }

    package func remove(_ path: String) -> Int { outcome(unlink(path)) }

    package func truncate(_ path: String, to bytes: Int) -> Int { outcome(systemTruncate(path, off_t(bytes))) }

    package func synchronizeFolder(_ path: String) -> Int {
        let folder = systemOpen(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0)
        if folder < 0 { return -Int(errno) }
        let result = outcome(fsync(folder))
        close(folder)
        return result
    }

    private func outcome(_ result: Int32) -> Int { result < 0 ? -Int(errno) : Int(result) }
}

/// The C functions, out of reach of the methods of the same names.
private func systemOpen(_ path: String, _ flags: Int32, _ mode: mode_t) -> Int32 { open(path, flags, mode) }
private func systemRename(_ path: String, _ target: String) -> Int32 { rename(path, target) }
private func systemTruncate(_ path: String, _ bytes: off_t) -> Int32 { truncate(path, bytes) }
