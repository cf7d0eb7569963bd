internal import CModbus
internal import GatewayCore
internal import Glibc
internal import Telemetry

/// What stands at the other end of a line, and how to reach it.
package enum ModbusEndpoint: Sendable, Hashable {
    case tcp(host: String, port: UInt16)
    case rtu(path: String, baudRate: Int, parity: Parity, dataBits: Int, stopBits: Int)

    package enum Parity: String, Sendable, Hashable {
        case none, even, odd
        var code: CChar {
            switch self {
            case .none: CChar(UInt8(ascii: "N"))
            case .even: CChar(UInt8(ascii: "E"))
            case .odd: CChar(UInt8(ascii: "O"))
            }
        }
    }
}

extension ModbusEndpoint: CustomStringConvertible {
    package var description: String {
        switch self {
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .rtu(let path, let baudRate, _, _, _): "\(path) @ \(baudRate) Bd"
        }
    }
}

/// What went wrong with one request, told apart by what has to follow from it.
enum RequestFailure: Error, Equatable {
    /// The device answered with an exception (7 MODBUS Exception Responses): the line is fine.
    case exception(UInt8)
    /// Nothing came in time: the answer may still come later.
    case timeout
    /// Something came that is not the answer to this request.
    case invalidReply(String)
    /// The connection is gone.
    case disconnected(String)
}

/// One libmodbus context: created, used and freed by one owner.
struct ModbusContext: ~Copyable {
    let context: OpaquePointer

    /// Throws when libmodbus refuses the parameters.
    init(_ endpoint: ModbusEndpoint, responseTimeout: Duration) throws(GatewayError) {
        let created: OpaquePointer? =
            switch endpoint {
            case .tcp(let host, let port): modbus_new_tcp_pi(host, String(port))
            case .rtu(let path, let baudRate, let parity, let dataBits, let stopBits):
                modbus_new_rtu(path, Int32(baudRate), parity.code, Int32(dataBits), Int32(stopBits))
            }
        guard let created else { throw ModbusContext.failure(errno, endpoint, "prepare") }
        context = created
        let microseconds = max(1000, responseTimeout.nanoseconds / 1000)
        modbus_set_response_timeout(context, UInt32(microseconds / 1_000_000), UInt32(microseconds % 1_000_000))
        // Without a byte timeout the response timeout bounds the whole answer: a trickling device cannot stretch it.
        modbus_set_byte_timeout(context, 0, 0)
        modbus_set_error_recovery(context, MODBUS_ERROR_RECOVERY_NONE)
    }

    deinit {
        modbus_close(context)
        modbus_free(context)
    }

    /// Opens the socket or the serial port. libmodbus bounds a TCP connect by the response timeout, so it is set to `timeout` meanwhile.
    func connect(_ endpoint: ModbusEndpoint, timeout: Duration) throws(GatewayError) {
        var seconds: UInt32 = 0
        var microseconds: UInt32 = 0
        modbus_get_response_timeout(context, &seconds, &microseconds)
        let bound = max(1000, timeout.nanoseconds / 1000)
        modbus_set_response_timeout(context, UInt32(bound / 1_000_000), UInt32(bound % 1_000_000))
        defer { modbus_set_response_timeout(context, seconds, microseconds) }
        guard modbus_connect(context) == 0 else {
            let code = errno
            modbus_close(context)
            throw ModbusContext.failure(code, endpoint, "connect")
        }
        if case .tcp = endpoint {
            var on: Int32 = 1
            setsockopt(modbus_get_socket(context), SOL_SOCKET, SO_KEEPALIVE, &on, socklen_t(MemoryLayout<Int32>.size))
        }
    }

    /// Throws away what has arrived unasked.
    func drain() { modbus_flush(context) }

