internal import Foundation

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
    static var residentMiB: Double {
        guard let text = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8),
            let line = text.split(separator: "\n").first(where: { $0.hasPrefix("VmRSS:") }),
            let number = line.split(separator: " ").dropFirst().first.flatMap({ Double($0) })
        else { return 0 }
        return number / 1024
    }

    /// CPU seconds by the name of the thread, largest first.
    static var secondsByThread: [(name: String, seconds: Double)] {
        var seconds: [String: Double] = [:]
        for task in (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/task")) ?? [] {
            guard let text = try? String(contentsOfFile: "/proc/self/task/\(task)/schedstat", encoding: .utf8),
                let name = try? String(contentsOfFile: "/proc/self/task/\(task)/comm", encoding: .utf8),
                let nanoseconds = text.split(separator: " ").first.flatMap({ Double($0) })
            else { continue }
            seconds[name.trimmingCharacters(in: .whitespacesAndNewlines), default: 0] += nanoseconds * 1e-9
        }
        return seconds.map { ($0.key, $0.value) }.sorted { $0.seconds > $1.seconds }
    }
}
