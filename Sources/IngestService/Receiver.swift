package import GatewayCore
package import Ingest
package import Logging
internal import MQTTProtocol
internal import Synchronization
internal import Telemetry

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// Takes messages from brokers, hands their samples to the writer, and acknowledges what the database has.
///
/// One thread reads and decodes for all brokers; the writer has its own. At most two chunks are on their way to the database; when it does not keep up,
/// nothing more is read, and the brokers wait.
package actor Receiver {
    /// How a receiver gathers.
    package struct Settings: Sendable {
        /// How many samples make a chunk full.
        package var chunkSamplesMax = 100_000
        /// How many bytes of messages make a chunk full.
        package var chunkBytesMax = 16 << 20
        /// How long the first sample of a chunk waits for more when the database has nothing to do.
        package var linger = Duration.milliseconds(5)
        /// How long the end may take, until what was read is in the database.
        package var finishTimeout = Duration.seconds(10)
        /// Ends by itself when no data came for so long, nothing waits and everything is written; `nil`: never.
        package var idleTimeout: Duration?

        package init() {}
    }

    private let thread = DedicatedThread(name: "ingest")
    package nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    private let brokers: [BrokerSettings]
    private let settings: Settings
    private let writer: ChunkWriter
    private let time: any TimeSource
    private let status: IngestStatus
    private let logger: Logger
    private let inbox = Inbox()
    private let births: BirthFolder?
    private var decoder: IngestDecoder

    private var links: [Link]
    private var channels: [BrokerChannel?]
    private var nextConnection: UInt32 = 0
    private var nextMessage: UInt64 = 0
    private var chunk = SampleChunk()
    private var chunkBytes = 0
    private var chunkDeadline: MonotonicInstant?
    private var outstanding = 0
    /// Which broker is read first, the next time.
    private var firstRead = 0
    private var lastData: MonotonicInstant
    private var buffer = [UInt8](repeating: 0, count: 256 << 10)

    /// What the folder has of births is known from the beginning; without a folder every birth is asked for after a restart.
    package init(
        brokers: [BrokerSettings], decoder: IngestDecoder, writer: ChunkWriter, births: sending BirthFolder? = nil,
        settings: Settings = Settings(), time: any TimeSource, status: IngestStatus, logger: Logger
    ) {
        self.brokers = brokers
        self.settings = settings
        self.writer = writer
        self.time = time
        self.status = status
        self.logger = logger
        var decoder = decoder
        if let births {
            for (index, broker) in brokers.enumerated() {
                for birth in births.births(broker: broker.name) { decoder.restore(birth, source: index) }
            }
        }
        self.births = births
        self.decoder = decoder
        let now = time.now
        links = brokers.map { Link($0, at: now) }
        channels = brokers.map { _ in nil }
        lastData = now
    }

    /// Receives until the task is cancelled, or nothing came for the idle timeout. What was read is then brought into the database, for a bounded time.
    package func run() async throws {
        try inbox.open()
        defer { inbox.close() }
        let (chunks, sink) = AsyncStream.makeStream(of: SampleChunk.self)
        let writing = Task { [writer, inbox] in
            for await chunk in chunks {
                try await writer.write(chunk)
                inbox.put { $0.finished.append(chunk.messages) }
            }
        }
        defer {
            sink.finish()
            writing.cancel()
        }
        await withTaskCancellationHandler {
            loop(sink)
        } onCancel: {
            inbox.put { $0.isStopping = true }
        }
    }

    // MARK: - On the thread

    private func loop(_ sink: AsyncStream<SampleChunk>.Continuation) {
        var finishDeadline: MonotonicInstant?
        while true {
            let orders = inbox.take()
            take(orders)
            let now = time.now
            if finishDeadline == nil, orders.isStopping || isIdle(at: now) {
                finishDeadline = now.advanced(by: settings.finishTimeout)
                sayOffline()
            }
            if let finishDeadline {
                flush(sink)
                acknowledge()
                if outstanding == 0 || now >= finishDeadline { break }
            } else {
                connect(at: now)
                if isReading { readAll() }
                tick(at: time.now)
                if isFlushDue(at: time.now) { flush(sink) }
                acknowledge()
            }
            status.received(decoder.counters)
            wait(isFinishing: finishDeadline != nil)
        }
        goodbye()
        status.received(decoder.counters)
    }

    private var isFull: Bool { chunk.samples.count >= settings.chunkSamplesMax || chunkBytes >= settings.chunkBytesMax }
    private var isReading: Bool { !(isFull && outstanding >= 2) }

    private func isFlushDue(at now: MonotonicInstant) -> Bool {
        guard !chunk.isEmpty, outstanding < 2 else { return false }
        if isFull { return true }
        return outstanding == 0 && chunkDeadline.map { now >= $0 } == true
    }

    private func isIdle(at now: MonotonicInstant) -> Bool {
        guard let limit = settings.idleTimeout, links.contains(where: { $0.state == .receiving }), outstanding == 0, chunk.isEmpty,
            decoder.counters.heldMessages == 0
        else { return false }
        return now >= lastData.advanced(by: limit)
    }

    private func flush(_ sink: AsyncStream<SampleChunk>.Continuation) {
        guard !chunk.isEmpty, outstanding < 2 else { return }
        decoder.complete(&chunk)
        outstanding += 1
        sink.yield(chunk)
        chunk = SampleChunk()
        chunk.samples.reserveCapacity(settings.chunkSamplesMax)
        chunkBytes = 0
        chunkDeadline = nil
    }

    private func take(_ orders: Inbox.Orders) {
        for messages in orders.finished {
            outstanding -= 1
            decoder.record(messages)
            for token in messages {
                if let index = links.firstIndex(where: { $0.connection == token.connection }) { links[index].finish(token.number) }
            }
        }
        for (index, outcome) in orders.opened {
            switch outcome {
            case .success(let channel):
                channels[index] = channel
                send(links[index].didConnect(at: time.now, utc: time.utc), to: index)
            case .failure(let error): lose(index, error)
            }
        }
    }

    // MARK: - Brokers

    private func connect(at now: MonotonicInstant) {
        for index in links.indices {
            guard case .idle(let until) = links[index].state, now >= until else { continue }
            nextConnection += 1
            links[index].connection = nextConnection
            links[index].state = .connecting
            let broker = brokers[index]
            let inbox = inbox
            let time = time
            // On a thread of its own: a name that is being resolved holds up nobody else.
            Task { await Connector().open(broker, time) { outcome in inbox.put { $0.opened.append((index, outcome)) } } }
        }
    }

    /// Each in its turn begins, so that one that has much does not fill every chunk alone.
    private func readAll() {
        for offset in links.indices { read((firstRead + offset) % links.count) }
        firstRead = (firstRead + 1) % max(1, links.count)
    }

    private func read(_ index: Int) {
        guard let channel = channels[index] else { return }
        do throws(GatewayError) {
            // Bounded, so that one broker does not keep the others waiting.
            for _ in 0..<16 where !isFull {
                let count = try receive(from: channel, into: index)
                if count == 0 { return }
                while let packet = try links[index].input.next() { try take(packet, index) }
                if channels[index] == nil { return }
            }
        } catch {
            lose(index, error)
        }
    }

    private func receive(from channel: BrokerChannel, into index: Int) throws(GatewayError) -> Int {
        var failure: GatewayError?
        let count = buffer.withUnsafeMutableBytes { bytes in
            do throws(GatewayError) {
                let count = try channel.read(into: bytes)
                if count > 0 { links[index].input.append(UnsafeRawBufferPointer(rebasing: bytes[..<count])) }
                return count
            } catch {
                failure = error
                return 0
            }
        }
        if let failure { throw failure }
        if count > 0 { links[index].didReceive(at: time.now) }
        return count
    }

    private func take(_ packet: MQTTIncoming, _ index: Int) throws(GatewayError) {
        switch packet {
        case .connectAnswer(let answer):
            send(try links[index].take(answer), to: index)
            logger.info(
                "connected to a broker",
                metadata: ["broker": "\(brokers[index].name)", "session_present": "\(answer.isSessionPresent)"])
            decoder.didReconnect(source: index)
        case .subscribeAnswer(let packetID, let codes):
            try links[index].take(subscribed: codes, packetID: packetID)
            status.connected(1)
            // Silence counts from here: before, nothing could come.
            lastData = time.now
            send(links[index].hostStateMessage(isOnline: true), to: index)
        case .publishAnswer: break
        case .pingAnswer: links[index].pingAnswered()
        case .disconnect(let code, let reason):
            throw GatewayError(
                .connectionLost, resource: brokers[index].name, operation: "receive",
                "the broker ends the connection: \(code)\(reason.map { ": \($0)" } ?? "")")
        case .message(let message):
            nextMessage += 1
            let token = try links[index].take(message, number: nextMessage)
            if let state = brokers[index].hostState, message.topic == state.topic, state.isOffline(message.payload) {
                send(links[index].hostStateMessage(isOnline: true), to: index)
            }
            let now = time.now
            lastData = now
            chunkBytes += message.payload.count
            var effects = IngestEffects()
            decoder.receive(
                IngestMessage(topic: message.topic, payload: message.payload, token: token, source: index), at: now, utc: time.utc,
                into: &chunk, &effects)
            carryOut(effects)
            if chunkDeadline == nil, !chunk.isEmpty { chunkDeadline = now.advanced(by: settings.linger) }
        }
    }

    private func carryOut(_ effects: IngestEffects) {
        for (birth, source) in effects.births { births?.keep(birth, broker: brokers[source].name) }
        for refusal in effects.refused {
            chunk.refused.append(refusal)
            if let token = refusal.message.token { chunk.messages.append(token) }
        }
        for publication in effects.publications {
            logger.debug("asking for a birth", metadata: ["topic": "\(publication.topic)"])
            guard links[publication.source].state == .receiving else { continue }
            send(MQTTOutput.publish(topic: publication.topic, payload: publication.payload), to: publication.source)
        }
    }

    private func send(_ bytes: [UInt8], to index: Int) {
        guard !bytes.isEmpty, let channel = channels[index] else { return }
        do throws(GatewayError) {
            try channel.write(bytes)
            links[index].didSend(at: time.now)
        } catch {
            lose(index, error)
        }
    }

    private func acknowledge() {
        for index in links.indices {
            let due = links[index].acknowledgements()
            guard due.count > 0 else { continue }
            births?.synchronize()
            send(due.bytes, to: index)
            status.acknowledged(due.count)
        }
    }

    private func tick(at now: MonotonicInstant) {
        var effects = IngestEffects()
        decoder.tick(at: now, utc: time.utc, &effects)
        carryOut(effects)
        if chunkDeadline == nil, !chunk.isEmpty { chunkDeadline = now }
        for index in links.indices {
            do throws(GatewayError) {
                if let bytes = try links[index].tick(at: now, isReading: isReading) { send(bytes, to: index) }
            } catch {
                lose(index, error)
            }
        }
    }

    private func lose(_ index: Int, _ error: GatewayError) {
        if links[index].state == .receiving { status.connected(-1) }
        channels[index]?.close()
        channels[index] = nil
        let isFirst = links[index].backoff.attempts == 0
        links[index].didLose(at: time.now)
        logger.log(
            level: isFirst ? .warning : .debug, "no connection to a broker; it is tried again until there is one",
            metadata: ["broker": "\(brokers[index].name)", "error_chain": .array(error.chain.map { "\($0)" })])
    }

    private func sayOffline() {
        for index in links.indices where links[index].state == .receiving {
            send(links[index].hostStateMessage(isOnline: false), to: index)
        }
    }

    private func goodbye() {
        for index in channels.indices where channels[index] != nil {
            if links[index].state == .receiving { send(MQTTOutput.disconnect, to: index) }
            channels[index]?.close()
            channels[index] = nil
        }
    }

    /// Waits until a broker has sent something, the writer has finished something, or the time has come for something.
    private func wait(isFinishing: Bool) {
        let now = time.now
        var deadline = now.advanced(by: .milliseconds(500))
        if let chunkDeadline, outstanding == 0 { deadline = min(deadline, chunkDeadline) }
        if let next = decoder.nextDeadline { deadline = min(deadline, next) }
        for link in links { if case .idle(let until) = link.state { deadline = min(deadline, until) } }
        var entries = [pollfd(fd: inbox.descriptor, events: Int16(POLLIN), revents: 0)]
        if isReading, !isFinishing {
            for case let channel? in channels { entries.append(pollfd(fd: channel.descriptor, events: Int16(POLLIN), revents: 0)) }
        }
        let left = max(0, now.duration(to: deadline).nanoseconds)
        _ = poll(&entries, nfds_t(entries.count), Int32(clamping: (left + 999_999) / 1_000_000))
    }
}