    /// Waits until nothing has arrived for `silence`, at most `limit`, and throws it away.
    func drainUntilSilent(for silence: Duration, atMost limit: Duration) {
        var left = limit.nanoseconds / 1_000_000
        let step = max(1, silence.nanoseconds / 1_000_000)
        while left > 0 {
            var descriptor = pollfd(fd: modbus_get_socket(context), events: Int16(POLLIN), revents: 0)
            guard poll(&descriptor, 1, Int32(step)) > 0 else { return }
            modbus_flush(context)
            left -= step
        }
    }

    /// Reads registers (function 3 or 4) into `target`; 6.3 and 6.4.
    func readRegisters(
        _ function: UInt8, unit: UInt8, start: Int, into target: UnsafeMutableBufferPointer<UInt16>
    ) throws(RequestFailure) {
        modbus_set_slave(context, Int32(unit))
        let count = Int32(target.count)
        let read =
            function == 4
            ? modbus_read_input_registers(context, Int32(start), count, target.baseAddress)
            : modbus_read_registers(context, Int32(start), count, target.baseAddress)
        let code = errno
        if read != count { throw ModbusContext.requestFailure(code, read: read, wanted: count) }
    }

    /// Reads coils or discrete inputs (function 1 or 2), one byte 0/1 each, into `target`; 6.1 and 6.2.
    func readBits(_ function: UInt8, unit: UInt8, start: Int, into target: UnsafeMutableBufferPointer<UInt8>) throws(RequestFailure) {
        modbus_set_slave(context, Int32(unit))
        let count = Int32(target.count)
        let read =
            function == 2
            ? modbus_read_input_bits(context, Int32(start), count, target.baseAddress)
            : modbus_read_bits(context, Int32(start), count, target.baseAddress)
        let code = errno
        if read != count { throw ModbusContext.requestFailure(code, read: read, wanted: count) }
    }

    static func requestFailure(_ code: Int32, read: Int32, wanted: Int32) -> RequestFailure {
        if read >= 0 { return .invalidReply("the answer has \(read) values, \(wanted) were asked for") }
        switch code {
        case ETIMEDOUT: return .timeout
        // libmodbus numbers its own errors from here (modbus.h, MODBUS_ENOBASE): first the exceptions, then what it cannot accept.
        case libmodbusErrorBase + 1...libmodbusErrorBase + 11: return .exception(UInt8(code - libmodbusErrorBase))
        case libmodbusErrorBase + 12...libmodbusErrorBase + 17: return .invalidReply(text(of: code))
        // What select() and recv() say when a well-formed answer never ends.
        case EINTR, EAGAIN: return .timeout
        default: return .disconnected(text(of: code))
        }
    }

    private static func failure(_ code: Int32, _ endpoint: ModbusEndpoint, _ operation: String) -> GatewayError {
        var message = text(of: code)
        switch (code, endpoint) {
        case (ECONNREFUSED, _): message = "nothing listens at \(endpoint) (\(message)); is the device on, and is the port right?"
        // libmodbus leaves the number of the connect that it gave up waiting for.
        case (ETIMEDOUT, _), (EINPROGRESS, _): message = "no answer from \(endpoint) in time; is the cable in, and is the address right?"
        case (EHOSTUNREACH, _), (ENETUNREACH, _):
            message = "no answer from \(endpoint) (\(message)); is the cable in, and is the address right?"
        case (ENOENT, .rtu), (ENXIO, .rtu), (ENODEV, .rtu):
            message = "there is no serial port at \(endpoint) (\(message)); is the adapter plugged in?"
        case (EACCES, .rtu):
            message = "the serial port may not be opened (\(message)); add the gateway's user to the group dialout"
        default: message = "\(endpoint): \(message)"
        }
        return GatewayError(.connectionFailed, resource: "modbus \(endpoint)", operation: operation, message)
    }

    private static func text(of code: Int32) -> String { modbus_strerror(code).map { String(cString: $0) } ?? "error \(code)" }
}

/// `MODBUS_ENOBASE` of modbus.h, a macro that is not imported.
private let libmodbusErrorBase: Int32 = 112_345_678
