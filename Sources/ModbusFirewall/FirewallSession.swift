internal import GatewayCore
internal import Glibc
internal import ModbusProtocol

/// One client's connection: reads a frame, has it answered, writes the answer, and so on until one side hangs up.
///
/// One request at a time: what a client sends ahead waits in its socket, which is bounded by the system.
actor FirewallSession {
    private let socket: Int32
    private let client: ClientAddress
    private let service: FirewallService
    private let thread: DedicatedThread
    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    /// How long a wait for the socket lasts at most before it is asked whether to stop, in milliseconds.
    private static let patience: Int32 = 200
    /// A frame that is not complete after so many waits comes from nobody worth waiting for.
    private static let waitsPerFrameMax = 15

    init(socket: Int32, client: ClientAddress, service: FirewallService) {
        self.socket = socket
        self.client = client
        self.service = service
        thread = DedicatedThread(name: "fw \(client)")
    }

    deinit { Glibc.close(socket) }

    func serve() async {
        while !Task.isCancelled {
            let frame: ModbusTCPFrame
            do {
                guard let next = try nextFrame() else { return }
                frame = next
            } catch {
                // After bytes that are no frame nothing can be told apart on this connection.
                service.update {
                    $0.malformed += 1
                    $0.reason = "\(client): \(error)"
                }
                return
            }
            let answer = await service.answer(frame.pdu, unit: frame.unit, client: client)
            guard send(ModbusTCPFrame(transaction: frame.transaction, unit: frame.unit, pdu: answer).bytes) else { return }
        }
    }

    /// `nil` when the client hung up, stays silent in the middle of a frame, or the session is to end.
    private func nextFrame() throws(ModbusFrameError) -> ModbusTCPFrame? {
        var bytes: [UInt8] = []
        var waits = 0
        while true {
            let wanted = (try ModbusTCPFrame.length(of: bytes) ?? 6) - bytes.count
            if wanted == 0 { return try ModbusTCPFrame(bytes: bytes) }
            guard isReady(POLLIN) else {
                waits += bytes.isEmpty ? 0 : 1
                if Task.isCancelled || waits > FirewallSession.waitsPerFrameMax { return nil }
                continue
            }
            var part = [UInt8](repeating: 0, count: wanted)
            let count = recv(socket, &part, wanted, 0)
            guard count > 0 else {
                if count < 0, errno == EINTR { continue }
                return nil
            }
            bytes += part[..<count]
            // A byte at a time is slow too.
            waits += 1
            if waits > FirewallSession.waitsPerFrameMax + ModbusTCPFrame.bytesMax { return nil }
        }
    }

    private func send(_ bytes: [UInt8]) -> Bool {
        var rest = bytes[...]
        var waits = 0
        while !rest.isEmpty {
            let sent = rest.withUnsafeBytes { Glibc.send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT)) }
            if sent > 0 {
                rest = rest.dropFirst(sent)
            } else if sent < 0, errno == EAGAIN {
                waits += isReady(POLLOUT) ? 0 : 1
                if Task.isCancelled || waits > FirewallSession.waitsPerFrameMax { return false }
            } else if sent < 0, errno == EINTR {
                continue
            } else {
                return false
            }
        }
        return true
    }

    private func isReady(_ events: Int32) -> Bool {
        var descriptor = pollfd(fd: socket, events: Int16(events), revents: 0)
        return poll(&descriptor, 1, FirewallSession.patience) > 0
    }
}
