internal import CModbus
internal import GatewayCore
internal import Glibc
internal import ModbusProtocol
internal import Telemetry

/// Why a connection is of no use any more.
struct ChannelFailure: Error {
    var reason: String
}

/// The open connection of a line: bytes out, bytes in, each bounded in time.
///
/// libmodbus opens TCP connections and serial ports, sets them up and, on RTU lines, sends (it knows how to switch an RS-485 transmitter);
/// the bytes of answers are read here, so that every one of them is looked at.
final class ModbusChannel {
    private enum Wire {
        case stream
        case datagrams
        case serial
        /// RTU on a serial port: libmodbus adds the CRC and sends.
        case serialByLibrary
        case secured(any ByteChannel)
    }

    let framing: ModbusFraming
    /// The least pause between frames; zero where frames name their transaction.
    let pause: Duration
    /// How long the line must be silent before a frame is taken for over after something went wrong.
    let quiet: Duration
    /// Within a frame, bytes that pause for longer break it off.
    let characterTimeout: Duration?
    private let context: OpaquePointer?
    private let descriptor: Int32
    private let wire: Wire
    /// `SO_RCVTIMEO` as it is set, in nanoseconds.
    private var receiveTimeout: Int64 = 0

    /// The delay of USB adapters, which hand on what they have every 16 ms, and a bit.
    private static let serialQuiet = Duration.milliseconds(20)
    /// A second copy of an answer must be there before the next request goes out.
    private static let networkPause = Duration.milliseconds(5)
    /// What networks and serial servers may put between the bytes of one frame.
    private static let networkQuiet = Duration.milliseconds(50)

    var keepsDatagramsApart: Bool { if case .datagrams = wire { true } else { false } }
    /// Whether `send` adds the CRC by itself.
    var addsCRC: Bool { if case .serialByLibrary = wire { true } else { false } }

    /// Connects within `timeout`.
    init(_ endpoint: ModbusEndpoint, timeout: Duration, security: (any ChannelSecuring)?) throws(GatewayError) {
        switch endpoint {
        case .tcp(let host, let port), .rtuOverTCP(let host, let port, _), .asciiOverTCP(let host, let port, _):
            context = nil
            descriptor = try ModbusChannel.openStreamSocket(endpoint, host, port, timeout)
            wire = .stream
        case .tls(let host, let port, _):
            guard let security else {
                throw ModbusChannel.failure(endpoint, "TLS was asked for, but nothing was given that could do it")
            }
            context = nil
            let opened = try ModbusChannel.openStreamSocket(endpoint, host, port, timeout)
            descriptor = opened
            do throws(GatewayError) {
                wire = .secured(try security.secure(opened, host: host, within: timeout))
            } catch {
                Glibc.close(opened)
                throw error
            }
        case .udp(let host, let port):
            context = nil
            descriptor = try ModbusChannel.openDatagramSocket(endpoint, host, port)
            wire = .datagrams
        case .serial(let settings):
            let opened = try ModbusChannel.openSerialPort(endpoint, settings)
            context = opened.context
            descriptor = opened.descriptor
            wire = settings.isASCII ? .serial : .serialByLibrary
        }
        switch endpoint {
        case .tcp, .tls, .udp: (framing, pause, quiet, characterTimeout) = (.tcp, .zero, .zero, nil)
        case .rtuOverTCP(_, _, let given), .asciiOverTCP(_, _, let given):
            framing = if case .rtuOverTCP = endpoint { .rtu } else { .ascii }
            pause = max(given, ModbusChannel.networkPause)
            quiet = ModbusChannel.networkQuiet
            characterTimeout = nil
        case .serial(let settings):
            framing = settings.isASCII ? .ascii : .rtu
            pause = max(settings.pause, settings.frameSilence)
            quiet = max(ModbusChannel.serialQuiet, settings.frameSilence)
            characterTimeout = settings.characterTimeout
        }
    }

    deinit {
        if case .secured(let channel) = wire { channel.close() }
        if let context {
            modbus_close(context)
            modbus_free(context)
        } else {
            Glibc.close(descriptor)
        }
    }

    // MARK: - Bytes

    /// Sends a frame. For a line on which libmodbus sends, the frame lacks its CRC.
    func send(_ frame: UnsafeRawBufferPointer, within limit: Duration) throws(ChannelFailure) {
        switch wire {
        case .secured(let channel):
            do throws(GatewayError) {
                try channel.write(frame, within: limit)
            } catch {
                throw ChannelFailure(reason: error.message)
            }
        case .serialByLibrary:
            let start = frame.bindMemory(to: UInt8.self).baseAddress
            guard modbus_send_raw_request(context, start, Int32(frame.count)) > 0 else { throw ModbusChannel.failure(errno) }
        case .serial: try write(frame, within: limit) { Glibc.write($0, $1, $2) }
        case .stream, .datagrams: try write(frame, within: limit) { Glibc.send($0, $1, $2, Int32(MSG_NOSIGNAL)) }
        }
    }

