internal import CSystem
package import Telemetry

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// Who is at the other end of a local socket, as the kernel knows it.
package struct LocalPeer: Sendable, Hashable {
    package var process: Int32
    package var user: UInt32

    package init(process: Int32, user: UInt32) {
        self.process = process
        self.user = user
    }

    /// The user's name where the system knows one.
    package var userName: String? {
        var entry = passwd()
        var found: UnsafeMutablePointer<passwd>?
        var buffer = [CChar](repeating: 0, count: 4096)
        guard getpwuid_r(user, &entry, &buffer, buffer.count, &found) == 0, found != nil, let name = entry.pw_name else { return nil }
        return String(cString: name)
    }
}

/// A connected or listening Unix domain socket that closes itself; everything that waits has a deadline.
final class LocalSocket: Sendable {
    let descriptor: Int32

    private init(_ descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    /// Makes the socket file, for its owner only, and listens. A file of that name that nobody listens at any more is replaced: the caller
    /// must know that no other process serves there.
    static func listening(at path: String, backlog: Int32) throws(GatewayError) -> LocalSocket {
        let socket = try LocalSocket.make(path)
        try socket.withAddress(of: path) { address, length, name in
            unlink(name)
            guard bind(socket.descriptor, address, length) == 0 else { return errno }
            // Nobody can connect before `listen`, so that there is no moment in which others could.
            guard chmod(name, 0o600) == 0, listen(socket.descriptor, backlog) == 0 else { return errno }
            return 0
        }
        return socket
    }

    /// Throws `notFound` when nobody listens there.
    static func connected(to path: String) throws(GatewayError) -> LocalSocket {
        let socket = try LocalSocket.make(path)
        try socket.withAddress(of: path) { address, length, _ in connect(socket.descriptor, address, length) == 0 ? 0 : errno }
        return socket
    }

    /// The next connection; `nil` when there was none after all.
    func accepted() -> LocalSocket? {
        let client = accept(descriptor, nil, nil)
        guard client >= 0 else { return nil }
        _ = fcntl(client, F_SETFD, FD_CLOEXEC)
        return LocalSocket(client)
    }

    var peer: LocalPeer? {
        var process: Int32 = 0
        var user: UInt32 = 0
        guard csystem_peer_credentials(descriptor, &process, &user) == 0 else { return nil }
        return LocalPeer(process: process, user: user)
    }

    /// What a line ended as.
    enum Line: Equatable {
        case line([UInt8])
        /// Longer than allowed.
        case tooLong
        /// The other end closed before the end of the line.
        case ended
        case timedOut
    }

    /// Bytes up to the first newline, which is taken off. What follows it is left out.
    func readLine(atMost limit: Int, timeout: Duration) -> Line {
        let deadline = SystemTime().now.advanced(by: timeout)
        var line: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            guard wait(for: Int16(POLLIN), until: deadline) else { return .timedOut }
            let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
            if count < 0, errno == EAGAIN || errno == EINTR { continue }
            guard count > 0 else { return .ended }
            let received = buffer[..<count]
            if let end = received.firstIndex(of: UInt8(ascii: "\n")) {
                line += received[..<end]
                return line.count > limit ? .tooLong : .line(line)
            }
            line += received
            if line.count > limit { return .tooLong }
        }
    }

    /// Writes all of the bytes; `false` when the other end does not take them in time, or is gone.
    func write(_ bytes: [UInt8], timeout: Duration) -> Bool {
        let deadline = SystemTime().now.advanced(by: timeout)
        var rest = bytes[...]
        while !rest.isEmpty {
            guard wait(for: Int16(POLLOUT), until: deadline) else { return false }
            let count = rest.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT)) }
            if count < 0, errno == EAGAIN || errno == EINTR { continue }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }

    /// Ends a `readLine` that waits.
    func stopReading() { shutdown(descriptor, Int32(SHUT_RD)) }

    private func wait(for events: Int16, until deadline: MonotonicInstant) -> Bool {
        while true {
            let left = SystemTime().now.duration(to: deadline).nanoseconds
            guard left > 0 else { return false }
            var interest = pollfd(fd: descriptor, events: events, revents: 0)
            let ready = poll(&interest, 1, Int32(min(left / 1_000_000 + 1, 60_000)))
            if ready > 0 { return true }
            if ready < 0, errno != EINTR { return false }
        }
    }

    private static func make(_ path: String) throws(GatewayError) -> LocalSocket {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw failure(errno, path) }
        return LocalSocket(descriptor)
    }

    /// Calls `body` with the address of a path. One that is too long for a socket's address is reached through its open folder.
    private func withAddress(
        of path: String, _ body: (UnsafePointer<sockaddr>, socklen_t, _ name: String) -> Int32
    ) throws(GatewayError) {
        var address = sockaddr_un()
        let capacity = MemoryLayout.size(ofValue: address.sun_path) - 1
        var name = path
        var folder: Int32 = -1
        defer { if folder >= 0 { close(folder) } }
        if path.utf8.count > capacity {
            let slash = path.lastIndex(of: "/") ?? path.startIndex
            folder = open(String(path[..<slash]), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            guard folder >= 0 else { throw LocalSocket.failure(errno, path) }
            name = "/proc/self/fd/\(folder)\(path[slash...])"
        }
        guard name.utf8.count <= capacity else { throw LocalSocket.failure(ENAMETOOLONG, path) }
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: name.utf8) }
        let code = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_un>.size), name) }
        }
        if code != 0 { throw LocalSocket.failure(code, path) }
    }

    private static func failure(_ code: Int32, _ path: String) -> GatewayError {
        let text = String(cString: strerror(code))
        return switch code {
        case ENOENT, ECONNREFUSED: GatewayError(.notFound, resource: path, operation: "connect", "nobody listens there (\(text))")
        case EACCES, EPERM: GatewayError(.refused, resource: path, operation: "open", "not allowed (\(text))")
        default: GatewayError(.connectionFailed, resource: path, operation: "open", text)
        }
    }
}

/// The client of a `LocalSocketServer`.
package enum LocalSocketClient {
    /// Sends one line and gives the line that comes back. Blocks.
    ///
    /// Throws `notFound` when nobody listens, `timedOut` when no answer comes in time, `protocolViolation` for an answer without an end.
    package static func ask(
        _ line: [UInt8], at path: String, answerBytesMax: Int = LocalSocketServer.lineBytesMax, timeout: Duration
    ) throws(GatewayError) -> [UInt8] {
        let socket = try LocalSocket.connected(to: path)
        guard socket.write(line + [UInt8(ascii: "\n")], timeout: timeout) else {
            throw GatewayError(.timedOut, resource: path, operation: "ask", "the request was not taken")
        }
        switch socket.readLine(atMost: answerBytesMax, timeout: timeout) {
        case .line(let answer): return answer
        case .timedOut: throw GatewayError(.timedOut, resource: path, operation: "ask", "no answer within \(timeout)")
        case .ended: throw GatewayError(.connectionLost, resource: path, operation: "ask", "closed without an answer")
        case .tooLong:
            throw GatewayError(.protocolViolation, resource: path, operation: "ask", "the answer is longer than \(answerBytesMax) bytes")
        }
    }
}
