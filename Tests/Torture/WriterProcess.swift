internal import Foundation
internal import Synchronization

/// A writer that runs, and what it has told so far.
final class WriterProcess: Sendable {
    private let process: pid_t
    private let output: Int32
    private struct State {
        var lines: [ProgressLine] = []
        var isAtEnd = false
        var status: Int32?
    }
    private let state = Mutex(State())

    /// Longest time a writer may tell nothing new and yet not end. A busy machine makes it slow, and slow is not stuck.
    private static let patience = Duration.seconds(120)

    init(_ plan: WriterPlan, through wrapper: [String] = []) throws {
        let json = String(decoding: try JSONEncoder().encode(plan), as: UTF8.self)
        let arguments = wrapper + [WriterProcess.program, "write", json]
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw TortureFailure("no pipe: \(String(cString: strerror(errno)))") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        var strings: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        defer { for string in strings { free(string) } }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO)
        var child = pid_t()
        let result = posix_spawnp(&child, arguments[0], &actions, nil, &strings, environ)
        close(ends[1])
        guard result == 0 else {
            close(ends[0])
            throw TortureFailure("\(arguments[0]) does not start: \(String(cString: strerror(result)))")
        }
        process = child
        output = ends[0]
        Thread { [self] in collect() }.start()
    }

    static var program: String {
        (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
    }

    private func collect() {
        var pending: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = read(output, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            pending += buffer[..<count]
            while let end = pending.firstIndex(of: 10) {
                let line = ProgressLine(Substring(decoding: pending[..<end], as: UTF8.self))
                pending.removeFirst(end + 1)
                if let line { state.withLock { $0.lines.append(line) } }
            }
        }
        close(output)
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        let result = status
        state.withLock {
            $0.status = result
            $0.isAtEnd = true
        }
    }

    var lines: [ProgressLine] { state.withLock { $0.lines } }
    var hasEnded: Bool { state.withLock { $0.isAtEnd } }

    /// Ends it at once, and the program that it may run in ends with it.
    func kill() {
        if hasEnded { return }
        var victim = process
        for line in lines { if case .starting(let number) = line { victim = number } }
        _ = Glibc.kill(victim, SIGKILL)
    }

    /// Waits until it is about to open the store, or has ended.
    func untilStarting() async throws {
        while lines.isEmpty, !hasEnded { try await Task.sleep(for: .microseconds(100)) }
    }

    /// Waits until it has opened the store, or has ended.
    func untilOpened() async throws {
        while !hasEnded, !lines.contains(where: { if case .opened = $0 { true } else { false } }) {
            try await Task.sleep(for: .milliseconds(1))
        }
    }

    /// Everything it told, after its end. Throws when it ended by a signal that nobody here sent.
    func ended() async throws -> [ProgressLine] {
        var (told, deadline) = (0, ContinuousClock.now + WriterProcess.patience)
        while !hasEnded {
            let now = ContinuousClock.now
            let lines = lines.count
            if lines > told { (told, deadline) = (lines, now + WriterProcess.patience) }
            if now > deadline {
                kill()
                _ = Glibc.kill(process, SIGKILL)
                throw TortureFailure("the writer has neither ended nor told anything new for \(WriterProcess.patience)")
            }
            try await Task.sleep(for: .milliseconds(1))
        }
        let signal = (state.withLock { $0.status } ?? 0) & 0x7F
        if signal != 0, signal != SIGKILL { throw TortureFailure("the writer ended with signal \(signal)") }
        return lines
    }
}