    private func write(
        _ frame: UnsafeRawBufferPointer, within limit: Duration, _ body: (Int32, UnsafeRawPointer?, Int) -> Int
    ) throws(ChannelFailure) {
        var sent = 0
        while sent < frame.count {
            let count = body(descriptor, frame.baseAddress?.advanced(by: sent), frame.count - sent)
            if count > 0 {
                sent += count
                continue
            }
            switch errno {
            case EINTR: continue
            case EAGAIN:
                // A request is smaller than any send buffer: one that does not fit stands behind others that nobody takes.
                guard waits(for: POLLOUT, limit) else { throw ChannelFailure(reason: "the device takes no more requests") }
            default: throw ModbusChannel.failure(errno)
            }
        }
    }

    /// Takes what has come, waiting at most `limit` for the first byte; 0 when nothing came.
    func receive(into buffer: UnsafeMutableRawBufferPointer, within limit: Duration) throws(ChannelFailure) -> Int {
        switch wire {
        case .secured(let channel):
            do throws(GatewayError) {
                return try channel.read(into: buffer, within: limit)
            } catch {
                throw ChannelFailure(reason: error.message)
            }
        case .serial, .serialByLibrary:
            guard waits(for: POLLIN, limit) else { return 0 }
            let count = read(descriptor, buffer.baseAddress, buffer.count)
            if count > 0 { return count }
            if count < 0, errno == EAGAIN || errno == EINTR { return 0 }
            throw count == 0 ? ChannelFailure(reason: "the serial port has gone") : ModbusChannel.failure(errno)
        case .stream, .datagrams:
            if limit <= .zero { return try receive(into: buffer, Int32(MSG_DONTWAIT)) }
            // The kernel wakes the reader itself: a poll before would be a second system call for every request.
            setReceiveTimeout(max(1_000_000, limit.nanoseconds))
            return try receive(into: buffer, 0)
        }
    }

    private func receive(into buffer: UnsafeMutableRawBufferPointer, _ flags: Int32) throws(ChannelFailure) -> Int {
        while true {
            let count = recv(descriptor, buffer.baseAddress, buffer.count, flags)
            if count > 0 { return count }
            if count == 0 {
                if case .datagrams = wire { return 0 }
                throw ChannelFailure(reason: "the device closed the connection")
            }
            switch errno {
            case EAGAIN: return 0
            case EINTR: continue
            default: throw ModbusChannel.failure(errno)
            }
        }
    }

    /// Waits of one length follow each other nearly always, so that the option is set once.
    private func setReceiveTimeout(_ nanoseconds: Int64) {
        guard nanoseconds != receiveTimeout else { return }
        var time = timeval(tv_sec: Int(nanoseconds / 1_000_000_000), tv_usec: Int(nanoseconds % 1_000_000_000 / 1000))
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
        receiveTimeout = nanoseconds
    }

    private func waits(for event: Int32, _ limit: Duration) -> Bool {
        var entry = pollfd(fd: descriptor, events: Int16(event), revents: 0)
        return poll(&entry, 1, Int32(clamping: max(0, (limit.nanoseconds + 999_999) / 1_000_000))) > 0
    }

    // MARK: - Opening

