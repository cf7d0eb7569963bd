internal import Synchronization
internal import Telemetry

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// Answers questions of programs on the same machine at a Unix domain socket: one line in, one line out, then the connection is closed.
///
/// Only the user who runs the gateway and root may ask, which the kernel vouches for. Whoever sends too much, too slowly or nothing is
/// cut off, and holds up nobody else.
package actor LocalSocketServer {
    /// The most bytes of a question or an answer.
    package static let lineBytesMax = 16 << 10
    /// Connections at a time; further ones are closed at once.
    package static let clientsMax = 8
    /// How long a question may take to arrive, and an answer to be taken.
    package static let transferTimeout = Duration.seconds(5)

    private let path: String
    private let thread = DedicatedThread(name: "local socket")
    private let transferTimeout: Duration

    package nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    /// - Parameter path: of the socket, which is made when it runs; its folder must exist.
    package init(path: String, transferTimeout: Duration = LocalSocketServer.transferTimeout) {
        self.path = path
        self.transferTimeout = transferTimeout
    }

    /// Serves until the task is cancelled; questions that have arrived by then are still answered.
    ///
    /// Throws `CancellationError`, or a `GatewayError` when the socket cannot be made.
    package func run(_ answer: @escaping @Sendable (_ line: [UInt8], _ peer: LocalPeer) async -> [UInt8]) async throws {
        let listener = try LocalSocket.listening(at: path, backlog: Int32(LocalSocketServer.clientsMax))
        defer { unlink(path) }
        let stop = try StopSignal()
        let clients = Count()
        let timeout = transferTimeout
        try await withTaskCancellationHandler {
            await withDiscardingTaskGroup { group in
                while !Task.isCancelled {
                    guard let socket = next(of: listener, stop: stop) else { continue }
                    guard clients.take() else { continue }
                    group.addTask {
                        await LocalSocketConnection(socket, timeout: timeout).serve(answer)
                        clients.release()
                    }
                }
            }
            throw CancellationError()
        } onCancel: {
            stop.raise()
        }
    }

    /// Blocks until somebody connects or the signal is raised.
    private func next(of listener: LocalSocket, stop: StopSignal) -> LocalSocket? {
        var interests = [
            pollfd(fd: listener.descriptor, events: Int16(POLLIN), revents: 0),
            pollfd(fd: stop.descriptor, events: Int16(POLLIN), revents: 0),
        ]
        guard poll(&interests, 2, -1) > 0, interests[0].revents != 0 else { return nil }
        return listener.accepted()
    }
}

/// One connection, on a thread of its own while it lasts.
private actor LocalSocketConnection {
    private let socket: LocalSocket
    private let timeout: Duration
    private let thread = DedicatedThread(name: "local client")

    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    init(_ socket: LocalSocket, timeout: Duration) {
        self.socket = socket
        self.timeout = timeout
    }

    func serve(_ answer: @Sendable (_ line: [UInt8], _ peer: LocalPeer) async -> [UInt8]) async {
        guard let peer = socket.peer, peer.user == geteuid() || peer.user == 0 else { return }
        let socket = socket
        // A question that has not arrived by then is not waited for; what has arrived can still be answered.
        await withTaskCancellationHandler {
            guard case .line(let line) = socket.readLine(atMost: LocalSocketServer.lineBytesMax, timeout: timeout) else { return }
            var reply = await answer(line, peer)
            reply.append(UInt8(ascii: "\n"))
            _ = socket.write(reply, timeout: timeout)
        } onCancel: {
            socket.stopReading()
        }
    }
}

/// Connections that are open.
private final class Count: Sendable {
    private let count = Atomic<Int>(0)

    func take() -> Bool {
        guard count.wrappingAdd(1, ordering: .relaxed).newValue <= LocalSocketServer.clientsMax else {
            release()
            return false
        }
        return true
    }

    func release() { count.wrappingSubtract(1, ordering: .relaxed) }
}

/// Wakes whoever polls: a pipe whose reading end becomes readable.
private final class StopSignal: Sendable {
    let descriptor: Int32
    private let writing: Int32

    init() throws(GatewayError) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else {
            throw GatewayError(.limitExceeded, resource: "local socket", operation: "start", String(cString: strerror(errno)))
        }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        descriptor = ends[0]
        writing = ends[1]
    }

    deinit {
        close(descriptor)
        close(writing)
    }

    func raise() {
        var byte: UInt8 = 1
        _ = write(writing, &byte, 1)
    }
}
