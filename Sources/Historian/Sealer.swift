internal import GatewayCore
internal import Logging
internal import Synchronization
internal import Telemetry

/// Seals closed segments into blocks, on a thread of its own and never on the way of a commit.
actor Sealer {
    private let thread: DedicatedThread
    private let core: LogCore
    private let committer: Committer
    private let configuration: HistorianConfiguration
    private let time: any TimeSource
    private let logger: Logger
    private var isFailing = false
    /// How many streams the catalogue's file has.
    private var catalogued: Int?
    /// A piece of work is under way; who wants the next one waits.
    private var isTurning = false
    private var waiting: [CheckedContinuation<Void, Never>] = []

    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    /// How long to wait after the disk has refused.
    private static let pauseAfterRefusal = Duration.seconds(30)
    /// How often to look for closed segments.
    private static let interval = Duration.seconds(1)

    init(core: LogCore, committer: Committer, configuration: HistorianConfiguration, time: any TimeSource, logger: Logger) {
        self.core = core
        self.committer = committer
        self.configuration = configuration
        self.time = time
        self.logger = logger
        thread = DedicatedThread(name: "log-seal", niceness: 10)
    }

    /// Seals and thins what is due, until the task is cancelled.
    func run() async throws {
        while true {
            do {
                while try await turn(isSmallIncluded: false) {}
                isFailing = false
                try await time.sleep(for: Sealer.interval)
            } catch let error as GatewayError {
                report(error)
                try await time.sleep(for: Sealer.pauseAfterRefusal)
            }
        }
    }

    /// Does one piece of work; `false` if nothing is due. `isSmallIncluded` seals also what would wait for more of its kind.
    ///
    /// Waits for the piece that another caller has begun: who seals everything must not take that for the end of the work.
    func turn(isSmallIncluded: Bool) async throws -> Bool {
        while isTurning {
            await withCheckedContinuation { continuation in
                // The call itself may let others go first, and the piece of work be done by now.
                if isTurning { waiting.append(continuation) } else { continuation.resume() }
            }
        }
        isTurning = true
        defer {
            isTurning = false
            for continuation in waiting { continuation.resume() }
            waiting.removeAll()
        }
        try Task.checkCancellation()
        if let job = await committer.nextThinning() { return try await thin(job) }
        guard let segments = await committer.nextSealing(isSmallIncluded: isSmallIncluded) else { return false }
        do throws(GatewayError) {
            try saveCatalogue()
            let block = try BlockWriter.seal(
                segments, journal: configuration.journal, disk: configuration.disk, created: time.utc, catalogue: core.descriptor)
            await remove(await committer.didSeal(segments, as: block))
        } catch {
            await committer.didNotSeal(segments, because: error)
            if error.code == .limitExceeded || error.code == .storageCorrupt {
                report(error)
                return true
            }
            // Retention took a segment while it was read, or somebody else did.
            if error.code == .notFound { return false }
            throw error
        }
        return true
    }

    /// Takes away what a block has replaced. What the disk refuses is removed by a commit later.
    private func remove(_ segments: [Segment]) async {
        var removed: [Segment] = []
        for segment in segments {
            do throws(GatewayError) {
                try Files.remove(configuration.journal + "/" + segment.fileName, on: configuration.disk)
                removed.append(segment)
            } catch {
                logger.debug("a sealed segment is removed later", metadata: ["error_chain": .chain(of: error)])
            }
        }
        await committer.didRemove(removed)
    }

    /// A block needs the descriptors of its streams, which the segments take with them.
    private func saveCatalogue() throws(GatewayError) {
        let streams = core.descriptors()
        guard streams.count != catalogued else { return }
        try CatalogueFile.write(streams, folder: configuration.folder, disk: configuration.disk)
        catalogued = streams.count
    }

    /// `false` where a block was gone.
    private func thin(_ job: ThinningJob) async throws(GatewayError) -> Bool {
        do throws(GatewayError) {
            let (block, thinned) = try job.carryOut(
                journal: configuration.journal, disk: configuration.disk, created: time.utc, clock: core.state.withLock { $0.clock },
                catalogue: core.descriptor)
            await remove(await committer.didThin(job, to: block, thinned: thinned))
            return true
        } catch {
            await committer.didNotThin(job, because: error)
            if error.code == .notFound { return false }
            guard error.code == .storageCorrupt else { throw error }
            report(error)
            return true
        }
    }

    private func report(_ error: GatewayError) {
        guard !isFailing else { return }
        isFailing = true
        logger.warning(
            "segments cannot be sealed or thinned for now; they stay as they are",
            metadata: ["folder": "\(configuration.folder)", "error_chain": .chain(of: error)])
    }
}
