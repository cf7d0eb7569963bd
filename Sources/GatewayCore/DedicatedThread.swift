internal import CSystem

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// A serial executor that is one thread of its own: the place for C calls that block.
///
/// An actor that returns it as its `unownedExecutor` runs only there, so a blocking call holds up that actor and
/// nobody else. The thread ends when the last reference to the executor is gone.
package final class DedicatedThread: SerialExecutor, Sendable {
    /// Shared with the thread, which does not keep the executor itself alive.
    private let queue: JobQueue

    /// Starts a thread. `name` shows in `top -H` and debuggers, cut to 15 bytes.
    package init(name: String) {
        queue = JobQueue(name: name)
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setstacksize(&attributes, Self.stackBytes)
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        var thread = pthread_t()
        let start = Unmanaged.passRetained(queue).toOpaque()
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

    package func checkIsolated() { precondition(queue.isCurrentThread, "not on the thread of this executor") }
}

/// Jobs on their way to one thread. A waiting job keeps its executor alive.
private final class JobQueue: @unchecked Sendable {
    private let name: String
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    // Guarded by `mutex`.
    private var waiting: [(job: UnownedJob, executor: DedicatedThread)] = []
    private var isClosed = false
    private var thread: pthread_t?

    init(name: String) {
        self.name = name
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(changed, nil)
    }

    deinit {
        pthread_cond_destroy(changed)
        pthread_mutex_destroy(mutex)
        changed.deallocate()
        mutex.deallocate()
    }

    var isCurrentThread: Bool {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return thread.map { pthread_equal($0, pthread_self()) != 0 } ?? false
    }

    func push(_ job: UnownedJob, for executor: DedicatedThread) {
        pthread_mutex_lock(mutex)
        waiting.append((job, executor))
        pthread_cond_signal(changed)
        pthread_mutex_unlock(mutex)
    }

    func close() {
        pthread_mutex_lock(mutex)
        isClosed = true
        pthread_cond_signal(changed)
        pthread_mutex_unlock(mutex)
    }

    func run() {
        var cName = name.utf8.prefix(15).map { CChar(bitPattern: $0) }
        cName.append(0)
        _ = csystem_set_thread_name(cName)
        pthread_mutex_lock(mutex)
        thread = pthread_self()
        while true {
            while waiting.isEmpty, !isClosed { pthread_cond_wait(changed, mutex) }
            if waiting.isEmpty { break }
            var jobs: [(job: UnownedJob, executor: DedicatedThread)] = []
            swap(&jobs, &waiting)
            pthread_mutex_unlock(mutex)
            for (job, executor) in jobs { job.runSynchronously(on: executor.asUnownedSerialExecutor()) }
            jobs.removeAll()
            pthread_mutex_lock(mutex)
        }
        pthread_mutex_unlock(mutex)
    }
}
