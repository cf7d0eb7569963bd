internal import GatewayCore
internal import Synchronization
internal import Telemetry

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// What other threads want of a consumer's connection, and the pipe that wakes it.
final class ConsumerOrders: Sendable {
    private struct State {
        var deliveries: DeliveryQueue
        var publications: [UInt8] = []
        var isEnding = false
        var isWoken = false
    }

    private let state: Mutex<State>
    /// Read end of the pipe.
    let wake: Int32
    private let waker: Int32

    init(receiveMaximum: Int, resource: String) throws(GatewayError) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else {
            throw GatewayError(
                .connectionFailed, resource: resource, operation: "connect", "no pipe to be had: \(String(cString: strerror(errno)))")
        }
        for end in ends {
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
        }
        (wake, waker) = (ends[0], ends[1])
        state = Mutex(State(deliveries: DeliveryQueue(maximum: receiveMaximum)))
    }

    deinit {
        close(wake)
        close(waker)
    }

    func end() { change { $0.isEnding = true } }

    func publish(_ packet: [UInt8]) -> Bool {
        var isTaken = false
        change { state in
            isTaken = !state.isEnding && state.publications.count + packet.count <= Consumer.publicationBytesMax
            if isTaken { state.publications += packet }
        }
        return isTaken
    }

    /// Takes a message of the broker; returns under which number it is answered.
    func append(packet: UInt16) throws(MalformedPacket) -> UInt64 {
        try state.withLock { state throws(MalformedPacket) in try state.deliveries.append(packet: packet) }
    }

    func answer(_ serial: UInt64, _ reason: ReasonCode) {
        state.withLock { state in
            guard state.deliveries.answer(serial, reason) else { return }
            wakeUp(&state)
        }
    }

    private func change(_ body: (inout State) -> Void) {
        state.withLock { state in
            body(&state)
            wakeUp(&state)
        }
    }

    private func wakeUp(_ state: inout State) {
        guard !state.isWoken else { return }
        state.isWoken = true
        var byte: UInt8 = 0
        _ = write(waker, &byte, 1)
    }

    /// The bytes that are to be sent, and whether the connection shall end.
    func take() -> (bytes: [UInt8], isEnding: Bool) {
        state.withLock { state in
            if state.isWoken {
                var byte: UInt8 = 0
                _ = read(wake, &byte, 1)
                state.isWoken = false
            }
            var bytes: [UInt8] = []
            for answered in state.deliveries.takeAnswered() { bytes += PacketWriter.acknowledge(answered.packet, answered.answer) }
            bytes += state.publications
            state.publications.removeAll(keepingCapacity: true)
            return (bytes, state.isEnding)
        }
    }
}

/// One connection of a consumer, run by its thread.
struct ConsumerConnection: Sendable {
    private let settings: Consumer.Settings
    private let orders: ConsumerOrders
    private let resource: String
    private let time: any TimeSource

    /// The most bytes that are read at once.
    private static let readBytes = 64 << 10
    /// How long the broker may take no data.
    private static let writeTimeout = Duration.seconds(15)
    /// How often the keep-alive is looked after, in milliseconds.
    private static let tickMilliseconds: Int32 = 1000

    init(_ settings: Consumer.Settings, _ orders: ConsumerOrders, resource: String, time: any TimeSource) {
        self.settings = settings
        self.orders = orders
        self.resource = resource
        self.time = time
    }

    /// Throws `CancellationError` when it was told to end, else a `GatewayError`.
    func run(_ handle: @Sendable (Consumer.Event) -> Void) throws {
        do {
            let deadline = time.now.advanced(by: settings.connectTimeout)
            let socket = try StreamSocket(
                host: settings.host, port: settings.port, within: settings.connectTimeout, wake: orders.wake, resource: resource, time: time
            )
            let left = time.now.duration(to: deadline)
            let channel: any ByteChannel =
                try settings.security?.secure(socket.descriptor, host: settings.host, within: left)
                ?? PlainChannel(socket.descriptor, resource: resource)
            defer { channel.close() }
            try serve(channel, socket.descriptor, until: deadline, handle)
        } catch {
            // Whatever broke while it was told to end is of no interest.
            if orders.take().isEnding { throw CancellationError() }
            throw error
        }
    }

