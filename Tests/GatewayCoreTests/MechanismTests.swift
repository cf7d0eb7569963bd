import GatewayCore
import Logging
import Synchronization
import Telemetry
import TestKit
import Testing

private actor OnThread {
    private let thread = DedicatedThread(name: "a thread with a long name")
    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }
    private var count = 0
    private let time = SystemTime()

    /// Sleeps here, and tells whether it woke here, and not before its time.
    func sleepAndWake(for duration: Duration) async throws -> Bool {
        let deadline = time.now.advanced(by: duration)
        try await time.sleep(until: deadline)
        thread.checkIsolated()
        return time.now >= deadline
    }

    func increment() -> Int {
        thread.checkIsolated()
        count += 1
        return count
    }
}

@Suite("Dedicated thread")
struct DedicatedThreadTests {
    @Test("an actor runs on it, from many tasks, one job at a time, and it goes when the actor goes")
    func actor() async {
        for _ in 0..<50 {
            let actor = OnThread()
            await withTaskGroup(of: Void.self) { group in
                for _ in 0..<20 { group.addTask { for _ in 0..<10 { _ = await actor.increment() } } }
            }
            #expect(await actor.increment() == 201)
        }
    }
}

extension DedicatedThreadTests {
    @Test("sleepers on it wake on it, each in its turn and not before, while other jobs run")
    func sleepers() async throws {
        let actor = OnThread()
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for milliseconds in [30, 10, 20, 10, 0] { group.addTask { try await actor.sleepAndWake(for: .milliseconds(milliseconds)) } }
            for _ in 0..<100 { _ = await actor.increment() }
            for try await woke in group { #expect(woke) }
        }
    }

    @Test("a cancelled sleeper wakes at once, whenever the cancellation comes")
    func cancelledSleepers() async throws {
        let actor = OnThread()
        for round in 0..<200 {
            let task = Task { try await actor.sleepAndWake(for: .seconds(3600)) }
            for _ in 0..<round % 7 { await Task.yield() }
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
        }
        #expect(await actor.increment() == 1)
    }
}

@Suite("Backoff")
struct BackoffTests {
    @Test("waits grow, are jittered over half of their bound, and never pass the maximum")
    func growth() {
        var backoff = Backoff(initial: .milliseconds(100), maximum: .seconds(5))
        var generator = SeededGenerator(seed: 3)
        var bound = 100
        for attempt in 1...100 {
            let wait = backoff.next(using: &generator)
            #expect(wait >= .milliseconds(bound) / 2 && wait <= .milliseconds(bound))
            #expect(backoff.attempts == attempt)
            bound = min(5000, bound * 2)
        }
        backoff.reset()
        #expect(backoff.next(using: &generator) <= .milliseconds(100))
    }
}

@Suite("Supervisor")
struct SupervisorTests {
    private struct Bad: Error {}

    @Test("work that fails is started again after a growing wait, and its chain is logged with the count")
    func restart() async throws {
        let time = ManualTime()
        let runs = Mutex(0)
        let supervisor = Supervisor(resource: "work", logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, time: time)
        let task = Task {
            try await supervisor.run {
                let run = runs.withLock { count in
                    count += 1
                    return count
                }
                if run < 4 { throw GatewayError(.connectionLost, resource: "r", operation: "o", "lost", cause: Bad()) }
            }
        }
        for _ in 0..<3 {
            await time.untilAsleep(1)
            time.advance(by: .seconds(10))
        }
        try await task.value
        #expect(runs.withLock { $0 } == 4)
    }

    @Test("what must not be retried is thrown on at once")
    func terminal() async {
        let supervisor = Supervisor(resource: "work", logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, time: ManualTime())
        await #expect(throws: GatewayError.self) {
            try await supervisor.run { throw GatewayError(.configurationInvalid, resource: "r", operation: "o", "no") }
        }
    }

    @Test("a cancelled task ends without another run, whatever error its calls dress it as")
    func cancellation() async {
        let time = ManualTime()
        let runs = Mutex(0)
        let supervisor = Supervisor(resource: "work", logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, time: time)
        let task = Task {
            try await supervisor.run {
                runs.withLock { $0 += 1 }
                do {
                    try await time.sleep(for: .seconds(100))
                } catch {
                    throw Bad()
                }
            }
        }
        await time.untilAsleep(1)
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(runs.withLock { $0 } == 1)
        #expect(time.sleeperCount == 0)
    }
}
