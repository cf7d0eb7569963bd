internal import Foundation
internal import GatewayCore
internal import Historian
internal import Synchronization

/// The disk, with a note of how long each call took and which of the log's threads made it.
final class TimedDisk: StoreDisk {
    enum Call: String, CaseIterable {
        case write, writeOut, synchronize, create, open, rename, remove, truncate, synchronizeFolder
    }

    struct Note {
        var call: Call
        var thread: String
        /// Nanoseconds of the monotonic clock.
        var start: Int64
        var end: Int64

        var milliseconds: Double { Double(end - start) * 1e-6 }
        func overlaps(_ other: Note) -> Bool { start < other.end && other.start < end }
    }

    private let disk = SystemDisk()
    private let time = SystemTime()
    private let notes = Mutex<[Note]>([])
    private let names = Mutex<[pthread_t: String]>([:])

    /// What was noted since the last call.
    func take() -> [Note] {
        notes.withLock { notes in
            defer { notes = [] }
            return notes
        }
    }

    func create(_ path: String) -> Int { timed(.create) { disk.create(path) } }
    func open(_ path: String) -> Int { timed(.open) { disk.open(path) } }
    func write(_ bytes: UnsafeRawBufferPointer, to file: Int32, at offset: Int) -> Int {
        timed(.write) { disk.write(bytes, to: file, at: offset) }
    }
    func writeOut(_ file: Int32, at offset: Int, count: Int) {
        _ = timed(.writeOut) {
            disk.writeOut(file, at: offset, count: count)
            return 0
        }
    }
    func synchronize(_ file: Int32) -> Int { timed(.synchronize) { disk.synchronize(file) } }
    func rename(_ path: String, to target: String) -> Int { timed(.rename) { disk.rename(path, to: target) } }
    func remove(_ path: String) -> Int { timed(.remove) { disk.remove(path) } }
    func truncate(_ path: String, to bytes: Int) -> Int { timed(.truncate) { disk.truncate(path, to: bytes) } }
    func synchronizeFolder(_ path: String) -> Int { timed(.synchronizeFolder) { disk.synchronizeFolder(path) } }

    private func timed(_ call: Call, _ body: () -> Int) -> Int {
        let start = time.now.nanoseconds
        let result = body()
        let note = Note(call: call, thread: threadName, start: Int64(start), end: Int64(time.now.nanoseconds))
        notes.withLock { $0.append(note) }
        return result
    }

    /// The name of the thread that asks; looked up once for each.
    private var threadName: String {
        let thread = pthread_self()
        return names.withLock { names in
            if let known = names[thread] { return known }
            let name = (try? String(contentsOfFile: "/proc/thread-self/comm", encoding: .utf8)) ?? ""
            names[thread] = name.trimmingCharacters(in: .whitespacesAndNewlines)
            return names[thread] ?? ""
        }
    }
}
