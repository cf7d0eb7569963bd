internal import CSystem

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// A serial executor that is one thread of its own: the place for C calls that block.
///
/// An actor that returns it as its `unownedExecutor` runs only there, so a blocking call holds up that actor and
/// nobody else. What sleeps there (`SystemTime.sleep`) sleeps in the thread itself as long as it has nothing else to do, and costs one change of
/// thread. A task that prefers the executor (`withTaskExecutorPreference`) also comes back to it directly from all else that it awaits;
/// one that does not comes back over a thread of the pool.
/// The thread ends when the last reference to the executor is gone.
package final class DedicatedThread: SerialExecutor, TaskExecutor, Sendable {
    /// Shared with the thread, which does not keep the executor itself alive.
    private let queue: JobQueue

    /// Starts a thread. `name` shows in `top -H` and debuggers, cut to 15 bytes; `niceness` from 1 to 19 lets others go first.
    package init(name: String, niceness: Int32 = 0) {
        queue = JobQueue(name: name, niceness: niceness)
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setstacksize(&attributes, Self.stackBytes)
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        var thread = pthread_t()
        let start = Unmanaged.passRetained(queue).toOpaque()
        // A thread begins with its maker's signal mask. Signals are for those who wait for them: delivered to this thread, a SIGTERM would
        // be lost to them, or end the process.
        var blocked = sigset_t()
        var makersMask = sigset_t()
        sigfillset(&blocked)
        // What a fault of the thread itself raises stays, so that it is reported.
        for fault in [SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT] { sigdelset(&blocked, fault) }
        pthread_sigmask(SIG_SETMASK, &blocked, &makersMask)
        defer { pthread_sigmask(SIG_SETMASK, &makersMask, nil) }
        let result = pthread_create(
            &thread, &attributes,
            { argument in
                if let argument { Unmanaged<JobQueue>.fromOpaque(argument).takeRetainedValue().run() }
                return nil
            }, start)
        precondition(result == 0, "the system gives no more threads (\(result))")
        pthread_attr_destroy(&attributes)
    }

    deinit { queue.close() }

    /// Stack of the thread. Only touched pages cost memory.
    private static let stackBytes = 1 << 20

    package func enqueue(_ job: consuming ExecutorJob) { queue.push(UnownedJob(job), for: self) }

    package func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }

    package func asUnownedTaskExecutor() -> UnownedTaskExecutor { UnownedTaskExecutor(ordinary: self) }

    /// Lets the other jobs of the thread go first: those that wait, and those whose deadline has come. Callers that do so in turn go round and
    /// round. Returns at once on a thread that is not a dedicated one.
    package static func giveWay(isolation: isolated (any Actor)? = #isolation) async {
        await JobQueue.current?.giveWay(isolation: isolation)
    }

    package func checkIsolated() { precondition(queue.isCurrentThread, "not on the thread of this executor") }
}

/// Jobs on their way to one thread, and the sleepers it will wake. A waiting job keeps its executor alive.
final class JobQueue: @unchecked Sendable {
    private struct Sleeper {
        var id: UInt64
        /// On `CLOCK_BOOTTIME`, in nanoseconds.
        var deadline: Int64
        var continuation: CheckedContinuation<Void, any Error>
    }

    private let name: String
    private let niceness: Int32
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    // Guarded by `mutex`.
    private var waiting: [(job: UnownedJob, executor: DedicatedThread)] = []
    private var sleepers: [Sleeper] = []
    private var nextSleeper: UInt64 = 0
    private var yielding: [CheckedContinuation<Void, Never>] = []
    /// Of those who gave way and were resumed, not here again yet: the runtime may take them over another thread.
    private var returning = 0
    private var isClosed = false
    private var thread: pthread_t?
    /// Of those taken from `waiting`, not begun yet. Only the thread itself looks at it.
    private var jobsLeft = 0

    /// Where a dedicated thread finds its own queue.
    private static let key: pthread_key_t = {
        var key = pthread_key_t()
        pthread_key_create(&key, nil)
        return key
    }()

    /// The queue of the calling thread, if that is a dedicated one.
    static var current: JobQueue? {
        pthread_getspecific(key).map { Unmanaged<JobQueue>.fromOpaque($0).takeUnretainedValue() }
    }

    init(name: String, niceness: Int32) {
        self.name = name
        self.niceness = niceness
        pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(changed, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(changed)
        pthread_mutex_destroy(mutex)
        changed.deallocate()
        mutex.deallocate()
    }

    private func withLock<Result>(_ body: () -> Result) -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return body()
    }

    var isCurrentThread: Bool { withLock { thread.map { pthread_equal($0, pthread_self()) != 0 } ?? false } }

    func push(_ job: UnownedJob, for executor: DedicatedThread) {
        withLock {
            waiting.append((job, executor))
            // The thread looks at its queue before it waits: a job it gives itself needs no signal.
            if waiting.count == 1 { pthread_cond_signal(changed) }
        }
    }

    func close() {
        withLock {
            isClosed = true
            pthread_cond_signal(changed)
        }
    }

