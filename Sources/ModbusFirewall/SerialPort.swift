internal import Glibc
internal import Telemetry

/// How a serial port is set. RTU has 8 data bits.
package struct SerialPortSettings: Sendable, Hashable {
    package enum Parity: String, Sendable {
        case none, even, odd
    }

    package var path: String
    package var baudRate: Int
    package var parity: Parity
    package var stopBits: Int

    package init(path: String, baudRate: Int, parity: Parity, stopBits: Int) {
        self.path = path
        self.baudRate = baudRate
        self.parity = parity
        self.stopBits = stopBits
    }

    /// The silence that ends a frame: 3.5 characters, and 1.75 ms from 19,200 Bd upward (Serial Line V1.02, 2.5.1.1).
    var frameSilence: Duration {
        let bits = Int64(1 + 8 + (parity == .none ? 0 : 1) + stopBits)
        return baudRate > 19_200 ? .microseconds(1750) : .nanoseconds(1_000_000_000 * bits * 7 / 2 / Int64(max(1, baudRate)))
    }

    /// What Linux has a constant for.
    static let speeds: [Int: speed_t] = [
        300: speed_t(B300), 600: speed_t(B600), 1200: speed_t(B1200), 2400: speed_t(B2400), 4800: speed_t(B4800), 9600: speed_t(B9600),
        19_200: speed_t(B19200), 38_400: speed_t(B38400), 57_600: speed_t(B57600), 115_200: speed_t(B115200), 230_400: speed_t(B230400),
        460_800: speed_t(B460800), 921_600: speed_t(B921600),
    ]
}

/// An open serial port, raw; closed when it is no longer used.
struct SerialPort: ~Copyable {
    private let descriptor: Int32
    private let path: String

    /// Throws `.configurationInvalid` for a speed that the system does not know, `.connectionFailed` when the port cannot be used.
    init(_ settings: SerialPortSettings) throws(GatewayError) {
        let opened = try SerialPort.opened(settings)
        descriptor = opened
        path = settings.path
    }

    private static func opened(_ settings: SerialPortSettings) throws(GatewayError) -> Int32 {
        let path = settings.path
        guard let speed = SerialPortSettings.speeds[settings.baudRate] else {
            throw GatewayError(
                .configurationInvalid, resource: "serial port \(path)", operation: "open",
                "\(settings.baudRate) Bd is not one of \(SerialPortSettings.speeds.keys.sorted().map(String.init).joined(separator: ", "))")
        }
        let opened = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC)
        guard opened >= 0 else { throw SerialPort.failure(path, "open", errno) }
        var options = termios()
        let isTerminal = tcgetattr(opened, &options) == 0
        cfmakeraw(&options)
        options.c_cflag |= tcflag_t(CLOCAL | CREAD)
        options.c_cflag &= ~tcflag_t(CSTOPB | PARENB | PARODD)
        if settings.stopBits == 2 { options.c_cflag |= tcflag_t(CSTOPB) }
        if settings.parity != .none { options.c_cflag |= tcflag_t(PARENB) }
        if settings.parity == .odd { options.c_cflag |= tcflag_t(PARODD) }
        // A byte with wrong parity is left out, so that its frame's CRC does not hold.
        if settings.parity != .none { options.c_iflag |= tcflag_t(INPCK | IGNPAR) }
        cfsetspeed(&options, speed)
        guard isTerminal, tcsetattr(opened, TCSANOW, &options) == 0 else {
            let code = errno
            close(opened)
            throw SerialPort.failure(path, "set up", code)
        }
        tcflush(opened, TCIOFLUSH)
        return opened
    }

    deinit { close(descriptor) }

    /// Waits for bytes, at most so long; empty when none came. Throws `.connectionLost` when the port is gone.
    func read(within limit: Duration) throws(GatewayError) -> [UInt8] {
        guard waits(for: POLLIN, limit) else { return [] }
        var buffer = [UInt8](repeating: 0, count: 256)
        let count = Glibc.read(descriptor, &buffer, buffer.count)
        if count > 0 { return Array(buffer[..<count]) }
        if count < 0, errno == EAGAIN || errno == EINTR { return [] }
        throw GatewayError(
            .connectionLost, resource: "serial port \(path)", operation: "read",
            count == 0 ? "the port has gone" : String(cString: strerror(errno)))
    }

    /// Sends all bytes, or gives up when the port takes none for a second.
    func write(_ bytes: [UInt8]) throws(GatewayError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count > 0 {
                rest = rest.dropFirst(count)
            } else if count < 0, errno == EINTR {
                continue
            } else if count < 0, errno != EAGAIN {
                throw SerialPort.failure(path, "write", errno)
            } else if !waits(for: POLLOUT, .seconds(1)) {
                throw GatewayError(
                    .connectionLost, resource: "serial port \(path)", operation: "write", "the port takes no bytes: 1 s was waited")
            }
        }
    }

    private func waits(for event: Int32, _ limit: Duration) -> Bool {
        var entry = pollfd(fd: descriptor, events: Int16(event), revents: 0)
        return poll(&entry, 1, Int32(clamping: (limit.nanoseconds + 999_999) / 1_000_000)) > 0
    }

    private static func failure(_ path: String, _ operation: String, _ code: Int32) -> GatewayError {
        GatewayError(.connectionFailed, resource: "serial port \(path)", operation: operation, String(cString: strerror(code)))
    }
}
