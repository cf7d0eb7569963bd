internal import Foundation
internal import GatewayCore

/// What the system counts of this process.
enum Machine {
    /// CPU seconds of all threads together, in user code and in the kernel.
    static var processorSeconds: Double {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) * 1e-6 }
        return seconds(usage.ru_utime) + seconds(usage.ru_stime)
    }

    /// Resident memory in MiB.
    static var residentMiB: Double { (field("VmRSS:", of: "/proc/self/status") ?? 0) / 1024 }

    /// Bytes that this process caused to be written to the medium: pages made dirty, without the journal of the file system.
    static var writtenBytes: Double { field("write_bytes:", of: "/proc/self/io") ?? 0 }

    /// Type and device of the file system that a folder is on.
    static func fileSystem(of folder: String) -> String {
        let mounts = (try? String(contentsOfFile: "/proc/self/mounts", encoding: .utf8)) ?? ""
        let path = URL(fileURLWithPath: folder).standardizedFileURL.path
        var best = (length: -1, text: "unknown")
        for line in mounts.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count > 2 else { continue }
            let point = String(fields[1])
            let isAbove = point == "/" || path == point || path.hasPrefix(point + "/")
            if isAbove, point.count >= best.length { best = (point.count, "\(fields[2]) on \(fields[0])") }
        }
        return best.text
    }

    /// CPU seconds by the name of the thread.
    static var secondsByThread: [String: Double] {
        var seconds: [String: Double] = [:]
        for task in (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/task")) ?? [] {
            guard let text = try? String(contentsOfFile: "/proc/self/task/\(task)/schedstat", encoding: .utf8),
                let name = try? String(contentsOfFile: "/proc/self/task/\(task)/comm", encoding: .utf8),
                let nanoseconds = text.split(separator: " ").first.flatMap({ Double($0) })
            else { continue }
            seconds[name.trimmingCharacters(in: .whitespacesAndNewlines), default: 0] += nanoseconds * 1e-9
        }
        return seconds
    }

    /// The 99th percentile in milliseconds of writing `bytes` at the end of a file and waiting for the medium, ten times a second: what the
    /// disk allows, with nothing of ours in the way.
    static func synchronizeP99(in folder: String, bytes: Int, times: Int) throws -> Double {
        let path = folder + "/synchronize"
        _ = FileManager.default.createFile(atPath: path, contents: nil)
        defer { try? FileManager.default.removeItem(atPath: path) }
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        let data = Data(repeating: 0x5A, count: bytes)
        let clock = SystemTime()
        var durations: [Double] = []
        for _ in 0..<times {
            let start = clock.now
            try file.write(contentsOf: data)
            fdatasync(file.fileDescriptor)
            durations.append(start.duration(to: clock.now).milliseconds)
            Thread.sleep(forTimeInterval: 0.1)
        }
        return durations.sorted()[times * 99 / 100]
    }

    private static func field(_ name: String, of path: String) -> Double? {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { return nil }
        for line in text.split(separator: "\n") where line.hasPrefix(name) {
            return line.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first.flatMap { Double($0) }
        }
        return nil
    }
}
