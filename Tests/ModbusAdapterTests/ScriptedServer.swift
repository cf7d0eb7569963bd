import Foundation
import GatewayCore
import Synchronization

/// A server on loopback that does just what it is told, connection by connection, whatever a client may think of it.
final class ScriptedServer: Sendable {
    enum Step: Sendable {
        /// Waits for so many bytes, which must be these.
        case expect([UInt8])
        /// Waits for so many bytes, whatever they are.
        case take(Int)
        case send([UInt8])
        case pause(milliseconds: Int)
        /// Ends the connection in order.
        case close
        /// Ends it with a reset.
        case reset
        /// Sends these bytes again and again until nobody takes them any more.
        case flood([UInt8])
        /// Answers each read of holding registers with the addresses as values, until the connection ends.
        case serveRegisters
    }

    let port: UInt16
    private let listener: Int32
    private let complaints = Mutex<[String]>([])
    private let accepted = Atomic<Int>(0)

    /// What did not go as the script says.
    var failures: [String] { complaints.withLock { $0 } }
    /// Connections so far.
    var connectionCount: Int { accepted.load(ordering: .relaxed) }

    /// Each connection plays one script; further connections play the last one again.
    convenience init(_ scripts: [Step]...) throws { try self.init(scripts) }

    init(_ scripts: [[Step]]) throws {
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = listener
        let isListening = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) == 0 && listen(descriptor, 8) == 0 && getsockname(descriptor, $0, &length) == 0
            }
        }
        guard isListening else { throw POSIXError(.EADDRNOTAVAIL) }
        port = UInt16(bigEndian: address.sin_port)
        Thread.detachNewThread { [weak self] in
            var number = 0
            while true {
                let client = accept(descriptor, nil, nil)
                guard client >= 0 else { return }
                guard let server = self else {
                    close(client)
                    return
                }
                server.accepted.wrappingAdd(1, ordering: .relaxed)
                let script = scripts[min(number, scripts.count - 1)]
                number += 1
                Thread.detachNewThread { server.play(script, client) }
            }
        }
    }

    deinit {
        shutdown(listener, Int32(SHUT_RDWR))
        close(listener)
    }

    private func play(_ script: [Step], _ client: Int32) {
        var isClosed = false
        for step in script {
            switch step {
            case .expect(let bytes):
                guard let came = take(bytes.count, client) else {
                    complaints.withLock { $0.append("the client closed, \(bytes.count) bytes were expected") }
                    break
                }
                if came != bytes { complaints.withLock { $0.append("expected \(hexadecimal(bytes)), \(hexadecimal(came)) came") } }
            case .take(let count): _ = take(count, client)
            case .send(let bytes): _ = send(client, bytes, bytes.count, Int32(MSG_NOSIGNAL))
            case .pause(let milliseconds): usleep(UInt32(milliseconds) * 1000)
            case .close:
                close(client)
                isClosed = true
            case .reset:
                var linger = linger(l_onoff: 1, l_linger: 0)
                setsockopt(client, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout.size(ofValue: linger)))
                close(client)
                isClosed = true
            case .flood(let bytes): while send(client, bytes, bytes.count, Int32(MSG_NOSIGNAL)) > 0 {}
            case .serveRegisters:
                while let request = take(12, client) {
                    let start = Int(request[8]) << 8 | Int(request[9])
                    let count = Int(request[10]) << 8 | Int(request[11])
                    var reply = Array(request[0..<4]) + [0, UInt8(3 + 2 * count), request[6], request[7], UInt8(2 * count)]
                    for address in start..<start + count { reply += [UInt8(address >> 8), UInt8(address & 255)] }
                    _ = send(client, reply, reply.count, Int32(MSG_NOSIGNAL))
                }
            }
        }
        if !isClosed {
            // Stays until the client goes, like a device that never closes.
            _ = take(.max, client)
            close(client)
        }
    }

    private func take(_ count: Int, _ client: Int32) -> [UInt8]? {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while bytes.count < count {
            let received = recv(client, &buffer, min(buffer.count, count - bytes.count), 0)
            guard received > 0 else { return nil }
            bytes += buffer.prefix(received)
        }
        return bytes
    }
}

func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16, uppercase: true) }.joined(separator: " ")
}
