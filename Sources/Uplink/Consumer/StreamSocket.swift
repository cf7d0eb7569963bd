internal import GatewayCore
internal import Telemetry

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// A connected TCP socket that closes itself.
struct StreamSocket: ~Copyable {
    let descriptor: Int32

    /// Resolves the name (which blocks) and connects to the first address that answers within `limit`, all of them together.
    ///
    /// `wake` is a descriptor that ends the wait when it can be read. Throws a `GatewayError`.
    init(host: String, port: UInt16, within limit: Duration, wake: Int32, resource: String, time: any TimeSource) throws(GatewayError) {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, "\(port)", &hints, &list)
        func failure(_ kind: GatewayError.Code, _ message: String) -> GatewayError {
            GatewayError(kind, resource: resource, operation: "connect", message, time: time.utc)
        }
        guard code == 0 else {
            throw failure(
                .connectionFailed,
                "the name \(host) cannot be resolved (\(String(cString: gai_strerror(code)))); check the name, and the DNS of this machine")
        }
        defer { freeaddrinfo(list) }
        let deadline = time.now.advanced(by: limit)
        var last: Int32 = EADDRNOTAVAIL
        var next = list
        while let address = next?.pointee {
            next = address.ai_next
            let opened = socket(address.ai_family, address.ai_socktype | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
            guard opened >= 0 else {
                last = errno
                continue
            }
            last = Self.connect(opened, address, until: deadline, wake: wake, time: time)
            guard last == 0 else {
                close(opened)
                if last == ECANCELED { break }
                continue
            }
            var on: Int32 = 1
            setsockopt(opened, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
            descriptor = opened
            return
        }
        switch last {
        case ECONNREFUSED:
            throw failure(
                .connectionFailed, "nothing listens there (connection refused); is the broker running, is the port right?")
        case ETIMEDOUT: throw failure(.timedOut, "no answer from this address; check the address and the firewalls in between")
        default: throw failure(.connectionFailed, String(cString: strerror(last)))
        }
    }

    deinit { close(descriptor) }

    /// 0, or an errno.
    private static func connect(
        _ descriptor: Int32, _ address: addrinfo, until deadline: MonotonicInstant, wake: Int32, time: any TimeSource
    ) -> Int32 {
        if Uplink.connect(descriptor, address) == 0 { return 0 }
        guard errno == EINPROGRESS else { return errno }
        var entries = [pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0), pollfd(fd: wake, events: Int16(POLLIN), revents: 0)]
        while true {
            let left = time.now.duration(to: deadline).nanoseconds
            guard left > 0 else { return ETIMEDOUT }
            let count = poll(&entries, 2, Int32(clamping: (left + 999_999) / 1_000_000))
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return ETIMEDOUT }
            if entries[1].revents != 0 { return ECANCELED }
            var code: Int32 = 0
            var length = socklen_t(MemoryLayout<Int32>.size)
            getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &length)
            return code
        }
    }
}

/// The system's `connect`, which methods of that name would hide.
private func connect(_ descriptor: Int32, _ address: addrinfo) -> Int32 { connect(descriptor, address.ai_addr, address.ai_addrlen) }

/// Bytes as they are, without encryption.
final class PlainChannel: ByteChannel {
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
            if count == 0 { throw failure("the broker closed the connection") }
            switch errno {
            case EINTR: continue
            case EAGAIN: guard limit > .zero, waits(for: POLLIN, limit) else { return 0 }
            default: throw failure(String(cString: strerror(errno)))
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
                guard waits(for: POLLOUT, limit) else { throw failure("the broker takes no more data") }
            } else if errno != EINTR {
                throw failure(String(cString: strerror(errno)))
            }
        }
    }

    func close() {}

    private func waits(for event: Int32, _ limit: Duration) -> Bool {
        var entry = pollfd(fd: descriptor, events: Int16(event), revents: 0)
        return poll(&entry, 1, Int32(clamping: (limit.nanoseconds + 999_999) / 1_000_000)) > 0
    }

    private func failure(_ message: String) -> GatewayError {
        GatewayError(.connectionLost, resource: resource, operation: "connection", message)
    }
}