    private func serve(
        _ channel: any ByteChannel, _ descriptor: Int32, until deadline: MonotonicInstant, _ handle: @Sendable (Consumer.Event) -> Void
    ) throws {
        var machine = ConsumerMachine(settings, at: time.now)
        var reader = PacketReader(packetBytesMax: settings.packetBytesMax)
        var buffer = [UInt8](repeating: 0, count: Self.readBytes)
        var isConnected = false
        try send(PacketWriter.connect(settings), channel, &machine)
        do {
            while true {
                let (bytes, isEnding) = orders.take()
                if !bytes.isEmpty { try send(bytes, channel, &machine) }
                if isEnding {
                    try send(PacketWriter.disconnect(.success), channel, &machine)
                    throw CancellationError()
                }
                let count = try buffer.withUnsafeMutableBytes { try channel.read(into: $0, within: .zero) }
                if count > 0 {
                    reader.append(buffer[..<count])
                    while let packet = try next(&reader, machine) {
                        switch try machine.receive(packet, at: time.now) {
                        case .none: break
                        case .subscribe(let properties):
                            isConnected = true
                            try send(PacketWriter.subscribe(settings.subscriptions, packet: 1), channel, &machine)
                            handle(.connected(properties))
                        case .deliver(let message): handle(.delivery(try delivery(message, machine)))
                        }
                    }
                    continue
                }
                guard isConnected || time.now < deadline else {
                    throw GatewayError(
                        .timedOut, resource: resource, operation: "connect",
                        "no answer to CONNECT within \(settings.connectTimeout); does the broker hang?", time: time.utc)
                }
                if try machine.isPingDue(at: time.now) { try send(PacketWriter.ping, channel, &machine) }
                var entries = [
                    pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0), pollfd(fd: orders.wake, events: Int16(POLLIN), revents: 0),
                ]
                _ = poll(&entries, 2, Self.tickMilliseconds)
            }
        } catch let ending as ConsumerMachine.Ending {
            // The connection is at its end; that the farewell cannot be sent changes nothing.
            if let farewell = ending.farewell { try? send(PacketWriter.disconnect(farewell), channel, &machine) }
            throw GatewayError(
                ending.code, resource: resource, operation: isConnected ? "connection" : "connect", ending.message, time: time.utc)
        }
    }

    private func next(_ reader: inout PacketReader, _ machine: ConsumerMachine) throws(ConsumerMachine.Ending) -> ReceivedPacket? {
        do throws(MalformedPacket) { return try reader.next() } catch { throw machine.violation(error) }
    }

    private func delivery(_ message: ReceivedMessage, _ machine: ConsumerMachine) throws(ConsumerMachine.Ending) -> Consumer.Delivery {
        guard message.qualityOfService > 0 else { return Consumer.Delivery(message, answer: nil) }
        do throws(MalformedPacket) {
            let serial = try orders.append(packet: message.packet)
            // Weak: a delivery that outlives its connection must not keep its pipe.
            return Consumer.Delivery(message) { [weak orders] in orders?.answer(serial, $0) }
        } catch {
            throw machine.violation(error)
        }
    }

    private func send(_ bytes: [UInt8], _ channel: any ByteChannel, _ machine: inout ConsumerMachine) throws(GatewayError) {
        var failure: GatewayError?
        bytes.withUnsafeBytes { raw in
            do throws(GatewayError) { try channel.write(raw, within: Self.writeTimeout) } catch { failure = error }
        }
        if let failure { throw failure }
        machine.didSend(at: time.now)
    }
}
