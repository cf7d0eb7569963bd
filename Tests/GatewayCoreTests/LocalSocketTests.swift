import Foundation
import GatewayCore
import Telemetry
import Testing

#if canImport(Glibc)
    import Glibc
#endif

/// Runs what blocks on a thread of its own: the few threads of the pool are for those who answer.
private func blocking<Result: Sendable>(_ work: @escaping @Sendable () throws -> Result) async throws -> Result {
    try await withCheckedThrowingContinuation { continuation in
        Thread.detachNewThread { continuation.resume(with: Swift.Result { try work() }) }
    }
}

/// A server that answers with what it was asked, turned around.
private final class Server {
    let folder: String
    let path: String
    private let task: Task<Void, any Error>

    init(depth: Int = 0, timeout: Duration = .milliseconds(300)) async throws {
        var folder = FileManager.default.temporaryDirectory.appendingPathComponent("indusedge-socket-\(UUID().uuidString)").path
        self.folder = folder
        for _ in 0..<depth { folder += "/a-folder-with-a-long-name" }
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        path = folder + "/control.sock"
        let server = LocalSocketServer(path: path, transferTimeout: timeout)
        task = Task { try await server.run { line, peer in line.reversed() + Array(" \(peer.user)".utf8) } }
        for _ in 0..<2000 {
            if let answer = try? await ask("x"), !answer.isEmpty { return }
            try await Task.sleep(for: .milliseconds(2))
        }
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    func ask(_ text: String) async throws -> String {
        let path = path
        return try await blocking {
            String(decoding: try LocalSocketClient.ask(Array(text.utf8), at: path, timeout: .seconds(5)), as: UTF8.self)
        }
    }

    func stop() async -> Bool {
        task.cancel()
        do {
            try await task.value
            return false
        } catch {
            return error.isCancellation
        }
    }
}

/// A client that does what it wants.
private final class Client: Sendable {
    let descriptor: Int32

    init(_ path: String) {
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix($0.count - 1)) }
        let size = socklen_t(MemoryLayout<sockaddr_un>.size)
        _ = withUnsafePointer(to: &address) { $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, size) } }
    }

    deinit { close(descriptor) }

    func send(_ bytes: [UInt8]) -> Int { Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) }

    /// Everything until the server closes.
    func rest() async throws -> [UInt8] {
        try await blocking { [self] in
            var all: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 4096)
            while true {
                let count = recv(descriptor, &buffer, buffer.count, 0)
                guard count > 0 else { return all }
                all += buffer[..<count]
            }
        }
    }
}

@Suite struct LocalSocketTests {
    @Test func `a question is answered, with the user that the kernel vouches for`() async throws {
        let server = try await Server()
        #expect(try await server.ask("abc") == "cba \(geteuid())")
        let mode = try FileManager.default.attributesOfItem(atPath: server.path)[.posixPermissions] as? Int
        #expect(mode == 0o600)
        #expect(await server.stop())
        #expect(!FileManager.default.fileExists(atPath: server.path))
        await #expect(throws: GatewayError.self) { try await server.ask("abc") }
    }

    @Test func `a path longer than a socket's address serves, too`() async throws {
        let server = try await Server(depth: 8)
        #expect(server.path.utf8.count > 200)
        #expect(try await server.ask("long") == "gnol \(geteuid())")
        #expect(await server.stop())
    }

    @Test func `a socket that a killed gateway left behind is replaced`() async throws {
        let first = try await Server()
        let second = LocalSocketServer(path: first.path)
        let task = Task { try await second.run { _, _ in Array("second".utf8) } }
        // Between the old socket and the new one nobody is there.
        while (try? await first.ask("x")) != "second" { try await Task.sleep(for: .milliseconds(2)) }
        task.cancel()
        _ = try? await task.value
        #expect(await first.stop())
    }

    @Test func `whoever sends too much, nothing, garbage or half is cut off, and others are served meanwhile`() async throws {
        let server = try await Server()
        let huge = Client(server.path)
        let slow = Client(server.path)
        let half = Client(server.path)
        let gone = Client(server.path)
        _ = try await blocking { huge.send([UInt8](repeating: 65, count: 1 << 20)) }
        #expect(slow.send([65]) == 1)
        #expect(half.send(Array("no end".utf8)) == 6)
        _ = gone.send(Array("a question\n".utf8))
        shutdown(gone.descriptor, Int32(SHUT_RDWR))
        #expect(try await server.ask("served") == "devres \(geteuid())")
        #expect(try await huge.rest().isEmpty)
        #expect(try await slow.rest().isEmpty)
        #expect(try await half.rest().isEmpty)
        let garbage = Client(server.path)
        #expect(garbage.send([0, 255, 10, 65, 65, 10]) == 6)
        #expect(try await garbage.rest() == [255, 0] + Array(" \(geteuid())\n".utf8))
        #expect(await server.stop())
    }

    @Test func `whoever has not asked yet does not hold up the end`() async throws {
        let server = try await Server(timeout: .seconds(600))
        let idle = Client(server.path)
        #expect(idle.send([65]) == 1)
        #expect(try await server.ask("x") == "x \(geteuid())")
        #expect(await server.stop())
        #expect(try await idle.rest().isEmpty)
    }

    @Test func `connections are bounded, and are free again when their time is over`() async throws {
        let server = try await Server()
        let idle = (0..<LocalSocketServer.clientsMax + 4).map { _ in Client(server.path) }
        for client in idle { #expect(try await client.rest().isEmpty) }
        #expect(try await server.ask("again") == "niaga \(geteuid())")
        #expect(await server.stop())
    }
}
