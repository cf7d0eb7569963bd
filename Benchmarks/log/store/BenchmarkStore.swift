internal import BenchmarkSignals
internal import Foundation
internal import GatewayCore
internal import Historian
internal import Logging
internal import Telemetry

/// A log in a folder of its own on a real disk, with its commits and its sealing running.
final class BenchmarkStore {
    let folder: String
    let configuration: HistorianConfiguration
    private(set) var log: Historian
    private var service: Task<Void, any Error>
    /// Bytes appended since the last commit that was waited for.
    private var uncommitted = 0

    /// Where fast-forwarded time begins.
    static let epoch: Int64 = 1_780_000_000_000_000_000
    /// Bytes that a load appends before it waits for the disk.
    private static let loadBytes = 2 << 20

    init(_ name: String, memoryTailBytes: Int = 8 << 20, disk: any StoreDisk = SystemDisk()) throws {
        folder = "\(FigureLog.folder)/log/\(name)"
        try? FileManager.default.removeItem(atPath: folder)
        configuration = HistorianConfiguration(folder: folder, diskLimit: 1 << 40, memoryTailBytes: memoryTailBytes, disk: disk)
        log = try BenchmarkStore.open(configuration)
        service = BenchmarkStore.start(log)
    }

    static func open(_ configuration: HistorianConfiguration) throws -> Historian {
        var logger = Logger(label: "log-bench")
        logger.logLevel = .warning
        return try Historian(configuration: configuration, time: SystemTime(), logger: logger)
    }

    private static func start(_ log: Historian) -> Task<Void, any Error> { Task { try await log.run() } }

    /// Registers groups of these tags, and returns their streams.
    func register(_ tables: [PollTable], groups: Int) throws -> [StreamID] {
        try (0..<groups).map { group in
            try log.register(StreamDescriptor(device: "device-\(group)", group: "fast", tags: tables[group % tables.count].tags))
        }
    }

    /// Appends as fast as the disk takes it, and never more than memory holds.
    func load(_ batch: SampleBatch) async throws {
        log.append(batch)
        uncommitted += batch.values.count
        if uncommitted >= BenchmarkStore.loadBytes {
            uncommitted = 0
            try await log.flush()
        }
    }

    /// Commits and seals everything; only a start of the process ends the segment that grows.
    func settle() async throws {
        try await close()
        try reopen()
        try await log.seal()
    }

    /// Closes the log.
    func close() async throws {
        service.cancel()
        _ = await service.result
        try await log.close()
    }

    /// Opens it again.
    func reopen() throws {
        log = try BenchmarkStore.open(configuration)
        service = BenchmarkStore.start(log)
    }

    /// Closes the log and removes it.
    func discard() async throws {
        try await close()
        try discardClosed()
    }

    /// Removes a log that is closed.
    func discardClosed() throws { try FileManager.default.removeItem(atPath: folder) }

    /// Bytes of all files of the store.
    var bytes: Int {
        var sum = 0
        for case let path as String in FileManager.default.enumerator(atPath: folder) ?? .init() {
            var isFolder: ObjCBool = false
            let whole = folder + "/" + path
            guard FileManager.default.fileExists(atPath: whole, isDirectory: &isFolder), !isFolder.boolValue else { continue }
            sum += (try? FileManager.default.attributesOfItem(atPath: whole)[.size] as? Int) ?? 0
        }
        return sum
    }

    /// How many blocks there are.
    var blocks: Int {
        ((try? FileManager.default.contentsOfDirectory(atPath: folder + "/journal")) ?? []).filter { $0.hasSuffix(".block") }.count
    }
}

/// Times of polls at a fixed rate with 0.4 ms of jitter in nanoseconds, as the stamps of a scan have it.
struct PollTimes {
    private var generator: SeededGenerator
    private let period: Int64

    init(hertz: Int64, seed: UInt64) {
        period = 1_000_000_000 / hertz
        generator = SeededGenerator(seed: seed)
    }

    mutating func time(_ poll: Int) -> Timestamp {
        Timestamp(nanoseconds: BenchmarkStore.epoch + Int64(poll) * period + Int64.random(in: 0..<400_000, using: &generator))
    }
}
