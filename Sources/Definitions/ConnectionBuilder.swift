/// Makes the connections of a site's devices, and reports what does not go together on one line.
struct ConnectionBuilder {
    private let file: String
    private(set) var diagnostics: [Diagnostic] = []
    private var lines: [String: Line] = [:]

    /// The first device on a line.
    private struct Line {
        var connection: Connection
        var number: Int
        /// As far as a device has been built.
        var connectTimeout: Duration?
        /// By unit: response timeout and line of the document.
        var responseTimeouts: [Int: (timeout: Duration, number: Int)] = [:]
    }

    init(file: String) { self.file = file }

    mutating func build(_ source: ObjectValue) -> Connection? {
        guard let (connection, transport) = connection(source) else { return nil }
        let place = connection.place
        guard let first = lines[place] else {
            lines[place] = Line(connection: connection, number: transport.position.line)
            return connection
        }
        if first.connection.withUnit(connection.unit) != connection {
            let isSerial = connection.isSerial
            let (what, field) = isSerial ? ("serial line", "port") : ("the line to", "host")
            report(
                transport, field, "\(what) '\(place)' has other settings at line \(first.number)", value: place,
                suggestion: isSerial
                    ? "give all devices of one line the same baudRate, parity, dataBits, stopBits and timing"
                    : "give all devices behind one address the same kind of connection with the same settings")
        }
        return connection
    }

    /// Looks at the timeouts of a device on its line: one connection has one connect timeout, one unit one response timeout.
    mutating func checkTimeouts(_ source: ObjectValue, _ connection: Connection, connectTimeout: Duration, responseTimeout: Duration) {
        guard var line = lines[connection.place] else { return }
        if let first = line.connectTimeout, first != connectTimeout {
            report(
                source, "connectTimeout", "the connection is shared with the device at line \(line.number), whose connectTimeout holds",
                severity: .warning, suggestion: "give all devices on one connection the same connectTimeout")
        }
        line.connectTimeout = line.connectTimeout ?? connectTimeout
        if let first = line.responseTimeouts[connection.unit], first.timeout != responseTimeout {
            report(
                source, "responseTimeout", "unit \(connection.unit) has another responseTimeout at line \(first.number)",
                suggestion: "give both devices the same responseTimeout")
        } else {
            line.responseTimeouts[connection.unit] = (responseTimeout, source.position(of: "name").line)
        }
        lines[connection.place] = line
    }

    // MARK: - Kinds

    private mutating func connection(_ source: ObjectValue) -> (Connection, ObjectValue)? {
        if let tcp = source.object("modbusTCP") { return network(tcp).map { (.modbusTCP($0), tcp) } }
        if let udp = source.object("modbusUDP") { return network(udp).map { (.modbusUDP($0), udp) } }
        if let server = source.object("modbusRTUoverTCP") { return serialServer(server).map { (.modbusRTUoverTCP($0), server) } }
        if let server = source.object("modbusASCIIoverTCP") { return serialServer(server).map { (.modbusASCIIoverTCP($0), server) } }
        if let tls = source.object("modbusTLS") { return secured(tls).map { (.modbusTLS($0), tls) } }
        if let rtu = source.object("modbusRTU") {
            if rtu.integer("dataBits") == 7 {
                report(
                    rtu, "dataBits", "Modbus RTU needs 8 data bits; 7 is for Modbus ASCII", value: "7", allowed: "8",
                    suggestion: "remove dataBits, or use modbusASCII")
            }
            return serial(rtu).map { (.modbusRTU($0), rtu) }
        }
        guard let ascii = source.object("modbusASCII"), let line = serial(ascii) else { return nil }
        if line.rs485 == .rtsHigh || line.rs485 == .rtsLow {
            report(
                ascii, "rs485", "RTS is switched by the gateway with modbusRTU only", value: line.rs485.rawValue,
                allowed: "automatic, kernel", suggestion: "use kernel, or an adapter that switches by itself")
        }
        return (.modbusASCII(line), ascii)
    }

    private func network(_ source: ObjectValue) -> ModbusTCPConnection? {
        guard let host = source.text("host"), let port = source.integer("port"), let unit = source.integer("unit") else { return nil }
        return ModbusTCPConnection(host: host, port: port, unit: unit)
    }

    private func serialServer(_ source: ObjectValue) -> ModbusTCPConnection? {
        guard var connection = network(source), let delay = source.duration("turnaroundDelay") else { return nil }
        connection.turnaroundDelay = delay
        return connection
    }

    private mutating func secured(_ source: ObjectValue) -> ModbusTLSConnection? {
        guard let network = network(source), let authority = source.text("ca"), let certificate = source.text("certificate"),
            let key = source.text("key"), let version = source.text("minimumVersion").flatMap(TLSSettings.Version.init(rawValue:))
        else { return nil }
        if version == .tls12 {
            report(
                source, "minimumVersion", "TLS 1.2 is accepted: do so only for devices that know nothing newer", severity: .warning,
                value: version.rawValue, suggestion: "remove minimumVersion where the device speaks TLS 1.3")
        }
        let tls = TLSSettings(
            certificateAuthority: FilePath.resolve(authority, besideFile: file),
            certificate: FilePath.resolve(certificate, besideFile: file), key: FilePath.resolveKey(key, besideFile: file),
            minimumVersion: version)
        return ModbusTLSConnection(
            host: network.host, port: network.port, unit: network.unit, tls: tls, role: source.text("role"))
    }

    private mutating func serial(_ source: ObjectValue) -> ModbusRTUConnection? {
        guard let port = source.text("port"), let baudRate = source.integer("baudRate"),
            let parity = source.text("parity").flatMap(ModbusRTUConnection.Parity.init(rawValue:)),
            let dataBits = source.integer("dataBits"), let stopBits = source.integer("stopBits"), let unit = source.integer("unit"),
            let direction = source.text("rs485").flatMap(ModbusRTUConnection.Direction.init(rawValue:)),
            let rtsDelay = source.duration("rtsDelay"), let turnaroundDelay = source.duration("turnaroundDelay")
        else { return nil }
        if !source.isAbsent("rtsDelay"), direction != .rtsHigh, direction != .rtsLow {
            report(
                source, "rtsDelay", "rtsDelay has no effect unless RTS is switched by the gateway", severity: .warning,
                suggestion: "remove it, or say rs485: rtsHigh")
        }
        return ModbusRTUConnection(
            port: port, baudRate: baudRate, parity: parity, dataBits: dataBits, stopBits: stopBits, unit: unit, rs485: direction,
            rtsDelay: rtsDelay, turnaroundDelay: turnaroundDelay, interCharacterTime: source.duration("interCharacterTime"))
    }

    private mutating func report(
        _ source: ObjectValue, _ field: String, _ message: String, severity: Diagnostic.Severity = .error, value: String? = nil,
        allowed: String? = nil, suggestion: String? = nil
    ) {
        diagnostics.append(
            Diagnostic(
                severity, file: file, at: source.position(of: field), path: source.path.key(field).description, message, value: value,
                allowed: allowed, suggestion: suggestion))
    }
}
