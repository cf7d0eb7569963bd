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

private actor Sleeper {
    private let thread: DedicatedThread
    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }
    init(on thread: DedicatedThread) { self.thread = thread }
    func sleep(_ book: Worker) async throws {
        try await SystemTime().sleep(for: .milliseconds(20))
        book.append("s")
    }
}
