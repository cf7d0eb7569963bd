internal import GatewayCore
internal import Synchronization
internal import Telemetry

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// The lock and the database of an open log.
///
/// On a disk that is full already neither can be made or written. The log runs without them then, and asks again at every commit:
/// nothing goes into the journal before the database has the epoch.
final class StoreAccess: Sendable {
    /// What could be found out at opening.
    struct Opening {
        var access: StoreAccess
        /// What the database holds; `nil` for a new, a lost or an empty one.
        var stored: StoredState?
        var recovery: Recovery
        var report: RecoveryReport
        /// Why the store could not be opened for writing.
        var refusal: GatewayError?
        /// The highest epoch noted beside the lock.
        var notedEpoch: UInt32
        var hadStore: Bool
    }

    private struct State {
        var lock: StoreLock?
        var store: StateStore?
        /// Repairs that the full disk refused.
        var recovery: Recovery?
    }

    private let configuration: HistorianConfiguration
    private let state: Mutex<State>

    private init(configuration: HistorianConfiguration, state: consuming sending State) {
        self.configuration = configuration
        self.state = Mutex(state)
    }

    /// Opens the store for writing, or for looking where the disk is full.
    static func open(_ configuration: HistorianConfiguration, time: any TimeSource) throws(GatewayError) -> Opening {
        do throws(GatewayError) {
            let hadStore = hadStoreBefore(configuration)
            try Files.createFolder(configuration.journal, on: configuration.disk)
            let lock = try StoreLock(folder: configuration.folder)
            var report = RecoveryReport()
            let (store, stored) = try openDatabase(configuration, time: time, report: &report)
            let recovery = try Recovery(stored: stored, folder: configuration.folder, journal: configuration.journal)
            try recovery.repair(on: configuration.disk)
            report.merge(recovery.report)
            let access = StoreAccess(configuration: configuration, state: State(lock: lock, store: store))
            return Opening(
                access: access, stored: stored, recovery: recovery, report: report, notedEpoch: lock.newestEpoch, hadStore: hadStore)
        } catch  where error.code == .storageFull || error.code == .storageFailed && isFull(configuration.folder) {
            return try openWithoutRoom(configuration, refusal: error)
        }
    }

    /// Whether a log was here before, of which the database may tell nothing.
    private static func hadStoreBefore(_ configuration: HistorianConfiguration) -> Bool {
        Files.exists(configuration.database) || Files.exists(configuration.folder + "/lock")
    }

    /// Reads what is there, and changes nothing.
    private static func openWithoutRoom(
        _ configuration: HistorianConfiguration, refusal: GatewayError
    ) throws(GatewayError) -> Opening {
        var lock: StoreLock?
        do throws(GatewayError) {
            lock = try StoreLock(folder: configuration.folder)
        } catch  where error.code == .storageFull || error.code == .notFound {
            // Not even the folder could be made: there is nothing that another process could have.
        }
        let hadStore = hadStoreBefore(configuration)
        var stored: StoredState?
        if Files.size(configuration.database) > 0 {
            let state = try StateStore.loadWithoutRoom(path: configuration.database)
            if state.epoch > 0 { stored = state }
        }
        let recovery = try Recovery(stored: stored, folder: configuration.folder, journal: configuration.journal)
        let access = StoreAccess(configuration: configuration, state: State(lock: lock, store: nil, recovery: recovery))
        return Opening(
            access: access, stored: stored, recovery: recovery, report: recovery.report, refusal: refusal,
            notedEpoch: lock?.newestEpoch ?? 0, hadStore: hadStore)
    }

