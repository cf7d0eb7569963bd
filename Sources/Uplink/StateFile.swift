internal import Telemetry

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// A line of text that a route keeps over restarts.
struct StateFile: Sendable {
    /// The longest line that is read.
    static let bytesMax = 256

    let path: String

    /// - Parameters:
    ///   - folder: is made when the first line is kept.
    ///   - name: what is no name of a file in it becomes one.
    init(folder: String, name: String) { path = "\(folder)/\(String(name.map { $0 == "/" || $0 == "\0" ? "_" : $0 }))" }

    /// The line without its end; `nil` if there is no such file.
    func load() -> String? {
        guard let file = fopen(path, "r") else { return nil }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: Self.bytesMax)
        let count = fread(&bytes, 1, bytes.count, file)
        return String(decoding: bytes[..<count].prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
    }

    /// Replaces the file in one step, on the disk before it returns. Throws a `GatewayError` when that cannot be.
    func save(_ line: String) throws(GatewayError) {
        let folder = String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
        _ = mkdir(folder, 0o755)
        let unfinished = path + ".new"
        guard let file = fopen(unfinished, "w") else { throw failure("open") }
        var isWritten = fputs(line + "\n", file) >= 0
        isWritten = fflush(file) == 0 && fdatasync(fileno(file)) == 0 && isWritten
        isWritten = fclose(file) == 0 && isWritten
        guard isWritten, rename(unfinished, path) == 0 else { throw failure("write") }
    }

    private func failure(_ operation: String) -> GatewayError {
        GatewayError(
            .storageFailed, resource: path, operation: operation,
            "a number of the route cannot be kept over restarts: \(String(cString: strerror(errno)))")
    }
}
