import GatewayCore
import Synchronization
import Testing

/// Works on the thread of a line, in steps.
private actor Worker {
    private let thread: DedicatedThread
    private let name: Character
    private let steps: Mutex<String>

    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }
    nonisolated var written: String { steps.withLock { $0 } }

    init(_ name: Character, on thread: DedicatedThread) {
        self.thread = thread
        self.name = name
        steps = Mutex("")
    }

    func work(_ count: Int, into book: Worker, whenAllAreHere here: Gate) async {
        here.arrive()
        while !here.isOpen { await DedicatedThread.giveWay() }
        for _ in 0..<count {
            book.append(name)
            await DedicatedThread.giveWay()
        }
    }

    func appendOnThread(_ character: Character) { append(character) }

    nonisolated func append(_ character: Character) { steps.withLock { $0.append(character) } }
}

private final class Gate: Sendable {
    private let missing: Mutex<Int>
    init(_ count: Int) { missing = Mutex(count) }
    func arrive() { missing.withLock { $0 -= 1 } }
    var isOpen: Bool { missing.withLock { $0 <= 0 } }
}

@Suite("Giving way on a dedicated thread")
struct GiveWayTests {
    @Test("those who give way go round and round, whoever has more to do")
    func rounds() async {
        let thread = DedicatedThread(name: "rounds")
        let book = Worker("-", on: thread)
        let gate = Gate(3)
        await withTaskGroup(of: Void.self) { group in
            for (name, count) in [("a", 30), ("b", 10), ("c", 10)] as [(Character, Int)] {
                let worker = Worker(name, on: thread)
                group.addTask { await worker.work(count, into: book, whenAllAreHere: gate) }
            }
        }
        let written = Array(book.written)
        #expect(written.count == 50)
        // As long as all have work, nobody is ahead by more than the round under way and the one he began with.
        var counts: [Character: Int] = ["a": 0, "b": 0, "c": 0]
        for name in written.prefix(27) {
            counts[name, default: 0] += 1
            let steps = counts.values.sorted()
            #expect(steps[2] - steps[0] <= 2, "\(book.written)")
        }
    }

    @Test("a sleeper whose time has come goes before those who give way")
    func sleepers() async throws {
        let thread = DedicatedThread(name: "sleepers")
        let book = Worker("-", on: thread)
        let worker = Worker("w", on: thread)
        let sleeper = Sleeper(on: thread)
        let task = Task { try await sleeper.sleep(book) }
        let gate = Gate(1)
        // As long as it works without a pause, the sleeper comes through only if it is let.
        while !book.written.contains("s") { await worker.work(100, into: book, whenAllAreHere: gate) }
        try await task.value
        #expect(book.written.contains("s"))
    }

    @Test("alone on its thread, or on no such thread, nobody is waited for")
    func alone() async {
        let thread = DedicatedThread(name: "alone")
        let book = Worker("-", on: thread)
        await Worker("x", on: thread).work(1000, into: book, whenAllAreHere: Gate(0))
        await DedicatedThread.giveWay()
        #expect(book.written.count == 1000)
    }
}

@Suite("A thread that sleeps")
struct SleepingThreadTests {
    @Test("it does what is given to it meanwhile, sleeps on, and wakes at the deadline and not before")
    func interrupted() async throws {
        let thread = DedicatedThread(name: "sleeping")
        let book = Worker("-", on: thread)
        let sleeper = Sleeper(on: thread)
        let start = SystemTime().now
        let task = Task { try await sleeper.sleep(book, for: .milliseconds(150)) }
        for _ in 0..<20 { await book.appendOnThread("x") }
        try await task.value
        #expect(start.duration(to: SystemTime().now) >= .milliseconds(150))
        #expect(book.written.count { $0 == "x" } == 20 && book.written.count { $0 == "s" } == 1)
    }

    @Test("the end of its task wakes it", arguments: [0, 20])
    func cancelled(_ milliseconds: Int) async throws {
        let sleeper = Sleeper(on: DedicatedThread(name: "cancelled"))
        let book = Worker("-", on: DedicatedThread(name: "book"))
        let task = Task { try await sleeper.sleep(book, for: .seconds(3600)) }
        try await Task.sleep(for: .milliseconds(milliseconds))
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(book.written.isEmpty)
    }

    @Test("two that sleep on one thread both wake, the earlier deadline first", arguments: [false, true])
    func two(_ prefersThread: Bool) async throws {
        let thread = DedicatedThread(name: "two")
        let book = Worker("-", on: thread)
        let (late, early) = (Sleeper("l", on: thread), Sleeper("e", on: thread))
        let executor = prefersThread ? thread : nil
        let now = SystemTime().now
        let first = Task {
            try await withTaskExecutorPreference(executor) { try await late.sleep(book, until: now.advanced(by: .seconds(1))) }
        }
        try await Task.sleep(for: .milliseconds(10))
        let second = Task {
            try await withTaskExecutorPreference(executor) { try await early.sleep(book, until: now.advanced(by: .milliseconds(30))) }
        }
        try await first.value
        try await second.value
        #expect(book.written == "el")
    }
}

private actor Sleeper {
    private let thread: DedicatedThread
    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }
    private let name: Character
    init(_ name: Character = "s", on thread: DedicatedThread) {
        self.name = name
        self.thread = thread
    }
    func sleep(_ book: Worker, for duration: Duration = .milliseconds(20)) async throws {
        try await SystemTime().sleep(for: duration)
        book.append(name)
    }
    func sleep(_ book: Worker, until deadline: MonotonicInstant) async throws {
        try await SystemTime().sleep(until: deadline)
        book.append(name)
    }
}
