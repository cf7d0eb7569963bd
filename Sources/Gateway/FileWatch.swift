#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// What of a file changes when its content does.
struct FileStamp: Sendable, Equatable {
    var size: Int64
    var seconds: Int64
    var nanoseconds: Int64
    /// A file that was replaced as a whole is another one.
    var inode: UInt64

    /// `nil` where there is no file.
    init?(of path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        size = Int64(status.st_size)
        seconds = Int64(status.st_mtim.tv_sec)
        nanoseconds = Int64(status.st_mtim.tv_nsec)
        inode = UInt64(status.st_ino)
    }

    init(size: Int64, seconds: Int64, nanoseconds: Int64 = 0, inode: UInt64 = 1) {
        self.size = size
        self.seconds = seconds
        self.nanoseconds = nanoseconds
        self.inode = inode
    }
}

/// Decides when files that are looked at again and again are worth reading: when they changed, and have come to rest.
struct FileWatch: Sendable {
    private var read: [String: FileStamp?]?
    private var lastLook: [String: FileStamp?]?

    /// Takes a look; returns whether to read the files now.
    mutating func look(_ stamps: [String: FileStamp?]) -> Bool {
        defer { lastLook = stamps }
        // A file that is being written would be read in half.
        guard stamps != read, stamps == lastLook else { return false }
        read = stamps
        return true
    }

    /// The files are read now, whatever the looks said; `stamps` were taken before.
    mutating func willRead(_ stamps: [String: FileStamp?]) {
        read = stamps
        lastLook = stamps
    }
}