    /// Suspends the caller until the deadline, or throws `CancellationError` as soon as its task is cancelled.
    ///
    /// Called on the thread itself. With nothing else to do the thread waits within the call: a suspended task would be resumed over a thread of
    /// the pool, unless it prefers this executor.
    ///
    /// The caller's isolation is passed on by hand: the closures would otherwise run on the pool, and the thread be left twice.
    func sleep(until deadline: MonotonicInstant, isolation: isolated (any Actor)? = #isolation) async throws {
        let hasSlept = await withTaskCancellationHandler(
            operation: {
                _ = isolation
                return sleepAlone(until: deadline)
            },
            onCancel: {
                withLock { _ = pthread_cond_signal(changed) }
            }, isolation: isolation)
        try Task.checkCancellation()
        if hasSlept { return }
        let id = withLock {
            nextSleeper += 1
            return nextSleeper
        }
        try await withTaskCancellationHandler(
            operation: {
                _ = isolation
                try await withCheckedThrowingContinuation(isolation: isolation) { continuation in
                    let isCancelled = withLock {
                        if Task.isCancelled { return true }
                        sleepers.append(Sleeper(id: id, deadline: deadline.nanoseconds, continuation: continuation))
                        // Called from another thread, the wait under way knows nothing of this deadline.
                        if thread.map({ pthread_equal($0, pthread_self()) == 0 }) ?? true { pthread_cond_signal(changed) }
                        return false
                    }
                    if isCancelled { continuation.resume(throwing: CancellationError()) }
                }
            },
            onCancel: {
                let cancelled = withLock { sleepers.firstIndex { $0.id == id }.map { sleepers.remove(at: $0) } }
                cancelled?.continuation.resume(throwing: CancellationError())
            }, isolation: isolation)
    }

    /// Waits in the thread; `false` when somebody else wants it before the deadline.
    private func sleepAlone(until deadline: MonotonicInstant) -> Bool {
        guard jobsLeft == 0 else { return false }
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while waiting.isEmpty, sleepers.isEmpty, yielding.isEmpty, returning == 0, !Task.isCancelled {
            let left = deadline.nanoseconds - SystemTime().now.nanoseconds
            if left <= 0 { return true }
            wait(atMost: left)
        }
        return false
    }

    func giveWay(isolation: isolated (any Actor)?) async {
        if jobsLeft == 0, withLock({ waiting.isEmpty && sleepers.isEmpty && yielding.isEmpty && returning == 0 }) { return }
        await withCheckedContinuation(isolation: isolation) { continuation in withLock { yielding.append(continuation) } }
        withLock { returning -= 1 }
    }

    func run() {
        var cName = name.utf8.prefix(15).map { CChar(bitPattern: $0) }
        cName.append(0)
        _ = csystem_set_thread_name(cName)
        if niceness != 0 { csystem_set_thread_niceness(niceness) }
        pthread_setspecific(JobQueue.key, Unmanaged.passUnretained(self).toOpaque())
        pthread_mutex_lock(mutex)
        thread = pthread_self()
        while true {
            let due = takeDueSleepers()
            // Those who gave way come after those whose time has come, and after the jobs of before; nobody comes a second time before all
            // of his round have come once.
            var yielded: [CheckedContinuation<Void, Never>] = []
            if returning == 0 {
                swap(&yielded, &yielding)
                returning = yielded.count
            }
            if !due.isEmpty || !yielded.isEmpty {
                pthread_mutex_unlock(mutex)
                for sleeper in due { sleeper.continuation.resume() }
                for continuation in yielded { continuation.resume() }
                pthread_mutex_lock(mutex)
            }
            if waiting.isEmpty {
                if isClosed { break }
                // Jobs that the sleepers' tasks have become may be here already; a wait would then return at once.
                wait()
                continue
            }
            var jobs: [(job: UnownedJob, executor: DedicatedThread)] = []
            swap(&jobs, &waiting)
            pthread_mutex_unlock(mutex)
            jobsLeft = jobs.count
            for (job, executor) in jobs {
                jobsLeft -= 1
                job.runSynchronously(isolatedTo: executor.asUnownedSerialExecutor(), taskExecutor: executor.asUnownedTaskExecutor())
            }
            jobs.removeAll()
            pthread_mutex_lock(mutex)
        }
        pthread_mutex_unlock(mutex)
    }

    /// Called with the lock held.
    private func takeDueSleepers() -> [Sleeper] {
        guard !sleepers.isEmpty else { return [] }
        let now = SystemTime().now.nanoseconds
        var due: [Sleeper] = []
        sleepers.removeAll { sleeper in
            guard sleeper.deadline <= now else { return false }
            due.append(sleeper)
            return true
        }
        return due.sorted { $0.deadline < $1.deadline }
    }

    /// Called with the lock held and nothing to do: waits for a job, the next deadline, or the end.
    private func wait() {
        guard let next = sleepers.map(\.deadline).min() else {
            pthread_cond_wait(changed, mutex)
            return
        }
        wait(atMost: max(0, next - SystemTime().now.nanoseconds))
    }

    /// Called with the lock held.
    private func wait(atMost nanoseconds: Int64) {
        // The condition's clock stands still while the machine sleeps, the deadline's does not; so it is told as a span from now, and
        // looked at again after an hour.
        var until = SystemTime.conditionDeadline(after: min(nanoseconds, 3_600_000_000_000))
        pthread_cond_timedwait(changed, mutex, &until)
    }
}
