package import GatewayCore
internal import Telemetry

/// Where a store lies and how much of everything it may take.
package struct HistorianConfiguration: Sendable {
    /// The store's folder; made, with the folders above it, if it is missing.
    package var folder: String
    /// Most bytes of all files of the store together.
    package var diskLimit: Int
    /// How often what is new goes to disk: what a crash can lose at most.
    package var commitInterval: Duration
    /// How long data is kept that every cursor has acknowledged; `nil`: until the disk limit is reached.
    package var keepFor: Duration?
    /// What happens when the disk limit is reached.
    package var policy: RetentionPolicy
    /// Most bytes to write in a day, for the life of flash; `nil`: as many as come.
    package var writeBudget: Int?
    /// Most bytes of the newest batches in memory.
    package var memoryTailBytes: Int
    /// What carries out the changes of files.
    package var disk: any StoreDisk
    /// The run of the system whose clock stamps the batches.
    package var boot: BootID

    /// A smaller store could not hold its own catalogue and a few segments.
    package static let diskLimitMin = 4 << 20
    /// No segment file grows beyond this, except for one single longer record.
    package static let segmentBytesMax = 16 << 20
    /// Kept free of segments for the growth of the database between two looks at its size.
    static let databaseReserve = 512 << 10

    package init(
        folder: String, diskLimit: Int, commitInterval: Duration = .milliseconds(100), keepFor: Duration? = nil,
        policy: RetentionPolicy = .thin, writeBudget: Int? = nil, memoryTailBytes: Int = 8 << 20, disk: any StoreDisk = SystemDisk(),
        boot: BootID = .current()
    ) {
        self.folder = folder
        self.diskLimit = diskLimit
        self.commitInterval = commitInterval
        self.keepFor = keepFor
        self.policy = policy
        self.writeBudget = writeBudget
        self.memoryTailBytes = memoryTailBytes
        self.disk = disk
        self.boot = boot
    }

    /// Where a segment ends and the next one begins.
    package var segmentBytes: Int { min(HistorianConfiguration.segmentBytesMax, diskLimit / 8) }

    var journal: String { folder + "/journal" }
    var database: String { folder + "/state.sqlite" }

    func validate() throws(GatewayError) {
        func invalid(_ message: String) -> GatewayError {
            GatewayError(.configurationInvalid, resource: "log \(folder)", operation: "open", message)
        }
        if folder.isEmpty { throw invalid("the folder's name is empty") }
        if diskLimit < HistorianConfiguration.diskLimitMin {
            throw invalid("diskLimit is \(diskLimit) bytes, but must be at least \(HistorianConfiguration.diskLimitMin)")
        }
        if commitInterval < .milliseconds(1) { throw invalid("commitInterval is \(commitInterval), but must be at least 1 ms") }
        if let keepFor, keepFor <= .zero { throw invalid("keepFor is \(keepFor), but must be longer than nothing") }
        if let writeBudget, writeBudget < 1 << 20 { throw invalid("writeBudget is \(writeBudget), but must be at least \(1 << 20)") }
        if memoryTailBytes < 64 << 10 { throw invalid("memoryTailBytes is \(memoryTailBytes), but must be at least \(64 << 10)") }
    }
}
