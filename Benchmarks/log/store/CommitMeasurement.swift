internal import BenchmarkSignals
internal import Foundation
internal import GatewayCore
internal import Historian
internal import Synchronization

/// Where the time of the commits goes, beside a plain file that is written and synchronized as often and as much, on the same disk at the same time.
struct CommitMeasurement {
    private static let groups = 1000
    private static let tags = 100
    private static let hertz = 10
    /// A wait for the medium from this on is one to be explained.
    private static let slowMilliseconds = 10.0
    private let tables: [PollTable]
    private let figures = FigureLog()

    init(seed: UInt64) {
        tables = (0..<40).map { PollTable(tagCount: CommitMeasurement.tags, polls: 3600, seed: seed &+ $0) }
    }

    func run(seconds: Int) async throws {
        let disk = TimedDisk()
        let store = try BenchmarkStore("commits", disk: disk)
        let streams = try store.register(tables, groups: CommitMeasurement.groups)
        let driver = ScanDriver()
        let log = store.log
        try await driver.run(seconds: 5, tables, streams, hertz: CommitMeasurement.hertz) { log.append($0) }
        _ = disk.take()
        let before = log.statistics
        let bare = BareFile(
            folder: store.folder, bytes: { Int((log.statistics.bytes &- before.bytes) / max(1, log.statistics.commits &- before.commits)) })
        bare.start()
        try await driver.run(seconds: seconds, tables, streams, hertz: CommitMeasurement.hertz) { log.append($0) }
        let notes = disk.take()
        let alone = bare.finish()
        let statistics = log.statistics
        try await store.discard()

        print("commits beside a plain file: \(seconds) s, milliseconds (number, median, 99th of 100, longest)")
        for thread in ["log-commit", "log-seal"] {
            for call in TimedDisk.Call.allCases {
                let durations = notes.filter { $0.thread == thread && $0.call == call }.map(\.milliseconds)
                if !durations.isEmpty {
                    print("  \(padded(thread, 12)) \(padded(call.rawValue, 18)) \(CommitMeasurement.shown(durations))")
                }
            }
        }
        print("  \(padded("plain file", 12)) \(padded("write, synchronize", 18)) \(CommitMeasurement.shown(alone.map(\.milliseconds)))")
        let commits = notes.filter { $0.thread == "log-commit" && $0.call == .synchronize }
        let sealing = notes.filter { $0.thread == "log-seal" && [.synchronize, .write, .writeOut].contains($0.call) }
        func explain(_ name: String, _ waits: [TimedDisk.Note]) {
            let slow = waits.filter { $0.milliseconds >= CommitMeasurement.slowMilliseconds }
            let beside = slow.filter { wait in sealing.contains { $0.overlaps(wait) } }
            let all = waits.filter { wait in sealing.contains { $0.overlaps(wait) } }
            print(
                "  \(name): \(slow.count) of \(waits.count) waits of \(Int(CommitMeasurement.slowMilliseconds)) ms and more, \(beside.count) of "
                    + "them while a block was being written (as were \(all.count) of all)")
        }
        explain("commits", commits)
        explain("plain file", alone)
        let ninetyNinth = CommitMeasurement.percentile(commits.map(\.milliseconds), 99)
        let bareNinetyNinth = CommitMeasurement.percentile(alone.map(\.milliseconds), 99)
        figures.report("log.commit_beside_bare_p99_ms", statistics.p99Duration.milliseconds, "ms")
        figures.report("log.commit_fdatasync_p99_times_bare", ninetyNinth / max(bareNinetyNinth, 0.001), "")
    }

    private static func percentile(_ durations: [Double], _ percent: Int) -> Double {
        let sorted = durations.sorted()
        return sorted.isEmpty ? 0 : sorted[min(sorted.count - 1, sorted.count * percent / 100)]
    }

    private static func shown(_ durations: [Double]) -> String {
        "\(durations.count), \(decimal(percentile(durations, 50))), \(decimal(percentile(durations, 99))), \(decimal(durations.max() ?? 0))"
    }
}

/// A file that is written at its end and synchronized ten times a second, on a thread of its own.
private final class BareFile: Sendable {
    private struct State {
        var notes: [TimedDisk.Note] = []
        var isFinished = false
        var hasEnded = false
    }
    private let path: String
    private let bytes: @Sendable () -> Int
    private let state = Mutex(State())

    /// As long as a segment of the log.
    private static let bytesMax = 16 << 20

    init(folder: String, bytes: @escaping @Sendable () -> Int) {
        path = folder + "/plain"
        self.bytes = bytes
    }

    func start() { Thread { [self] in run() }.start() }

    private func run() {
        let time = SystemTime()
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        var place = 0
        while file >= 0, !state.withLock({ $0.isFinished }) {
            Thread.sleep(forTimeInterval: 0.1)
            let data = [UInt8](repeating: 0x5A, count: max(4096, bytes()))
            let start = time.now.nanoseconds
            let written = pwrite(file, data, data.count, off_t(place))
            fdatasync(file)
            let note = TimedDisk.Note(call: .synchronize, thread: "plain", start: Int64(start), end: Int64(time.now.nanoseconds))
            state.withLock { $0.notes.append(note) }
            place += max(0, written)
            if place > BareFile.bytesMax {
                ftruncate(file, 0)
                place = 0
            }
        }
        if file >= 0 { close(file) }
        state.withLock { $0.hasEnded = true }
    }

    func finish() -> [TimedDisk.Note] {
        state.withLock { $0.isFinished = true }
        while !state.withLock({ $0.hasEnded }) { Thread.sleep(forTimeInterval: 0.01) }
        return state.withLock { $0.notes }
    }
}
