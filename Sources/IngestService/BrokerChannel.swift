internal import GatewayCore
internal import Telemetry

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// An open connection to a broker: the socket, and what reads and writes it. Made by one thread, then used and closed by another.
final class BrokerChannel: @unchecked Sendable {
    let descriptor: Int32
    private let channel: any ByteChannel
    private var isClosed = false

    static let connectTimeout = Duration.seconds(15)
    /// How long the broker may take to accept what is sent to it.
    static let writeTimeout = Duration.seconds(10)

    /// Blocks until the connection stands. Throws a `GatewayError` that names the step that failed.
    init(_ settings: BrokerSettings, time: any TimeSource) throws(GatewayError) {
        let descriptor = try Self.connect(settings, until: time.now.advanced(by: Self.connectTimeout), time)
        do throws(GatewayError) {
            channel =
                try settings.security?.secure(descriptor, host: settings.host, within: Self.connectTimeout)
                ?? PlainChannel(descriptor, resource: settings.name)
        } catch {
            Self.closeSocket(descriptor)
            throw GatewayError(.tlsFailed, resource: settings.name, operation: "connect", "TLS does not come to stand", cause: error)
        }
        self.descriptor = descriptor
    }

    deinit { if !isClosed { Self.closeSocket(descriptor) } }

    /// What has come, at most the buffer's size; 0 when nothing has.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws(GatewayError) -> Int { try channel.read(into: buffer, within: .zero) }

    func write(_ bytes: [UInt8]) throws(GatewayError) {
        do {
            try bytes.withUnsafeBytes { try channel.write($0, within: Self.writeTimeout) }
        } catch let error as GatewayError {
            throw error
        } catch {
            throw GatewayError(.connectionLost, resource: "broker", operation: "send", "\(error)")
        }
    }

    func close() {
        guard !isClosed else { return }
        isClosed = true
        channel.close()
        Self.closeSocket(descriptor)
    }

    private static func closeSocket(_ descriptor: Int32) {
        #if canImport(Glibc)
            _ = Glibc.close(descriptor)
        #elseif canImport(Musl)
            _ = Musl.close(descriptor)
        #endif
    }

    private static func connect(
        _ settings: BrokerSettings, until deadline: MonotonicInstant, _ time: any TimeSource
    ) throws(GatewayError) -> Int32 {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        let result = getaddrinfo(settings.host, String(settings.port), &hints, &found)
        guard result == 0 else {
            throw failure(settings, "the name \(settings.host) is not found: \(String(cString: gai_strerror(result)))")
        }
        defer { freeaddrinfo(found) }
        var reason = "no address"
        var next = found
        while let info = next?.pointee {
            next = info.ai_next
            let descriptor = socket(
                info.ai_family, info.ai_socktype | Int32(SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue), info.ai_protocol)
            guard descriptor >= 0 else {
                reason = String(cString: strerror(errno))
                continue
            }
            #if canImport(Glibc)
                let begun = Glibc.connect(descriptor, info.ai_addr, info.ai_addrlen)
            #elseif canImport(Musl)
                let begun = Musl.connect(descriptor, info.ai_addr, info.ai_addrlen)
            #endif
            if begun == 0 || errno == EINPROGRESS {
                let error = begun == 0 ? 0 : outcome(of: descriptor, time.now.duration(to: deadline))
                if error == 0 {
                    var yes: Int32 = 1
                    setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &yes, socklen_t(MemoryLayout<Int32>.size))
                    setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &yes, socklen_t(MemoryLayout<Int32>.size))
                    return descriptor
                }
                reason = String(cString: strerror(error))
            } else {
                reason = String(cString: strerror(errno))
            }
            closeSocket(descriptor)
        }
        throw failure(settings, reason)
    }

    /// The errno with which a connection attempt ends.
    private static func outcome(of descriptor: Int32, _ left: Duration) -> Int32 {
        var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        guard poll(&entry, 1, Int32(clamping: max(1, left.nanoseconds / 1_000_000))) > 0 else { return ETIMEDOUT }
        var error: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length) == 0 ? error : errno
    }

    private static func failure(_ settings: BrokerSettings, _ reason: String) -> GatewayError {
        GatewayError(.connectionFailed, resource: settings.name, operation: "connect", reason)
    }
}

/// A socket without encryption.
private final class PlainChannel: ByteChannel {
    private let descriptor: Int32
    private let resource: String

    init(_ descriptor: Int32, resource: String) {
        self.descriptor = descriptor
        self.resource = resource
    }

    func read(into buffer: UnsafeMutableRawBufferPointer, within limit: Duration) throws(GatewayError) -> Int {
        while true {
            let count = recv(descriptor, buffer.baseAddress, buffer.count, Int32(MSG_DONTWAIT))
            if count > 0 { return count }
            if count == 0 { throw lost("the broker closed the connection") }
            switch errno {
            case EINTR: continue
            case EAGAIN:
                guard waits(POLLIN, limit) else { return 0 }
            default: throw lost(String(cString: strerror(errno)))
            }
        }
    }

    func write(_ bytes: UnsafeRawBufferPointer, within limit: Duration) throws(GatewayError) {
        var sent = 0
        while sent < bytes.count {
            let count = send(
                descriptor, bytes.baseAddress?.advanced(by: sent), bytes.count - sent, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
            if count > 0 {
                sent += count
            } else if errno == EAGAIN {
                guard waits(POLLOUT, limit) else { throw lost("the broker takes no more data") }
            } else if errno != EINTR {
                throw lost(String(cString: strerror(errno)))
            }
        }
    }

    func close() {}

    private func waits(_ event: Int32, _ limit: Duration) -> Bool {
        guard limit > .zero else { return false }
        var entry = pollfd(fd: descriptor, events: Int16(event), revents: 0)
        return poll(&entry, 1, Int32(clamping: limit.nanoseconds / 1_000_000)) > 0
    }

    private func lost(_ message: String) -> GatewayError {
        GatewayError(.connectionLost, resource: resource, operation: "exchange", message)
    }
}
