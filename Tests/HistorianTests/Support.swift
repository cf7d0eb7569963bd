import GatewayCore
import Logging
import Synchronization
import Telemetry
import TestKit
import Testing

@testable import Historian

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A folder of its own for one test, removed with it.
final class TemporaryFolder: Sendable {
    let path: String

    init() {
        var template = Array("/tmp/historian-XXXXXX".utf8CString)
        path = template.withUnsafeMutableBufferPointer { buffer in
            guard let base = buffer.baseAddress, let made = mkdtemp(base) else { return "/tmp/historian-failed" }
            return String(cString: made)
        }
    }

    deinit { _ = TemporaryFolder.run("rm", "-rf", path) }

    var log: String { path + "/log" }
    var journal: String { log + "/journal" }
    var segments: [String] { ((try? Files.names(in: journal)) ?? []).filter { $0.hasSuffix(".segment") }.map { journal + "/" + $0 } }

    /// Runs a program and returns its exit status; -1 where it cannot be started.
    static func run(_ arguments: String...) -> Int32 {
        var pid = pid_t()
        var strings: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        defer { for string in strings { free(string) } }
        guard let name = strings[0], posix_spawnp(&pid, name, nil, nil, &strings, environ) == 0 else { return -1 }
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        return status & 0x7F == 0 ? status >> 8 & 0xFF : -1
    }
}

func readBytes(_ path: String) throws -> [UInt8] {
    let file = try OpenFile(path, O_RDONLY)
    return try file.bytes(at: 0, count: file.size)
}

func writeBytes(_ bytes: [UInt8], to path: String) throws {
    let file = try OpenFile(path, O_WRONLY | O_CREAT | O_TRUNC)
    let count = bytes.withUnsafeBytes { pwrite(file.descriptor, $0.baseAddress, $0.count, 0) }
    if count != bytes.count { throw GatewayError.storage(errno, path, "write") }
}

extension Files {
    static func remove(_ path: String) throws(GatewayError) { try remove(path, on: SystemDisk()) }
}

let quiet = Logger(label: "historian-tests") { _ in SwiftLogNoOpLogHandler() }

func openLog(
    _ folder: TemporaryFolder, diskLimit: Int = 64 << 20, tail: Int = 1 << 20, keepFor: Duration? = nil,
    disk: any StoreDisk = SystemDisk(),
    time: any TimeSource = SystemTime()
) throws -> Historian {
    try Historian(
        configuration: HistorianConfiguration(
            folder: folder.log, diskLimit: diskLimit, keepFor: keepFor, memoryTailBytes: tail, disk: disk), time: time, logger: quiet)
}

let pump = StreamDescriptor(
    device: "pump-1", group: "fast",
    tags: [
        Tag("temperature", .int16, scaling: Scaling(scale: 0.1), unit: "Cel"), Tag("isRunning", .bool),
        Tag("serial", .string, stringCapacity: 6),
    ])

/// A batch whose temperature is its number.
func pumpBatch(_ stream: StreamID, _ number: Int, presence: [UInt64] = []) -> SampleBatch {
    var batch = SampleBatch(
        stream: stream, descriptor: pump, time: Timestamp(milliseconds: 1_700_000_000_000 + Int64(number) * 100), status: .good)
    batch.set(.int(Int64(number % 30_000)), tag: 0, in: pump)
    batch.set(.bool(number % 2 == 1), tag: 1, in: pump)
    batch.set(.string("n\(number % 1000)"), tag: 2, in: pump)
    batch.presence = presence
    return batch
}

/// A stream with batches of some size, for filling disks.
func wideDescriptor(_ tags: Int, device: String = "wide") -> StreamDescriptor {
    StreamDescriptor(device: device, group: "g", tags: (0..<tags).map { Tag("t\($0)", .uint16) })
}

extension LogEntry {
    var batch: SampleBatch? { if case .batch(let batch) = content { batch } else { nil } }
    var gap: UInt64? { if case .gap(let samples) = content { samples } else { nil } }
}

/// Reads and acknowledges everything that is there now.
func drain(_ cursor: any LogCursor) async throws -> [LogEntry] {
    var entries: [LogEntry] = []
    while cursor.pendingSamples > 0 {
        let before = cursor.pendingSamples
        let more = try await cursor.read(atMost: 100)
        entries += more
        if let last = more.last { cursor.acknowledge(through: last.position) }
        if cursor.pendingSamples == before, more.allSatisfy({ $0.gap == nil }) { break }
    }
    return entries
}