/// Where a connection is made.
private actor Connector {
    private let thread = DedicatedThread(name: "ingest-connect")
    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    func open(_ settings: BrokerSettings, _ time: any TimeSource, _ tell: @Sendable (Result<BrokerChannel, GatewayError>) -> Void) {
        tell(Result { () throws(GatewayError) in try BrokerChannel(settings, time: time) })
    }
}

/// What other threads leave for the receiver's, with a pipe that wakes it.
private final class Inbox: Sendable {
    struct Orders: Sendable {
        /// The messages of each chunk that is where it belongs.
        var finished: [[MessageToken]] = []
        var opened: [(Int, Result<BrokerChannel, GatewayError>)] = []
        var isStopping = false
    }

    private struct State {
        var orders = Orders()
        var ends: [Int32] = []
        var isWoken = false
    }

    private let state = Mutex(State())

    /// The end of the pipe to wait for; -1 before `open`.
    var descriptor: Int32 { state.withLock { $0.ends.first ?? -1 } }

    func open() throws(GatewayError) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else {
            throw GatewayError(
                .connectionFailed, resource: "ingest", operation: "start", "no pipe to be had: \(String(cString: strerror(errno)))")
        }
        for end in ends {
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
        }
        state.withLock { $0.ends = ends }
    }

    func close() {
        state.withLock { state in
            for end in state.ends {
                #if canImport(Glibc)
                    _ = Glibc.close(end)
                #elseif canImport(Musl)
                    _ = Musl.close(end)
                #endif
            }
            state.ends = []
        }
    }

    func put(_ change: (inout Orders) -> Void) {
        state.withLock { state in
            change(&state.orders)
            guard !state.isWoken, state.ends.count == 2 else { return }
            state.isWoken = true
            var byte: UInt8 = 0
            _ = write(state.ends[1], &byte, 1)
        }
    }

    func take() -> Orders {
        state.withLock { state in
            if state.isWoken {
                var byte: UInt8 = 0
                _ = read(state.ends[0], &byte, 1)
                state.isWoken = false
            }
            let orders = state.orders
            state.orders = Orders()
            return orders
        }
    }
}
