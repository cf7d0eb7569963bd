internal import CSystem

/// What the system can be asked to do with a file's pages before they are synchronized.
package enum MediumWriting {
    /// Has the medium take some of a file's bytes now, and waits until it has them; `file` is an open descriptor.
    ///
    /// It promises nothing: only `fdatasync` does. What it refuses is left for that (`sync_file_range(2)`).
    package static func writeOut(_ file: Int32, at offset: Int, count: Int) {
        _ = csystem_write_out(file, Int64(offset), Int64(count))
    }
}
