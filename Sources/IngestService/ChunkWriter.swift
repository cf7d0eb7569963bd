package import GatewayCore
package import Ingest
package import Logging
internal import Synchronization
internal import Telemetry

/// Brings chunks into the database, one after the other, on a thread of its own; what the database refuses goes into the folder for that.
package actor ChunkWriter {
    private let thread = DedicatedThread(name: "ingest-write")
    package nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    private let makeDatabase: @Sendable () throws -> any Database
    private var opened: (any Database)?
    private let setAside: SetAsideOptions
    private var folder: SetAsideFolder?
    private let time: any TimeSource
    private let status: IngestStatus
    private let logger: Logger
    private var series: [Series] = []
    private var gateways: [String] = []
    private var isFailing = false

    /// Where refused data is kept, and how much of it.
    package struct SetAsideOptions: Sendable {
        package var folder: String
        package var bytesMax: Int

        package init(folder: String, bytesMax: Int = SetAsideFolder.bytesMaxDefault) {
            self.folder = folder
            self.bytesMax = bytesMax
        }
    }

    /// - Parameter makeDatabase: called once, on the writer's thread, which alone uses what it returns.
    package init(
        setAside: SetAsideOptions, time: any TimeSource, status: IngestStatus, logger: Logger,
        makeDatabase: @escaping @Sendable () throws -> any Database
    ) {
        self.setAside = setAside
        self.time = time
        self.status = status
        self.logger = logger
        self.makeDatabase = makeDatabase
    }

    /// Opens the folder and the database. Waits for a database that is away; throws when it never will do, or on cancellation.
    package func prepare() async throws {
        folder = try SetAsideFolder(setAside.folder, bytesMax: setAside.bytesMax)
        let database = try makeDatabase()
        opened = database
        var backoff = Backoff()
        while true {
            do throws(GatewayError) {
                for remark in try database.prepare() {
                    logger.warning("the database needs attention", metadata: ["database": "\(database.name)", "remark": "\(remark)"])
                }
                succeeded(database)
                return
            } catch {
                guard error.isRetryable else { throw error }
                try await wait(&backoff, error, database)
            }
        }
    }

    /// Returns when every sample and message of the chunk is where it belongs. Throws `CancellationError` only.
    package func write(_ chunk: SampleChunk) async throws {
        guard let database = opened else { return }
        for refusal in chunk.refused { keep(refusal.message, refusal.reason) }
        series += chunk.additions.series
        gateways += chunk.additions.gateways
        database.learn(chunk.additions)
        let batches = database.hasObjections ? sift(chunk, database) : chunk.batches
        if !batches.isEmpty { try await place(chunk, batches[...], database) }
    }

    /// Keeps aside what the database would drop without a word; returns what is left.
    private func sift(_ chunk: SampleChunk, _ database: any Database) -> [SampleChunk.Batch] {
        let now = time.utc
        var fit: [SampleChunk.Batch] = []
        fit.reserveCapacity(chunk.batches.count)
        for batch in chunk.batches {
            var rest = batch
            var index = batch.samples.lowerBound
            while index < batch.samples.upperBound {
                guard let reason = database.objection(to: chunk.samples[index], texts: chunk.texts, at: now) else {
                    index += 1
                    continue
                }
                if rest.samples.lowerBound < index {
                    rest.samples = rest.samples.lowerBound..<index
                    fit.append(rest)
                }
                var unfit = batch
                var end = index + 1
                while end < batch.samples.upperBound, database.objection(to: chunk.samples[end], texts: chunk.texts, at: now) == reason {
                    end += 1
                }
                unfit.samples = index..<end
                keep(unfit, in: chunk, reason)
                rest.samples = end..<batch.samples.upperBound
                index = end
            }
            if !rest.samples.isEmpty { fit.append(rest) }
        }
        return fit
    }

    private func place(_ chunk: SampleChunk, _ batches: ArraySlice<SampleChunk.Batch>, _ database: any Database) async throws {
        var backoff = Backoff()
        while true {
            do throws(DatabaseFailure) {
                let outcome = try database.write(chunk, batches)
                succeeded(database)
                let newest = batches.compactMap { $0.samples.last.map { chunk.samples[$0].time } }.max() ?? 0
                status.wrote(newest: newest) { counters in
                    counters.writtenSamples += UInt64(outcome.writtenSamples)
                    counters.knownSamples += UInt64(outcome.knownSamples)
                    counters.writes += 1
                    counters.writtenBytes += UInt64(outcome.bytes)
                }
                return
            } catch {
                switch error {
                case .failed(let failure): try await wait(&backoff, failure, database)
                case .refused(let reason), .tooLarge(let reason): return try await split(chunk, batches, reason, database)
                }
            }
        }
    }

    /// Halves what was refused until the culprit stands alone; it is kept aside.
    private func split(
        _ chunk: SampleChunk, _ batches: ArraySlice<SampleChunk.Batch>, _ reason: String, _ database: any Database
    ) async throws {
        if batches.count > 1 {
            let middle = batches.startIndex + batches.count / 2
            try await place(chunk, batches[..<middle], database)
            try await place(chunk, batches[middle...], database)
            return
        }
        guard let batch = batches.first else { return }
        guard batch.samples.count > 1, database.takesPartsOfBatches else { return keep(batch, in: chunk, reason) }
        let middle = batch.samples.lowerBound + batch.samples.count / 2
        for part in [batch.samples.lowerBound..<middle, middle..<batch.samples.upperBound] {
            var half = batch
            half.samples = part
            try await place(chunk, [half], database)
        }
    }

    // MARK: - Troubles

    private func succeeded(_ database: any Database) {
        guard isFailing else { return }
        isFailing = false
        status.tell(trouble: nil)
        logger.notice("the database takes data again", metadata: ["database": "\(database.name)"])
    }

    private func wait(_ backoff: inout Backoff, _ error: GatewayError, _ database: any Database) async throws {
        try Task.checkCancellation()
        let trouble = error.chain.joined(separator: ": ")
        status.tell(trouble: trouble)
        status.writing { $0.retries += 1 }
        let metadata: Logger.Metadata = ["database": "\(database.name)", "error_chain": .array(error.chain.map { "\($0)" })]
        if isFailing {
            logger.debug("the database does not take data", metadata: metadata)
        } else {
            isFailing = true
            logger.warning("the database does not take data; it is tried again until it does", metadata: metadata)
        }
        try await time.sleep(for: backoff.next())
    }

    private func keep(_ message: IngestMessage, _ reason: String) {
        do {
            try folder?.keep(message, reason: reason, at: time.utc)
            status.writing { $0.setAsideMessages += 1 }
            logger.debug("a message was set aside", metadata: ["topic": "\(message.topic)", "reason": "\(reason)"])
        } catch {
            status.writing { $0.droppedMessages += 1 }
            lost(reason, error)
        }
    }

    private func keep(_ batch: SampleChunk.Batch, in chunk: SampleChunk, _ reason: String) {
        do {
            try folder?.keep(
                batch.samples, of: batch, in: chunk, series, gateway: gateways[Int(batch.key.gateway)], reason: reason, at: time.utc)
            status.writing { $0.setAsideSamples += UInt64(batch.samples.count) }
            logger.debug("samples were set aside", metadata: ["samples": "\(batch.samples.count)", "reason": "\(reason)"])
        } catch {
            status.writing { $0.droppedSamples += UInt64(batch.samples.count) }
            lost(reason, error)
        }
    }

    private func lost(_ reason: String, _ error: any Error) {
        logger.error(
            "refused data could not be set aside and is lost; it is counted",
            metadata: ["reason": "\(reason)", "error_chain": .array(error.chain.map { "\($0)" })])
    }
}
