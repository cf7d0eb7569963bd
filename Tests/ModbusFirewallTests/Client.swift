import GatewayCore
import Glibc
import ModbusProtocol

/// A bare TCP client that can misbehave, on a thread of its own, since it blocks.
actor Client {
    private let socket: Int32
    private let thread = DedicatedThread(name: "client")
    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    /// Connects to a port of this machine.
    init(port: UInt16) {
        socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let socket = socket
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
        precondition(result == 0, "the firewall does not listen")
        var timeout = timeval(tv_sec: 120, tv_usec: 0)
        setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { close(socket) }

    func send(_ bytes: [UInt8]) { _ = bytes.withUnsafeBytes { Glibc.send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) } }

    /// The next frame; `nil` when the server hung up or sent no frame.
    func receive() -> ModbusTCPFrame? {
        var bytes: [UInt8] = []
        while true {
            if let frame = try? ModbusTCPFrame(bytes: bytes) { return frame }
            var byte: UInt8 = 0
            guard recv(socket, &byte, 1, 0) == 1 else { return nil }
            bytes.append(byte)
        }
    }

    /// What the server answers; `nil` where that is no answer to this question.
    func ask(_ request: ModbusRequest, unit: UInt8 = 1, transaction: UInt16 = 7) -> ModbusResponse? {
        send(ModbusTCPFrame(transaction: transaction, unit: unit, pdu: request.pdu).bytes)
        guard let frame = receive(), frame.transaction == transaction, frame.unit == unit else { return nil }
        return try? ModbusResponse(pdu: frame.pdu, to: request)
    }
}
