package import GatewayCore
internal import Glibc
package import Logging
internal import ModbusProtocol
package import Telemetry

/// The Modbus TCP server in front of the devices.
///
/// Each client has a thread of its own that blocks on its socket: a slow or silent client holds up nobody else.
package struct FirewallServer: Sendable {
    /// Most clients at once.
    package static let clientsMax = 32

    private let service: FirewallService
    private let listener: Listener
    private let stream: StreamID
    private let log: any TelemetryLog
    private let logger: Logger

    /// The TCP port listened on.
    package var port: UInt16 { listener.port }

    /// Listens on an IPv4 or IPv6 address; `port` 0 takes a free one. `stream` is that of `FirewallStream.descriptor`.
    ///
    /// Throws `.connectionFailed` when the address cannot be used.
    package init(
        service: FirewallService, address: String, port: UInt16, stream: StreamID, log: any TelemetryLog, logger: Logger
    ) throws(GatewayError) {
        self.service = service
        self.stream = stream
        listener = try Listener(address: address, port: port)
        self.log = log
        self.logger = logger
    }

    /// Serves until the task is cancelled; then every client is hung up on.
    package func run() async throws {
        try await withThrowingTaskGroup(of: Bool.self) { tasks in
            tasks.addTask {
                try await service.report(to: log, stream: stream)
                return false
            }
            tasks.addTask {
                try await listener.waitForClient()
                return true
            }
            var clients = 0
            while let isClient = try await tasks.next() {
                if isClient {
                    for session in try await accept(clients: clients) {
                        clients += 1
                        tasks.addTask {
                            await session.serve()
                            return false
                        }
                    }
                    tasks.addTask {
                        try await listener.waitForClient()
                        return true
                    }
                } else {
                    // A session ended: the report never does.
                    clients -= 1
                }
                service.update { $0.clients = clients }
            }
        }
    }

    private func accept(clients: Int) async throws -> [FirewallSession] {
        var sessions: [FirewallSession] = []
        while let (socket, address) = try await listener.accept() {
            guard service.knows(address), clients + sessions.count < FirewallServer.clientsMax else {
                Glibc.close(socket)
                let reason =
                    service.knows(address)
                    ? "\(address): \(FirewallServer.clientsMax) clients are connected already" : "no rule speaks of client \(address)"
                service.update {
                    $0.refusedConnections += 1
                    $0.reason = reason
                }
                logger.debug("connection refused", metadata: ["firewall": "\(service.name)", "reason": "\(reason)"])
                continue
            }
            sessions.append(FirewallSession(socket: socket, client: address, service: service))
        }
        return sessions
    }
}

/// A listening socket with the thread that waits on it.
private actor Listener {
    nonisolated let port: UInt16
    private let socket: Int32
    private let thread: DedicatedThread
    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    /// How long a wait for the socket lasts at most before it is asked whether to stop, in milliseconds.
    static let patience: Int32 = 200

    init(address: String, port: UInt16) throws(GatewayError) {
        (socket, self.port) = try Listener.listen(address, port)
        thread = DedicatedThread(name: "firewall")
    }

    deinit { Glibc.close(socket) }

    func waitForClient() throws {
        while true {
            try Task.checkCancellation()
            var descriptor = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
            if poll(&descriptor, 1, Listener.patience) > 0 { return }
        }
    }

    /// The next client that waits; `nil` when none does.
    func accept() throws -> (socket: Int32, address: ClientAddress)? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let client = withUnsafeMutablePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { Glibc.accept(socket, $0, &length) }
        }
        guard client >= 0 else { return nil }
        _ = fcntl(client, F_SETFD, FD_CLOEXEC)
        var on: Int32 = 1
        setsockopt(client, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
        setsockopt(client, SOL_SOCKET, SO_KEEPALIVE, &on, socklen_t(MemoryLayout<Int32>.size))
        return (client, ClientAddress(storage))
    }

    private static func listen(_ address: String, _ port: UInt16) throws(GatewayError) -> (socket: Int32, port: UInt16) {
        var hints = addrinfo()
        hints.ai_flags = AI_NUMERICHOST | AI_PASSIVE
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(address, String(port), &hints, &found) == 0, let info = found else {
            throw GatewayError(.configurationInvalid, resource: "firewall", operation: "listen", "'\(address)' is not an IP address")
        }
        defer { freeaddrinfo(found) }
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let socket = Glibc.socket(info.pointee.ai_family, type, 0)
        var on: Int32 = 1
        setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let isListening =
            socket >= 0 && bind(socket, info.pointee.ai_addr, info.pointee.ai_addrlen) == 0 && Glibc.listen(socket, 16) == 0
            && withUnsafeMutablePointer(to: &storage) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(socket, $0, &length) == 0 }
            }
        guard isListening else {
            let reason = String(cString: strerror(errno))
            if socket >= 0 { Glibc.close(socket) }
            throw GatewayError(
                .connectionFailed, resource: "firewall", operation: "listen",
                "port \(port) on \(address) cannot be used (\(reason)); is another program on it?")
        }
        // The port is at the same place in both families' addresses.
        let bound = withUnsafeBytes(of: storage) { UInt16(bigEndian: $0.loadUnaligned(fromByteOffset: 2, as: UInt16.self)) }
        return (socket, bound)
    }
}

extension ClientAddress {
    fileprivate init(_ storage: sockaddr_storage) {
        let bytes = withUnsafeBytes(of: storage) { raw in
            storage.ss_family == sa_family_t(AF_INET6) ? Array(raw[8..<24]) : Array(raw[4..<8])
        }
        self.init(bytes: bytes)
    }
}