    /// The database and what it holds; `nil` for a new or a lost one. A damaged one is set aside.
    private static func openDatabase(
        _ configuration: HistorianConfiguration, time: any TimeSource, report: inout RecoveryReport, looksAgain: Bool = true
    ) throws(GatewayError) -> (StateStore, StoredState?) {
        let path = configuration.database
        let existed = Files.exists(path)
        do throws(GatewayError) {
            for file in [path, path + "-wal", path + "-shm"] where Files.exists(file) && !Files.isFile(file) {
                throw GatewayError(.storageCorrupt, resource: "log \(file)", operation: "open", "it is no file")
            }
            let store = try StateStore(path: path)
            let state = try store.load()
            if state.epoch > 0 { return (store, state) }
            if !existed { report.catalogueRebuilt = try hasSegments(configuration) }
            return (store, nil)
        } catch  where error.code == .storageCorrupt {
            // One refused read looks like damage, and must not cost every reader its place.
            if looksAgain { return try openDatabase(configuration, time: time, report: &report, looksAgain: false) }
            let suffix = ".\(time.utc.milliseconds).damaged"
            for extra in ["", "-wal", "-shm"] where Files.exists(path + extra) {
                try Files.rename(path + extra, to: path + extra + suffix, on: configuration.disk)
            }
            // Else a power failure could bring it back, and epochs given from now on would be given again.
            try Files.synchronizeFolder(configuration.folder, on: configuration.disk)
            report.setAside["state.sqlite"] = error.message
            report.catalogueRebuilt = true
            return (try StateStore(path: path), nil)
        }
    }

    private static func hasSegments(_ configuration: HistorianConfiguration) throws(GatewayError) -> Bool {
        try Files.names(in: configuration.journal).contains {
            Segment.number(fileName: $0) != nil || BlockFormat.parse(fileName: $0) != nil
        }
    }

    /// Whether a file of the size that a database needs at least does not fit: SQLite calls a full disk an input/output error
    /// where it maps memory.
    private static func isFull(_ folder: String) -> Bool {
        let path = folder + "/room"
        defer { try? Files.remove(path, on: SystemDisk()) }
        do throws(GatewayError) {
            try OpenFile(path, O_WRONLY | O_CREAT | O_TRUNC).write([UInt8](repeating: 0, count: 128 << 10), at: 0, on: SystemDisk())
            return false
        } catch {
            return error.code == .storageFull
        }
    }

    // MARK: - Use

    /// Whether the database can be written.
    var isOpen: Bool { state.withLock { $0.store != nil } }

    /// Tries again what the full disk refused.
    func reopen() throws(GatewayError) {
        try state.withLock { state throws(GatewayError) in
            if state.store != nil { return }
            try Files.createFolder(configuration.journal, on: configuration.disk)
            if state.lock == nil { state.lock = try StoreLock(folder: configuration.folder) }
            let store = try StateStore(path: configuration.database)
            try state.recovery?.repair(on: configuration.disk)
            state.recovery = nil
            state.store = store
        }
    }

    /// Notes the epoch beside the lock, too.
    func note(epoch: UInt32) { state.withLock { $0.lock?.note(epoch: epoch) } }

    /// Returns how many bytes that costs the medium.
    @discardableResult
    func save(_ new: StoredState, over old: StoredState) throws(GatewayError) -> Int {
        let store = try store(for: "save")
        try store.save(new, over: old)
        return store.takeBytesWritten()
    }

    /// Enters a stream. Without room for that the stream stays in memory for now: every segment describes its streams itself, and the next
    /// snapshot enters it.
    func add(_ streams: [(StreamDescriptor, StreamID)]) throws(GatewayError) {
        guard let store = state.withLock({ $0.store }) else { return }
        do throws(GatewayError) {
            try store.add(streams)
        } catch  where error.code == .storageFull {}
    }

    /// Closes the database and gives the store free.
    func close() throws(GatewayError) {
        let store = state.withLock { state in
            defer { state = State() }
            return (store: state.store, lock: state.lock)
        }
        try store.store?.close()
    }

    private func store(for operation: String) throws(GatewayError) -> StateStore {
        if let store = state.withLock({ $0.store }) { return store }
        throw GatewayError(
            .storageFull, resource: "log \(configuration.folder)", operation: operation,
            "the store is not open, because the disk was full when the gateway started: free space on this file system")
    }
}
