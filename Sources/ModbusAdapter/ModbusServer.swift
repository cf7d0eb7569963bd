internal import CModbus
internal import Glibc
internal import Synchronization
package import Telemetry

/// A Modbus TCP server on libmodbus: the device side, for simulators.
///
/// Serves functions 1–6, 15, 16, 22 and 23 on holding registers of its own to any number of clients up to `clientsMax`.
package final class ModbusServer: Sendable {
    /// Connections served at once; further ones are closed at once.
    package static let clientsMax = 32

    /// libmodbus waits with `select`, which ends the program where a descriptor is this high (FD_SETSIZE).
    private static let descriptorsMax: Int32 = 1024

    /// The TCP port listened on.
    package let port: UInt16
    private let listener: Int32
    private let registerCount: Int
    private let requests = Atomic<UInt64>(0)
    private let isStopping = Atomic<Bool>(false)

    /// Listens on loopback only. `port` 0 takes a free one.
    ///
    /// Throws `.connectionFailed` when the port is taken.
    package init(port: UInt16, registerCount: Int) throws(GatewayError) {
        let (listener, bound) = try ModbusServer.listen(on: port)
        self.listener = listener
        self.port = bound
        self.registerCount = registerCount
    }

    deinit { Glibc.close(listener) }

    /// Requests answered so far.
    package var requestCount: UInt64 { requests.load(ordering: .relaxed) }

    package func stop() { isStopping.store(true, ordering: .relaxed) }

    /// Serves on the calling thread until `stop()`.
    ///
    /// `update` is called before each answer, and at least every 50 ms, with the holding registers to bring up to date.
    package func run(update: (UnsafeMutableBufferPointer<UInt16>) -> Void) throws(GatewayError) {
        guard let context = modbus_new_tcp(nil, Int32(port)), let mapping = modbus_mapping_new(0, 0, Int32(registerCount), 0) else {
            throw GatewayError(.limitExceeded, resource: "modbus server", operation: "start", "no memory for \(registerCount) registers")
        }
        defer {
            modbus_mapping_free(mapping)
            modbus_free(context)
        }
        // A client that stops in the middle of a request must not hold up the others for long.
        modbus_set_indication_timeout(context, 0, 200_000)
        let registers = UnsafeMutableBufferPointer(start: mapping.pointee.tab_registers, count: registerCount)
        var clients: [Int32] = []
        defer { for client in clients { Glibc.close(client) } }
        var request = [UInt8](repeating: 0, count: 260)
        while !isStopping.load(ordering: .relaxed) {
            var descriptors = [pollfd(fd: listener, events: Int16(POLLIN), revents: 0)]
            descriptors += clients.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            let ready = poll(&descriptors, nfds_t(descriptors.count), 50)
            update(registers)
            guard ready > 0 else { continue }
            for descriptor in descriptors.dropFirst() where descriptor.revents != 0 {
                modbus_set_socket(context, descriptor.fd)
                let length = modbus_receive(context, &request)
                if length > 0 {
                    requests.wrappingAdd(1, ordering: .relaxed)
                    modbus_reply(context, request, length, mapping)
                } else if length < 0 {
                    Glibc.close(descriptor.fd)
                    clients.removeAll { $0 == descriptor.fd }
                }
            }
            if descriptors[0].revents != 0 { accept(into: &clients) }
        }
    }

    private func accept(into clients: inout [Int32]) {
        let client = Glibc.accept(listener, nil, nil)
        guard client >= 0 else { return }
        guard clients.count < ModbusServer.clientsMax, client < ModbusServer.descriptorsMax else {
            Glibc.close(client)
            return
        }
        var on: Int32 = 1
        setsockopt(client, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
        clients.append(client)
    }

    private static func listen(on port: UInt16) throws(GatewayError) -> (listener: Int32, port: UInt16) {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var on: Int32 = 1
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isListening = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, length) == 0 && Glibc.listen(listener, 16) == 0 && getsockname(listener, $0, &length) == 0
            }
        }
        guard isListening else {
            let reason = String(cString: strerror(errno))
            Glibc.close(listener)
            throw GatewayError(
                .connectionFailed, resource: "modbus server", operation: "listen",
                "port \(port) on 127.0.0.1 cannot be used (\(reason)); is another program on it?")
        }
        return (listener, UInt16(bigEndian: address.sin_port))
    }
}
