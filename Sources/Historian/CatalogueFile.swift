internal import Telemetry

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// `catalogue`: the descriptors of all streams, as records of the journal, beside the database that has them too.
///
/// Blocks name their streams by number only. With this file they can be read when the database is lost.
enum CatalogueFile {
    static func path(in folder: String) -> String { folder + "/catalogue" }

    /// Puts a new file in the place of the old one.
    static func write(_ streams: [StreamID: StreamDescriptor], folder: String, disk: any StoreDisk) throws(GatewayError) {
        let path = path(in: folder)
        do throws(GatewayError) {
            let file = try OpenFile(creating: path + BlockWriter.unfinished, on: disk)
            try file.write(CatalogueFormat.encode(streams), at: 0, on: disk)
            let result = disk.synchronize(file.descriptor)
            if result != 0 { throw .storage(Int32(-result), file.path, "synchronize") }
            try Files.rename(path + BlockWriter.unfinished, to: path, on: disk)
            try Files.synchronizeFolder(folder, on: disk)
        } catch {
            try? Files.remove(path + BlockWriter.unfinished, on: disk)
            throw error
        }
    }

    /// The streams in the file, up to the first damage; none where there is no file.
    static func read(folder: String) throws(GatewayError) -> [StreamID: StreamDescriptor] {
        let path = path(in: folder)
        guard Files.exists(path) else { return [:] }
        let size = Files.size(path)
        guard size <= CatalogueFormat.bytesMax, Files.isFile(path) else { return [:] }
        return try OpenFile(path, O_RDONLY).bytes(at: 0, count: size).withUnsafeBytes { CatalogueFormat.decode($0) }
    }
}