    /// The connect of libmodbus waits with `select`, which ends the program where a descriptor is 1024 or above.
    private static func openStreamSocket(
        _ endpoint: ModbusEndpoint, _ host: String, _ port: UInt16, _ timeout: Duration
    ) throws(GatewayError) -> Int32 {
        let addresses = try Addresses(endpoint, host, port, SOCK_STREAM)
        // The time for opening is for all addresses of the host together.
        let share = max(1, timeout.nanoseconds / 1_000_000 / Int64(addresses.count))
        let descriptor = try addresses.firstConnected { descriptor, address in
            _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
            if Glibc.connect(descriptor, address.ai_addr, address.ai_addrlen) == 0 { return 0 }
            guard errno == EINPROGRESS else { return errno }
            var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            guard poll(&entry, 1, Int32(clamping: share)) > 0 else { return ETIMEDOUT }
            var code: Int32 = 0
            var length = socklen_t(MemoryLayout<Int32>.size)
            getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &length)
            return code
        }
        var on: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &on, socklen_t(MemoryLayout<Int32>.size))
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
        // A peer that is gone without a word is given up when it has not acknowledged anything for so long, however rarely it is asked.
        var unacknowledged = Int32(clamping: unacknowledgedMax.nanoseconds / 1_000_000)
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, &unacknowledged, socklen_t(MemoryLayout<Int32>.size))
        // Waits are bounded by time-outs of the socket.
        let bound = max(1000, timeout.nanoseconds / 1000)
        var limit = timeval(tv_sec: Int(bound / 1_000_000), tv_usec: Int(bound % 1_000_000))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) & ~O_NONBLOCK)
        return descriptor
    }

    /// How long sent bytes may stay unacknowledged (RFC 5482).
    private static let unacknowledgedMax = Duration.seconds(15)

    private static func openSerialPort(
        _ endpoint: ModbusEndpoint, _ settings: SerialLineSettings
    ) throws(GatewayError) -> (context: OpaquePointer, descriptor: Int32) {
        let parity: UInt8 =
            switch settings.parity {
            case .none: UInt8(ascii: "N")
            case .even: UInt8(ascii: "E")
            case .odd: UInt8(ascii: "O")
            }
        guard
            let context = modbus_new_rtu(
                settings.path, Int32(settings.baudRate), CChar(parity), Int32(settings.dataBits), Int32(settings.stopBits))
        else { throw failure(errno, endpoint) }
        var isReady = modbus_connect(context) == 0
        if isReady {
            switch settings.direction {
            case .automatic: break
            case .kernel: isReady = modbus_rtu_set_serial_mode(context, MODBUS_RTU_RS485) == 0
            case .requestToSend(let isHighToSend, let delay):
                isReady =
                    modbus_rtu_set_rts_delay(context, Int32(clamping: delay.nanoseconds / 1000)) == 0
                    && modbus_rtu_set_rts(context, isHighToSend ? MODBUS_RTU_RTS_UP : MODBUS_RTU_RTS_DOWN) == 0
            }
        }
        guard isReady else {
            let code = errno
            modbus_close(context)
            modbus_free(context)
            throw failure(code, endpoint)
        }
        let descriptor = modbus_get_socket(context)
        // What was sent before this program listened is nobody's answer.
        tcflush(descriptor, TCIFLUSH)
        return (context, descriptor)
    }

    /// libmodbus has no datagrams.
    private static func openDatagramSocket(_ endpoint: ModbusEndpoint, _ host: String, _ port: UInt16) throws(GatewayError) -> Int32 {
        // Connected, the socket takes datagrams of this peer only, and hears when nothing listens there.
        try Addresses(endpoint, host, port, SOCK_DGRAM).firstConnected { descriptor, address in
            Glibc.connect(descriptor, address.ai_addr, address.ai_addrlen) == 0 ? 0 : errno
        }
    }

    /// The addresses of a host, freed at the end.
    private struct Addresses: ~Copyable {
        private let endpoint: ModbusEndpoint
        private let first: UnsafeMutablePointer<addrinfo>?
        let count: Int

        init(_ endpoint: ModbusEndpoint, _ host: String, _ port: UInt16, _ type: __socket_type) throws(GatewayError) {
            var hints = addrinfo()
            hints.ai_socktype = Int32(type.rawValue)
            var found: UnsafeMutablePointer<addrinfo>?
            let result = getaddrinfo(host, String(port), &hints, &found)
            guard result == 0 else { throw failure(endpoint, "\(host): \(String(cString: gai_strerror(result)))") }
            self.endpoint = endpoint
            first = found
            var count = 0
            var next = found
            while let address = next?.pointee {
                count += 1
                next = address.ai_next
            }
            self.count = max(1, count)
        }

        deinit { freeaddrinfo(first) }

        /// The first socket that `connect` returns 0 for; it returns an errno otherwise. Throws what the last address said.
        func firstConnected(_ connect: (Int32, addrinfo) -> Int32) throws(GatewayError) -> Int32 {
            var code = EHOSTUNREACH
            var next = first
            while let address = next?.pointee {
                let descriptor = socket(address.ai_family, address.ai_socktype | Int32(SOCK_CLOEXEC.rawValue), address.ai_protocol)
                code = descriptor < 0 ? errno : connect(descriptor, address)
                if code == 0 { return descriptor }
                if descriptor >= 0 { Glibc.close(descriptor) }
                next = address.ai_next
            }
            throw failure(code, endpoint)
        }
    }

    // MARK: - Failures

    private static func failure(_ code: Int32) -> ChannelFailure { ChannelFailure(reason: text(of: code)) }

    private static func failure(_ endpoint: ModbusEndpoint, _ message: String) -> GatewayError {
        GatewayError(.connectionFailed, resource: "modbus \(endpoint)", operation: "connect", message)
    }

    private static func failure(_ code: Int32, _ endpoint: ModbusEndpoint) -> GatewayError {
        let isSerial = if case .serial = endpoint { true } else { false }
        let message =
            switch code {
            case ECONNREFUSED: "nothing listens at \(endpoint) (\(text(of: code))); is the device on, and is the port right?"
            case ETIMEDOUT: "no answer from \(endpoint) in time; is the cable in, and is the address right?"
            case EHOSTUNREACH, ENETUNREACH:
                "no answer from \(endpoint) (\(text(of: code))); is the cable in, and is the address right?"
            case ENOENT where isSerial, ENXIO where isSerial, ENODEV where isSerial:
                "there is no serial port at \(endpoint) (\(text(of: code))); is the adapter plugged in?"
            case EACCES where isSerial:
                "the serial port may not be opened (\(text(of: code))); add the gateway's user to the group dialout"
            case ENOTTY where isSerial: "the driver of \(endpoint) does not know RS-485 (\(text(of: code))); try rs485: rtsHigh, or none"
            default: "\(endpoint): \(text(of: code))"
            }
        return failure(endpoint, message)
    }

    private static func text(of code: Int32) -> String { modbus_strerror(code).map { String(cString: $0) } ?? "error \(code)" }
}
