internal import Definitions
internal import Telemetry

/// Reads the `inputs.modbus` sections of a Telegraf configuration, in the styles `register`, `request` and `metric`.
///
/// Source: Telegraf, plugins/inputs/modbus/README.md (1.3x).
enum TelegrafReader {
    static func read(_ utf8: [UInt8], options: DefinitionImport.Options) throws(ImportError) -> ImportResult {
        let root = try TOMLReader.read(utf8)
        var collection = DraftCollection()
        var plugins: [ForeignValue] = []
        for entry in root.entries ?? [] {
            guard entry.key == "inputs" else {
                if entry.key != "agent" {
                    collection.notes.append(ImportNote(.skipped, at: entry.position, entry.key, "is not about Modbus"))
                }
                continue
            }
            for input in entry.value.entries ?? [] {
                if input.key == "modbus", case .list(let list) = input.value.content {
                    plugins += list
                } else {
                    collection.notes.append(ImportNote(.skipped, at: input.position, "inputs.\(input.key)", "is not about Modbus"))
                }
            }
        }
        guard !plugins.isEmpty else { throw ImportError("the file has no [[inputs.modbus]]") }
        let interval = root["agent"]?["interval"].flatMap(TelegrafReader.duration) ?? .seconds(10)
        for plugin in plugins { TelegrafPlugin.read(plugin, agentInterval: interval, options: options, into: &collection) }
        return collection.result(.telegrafTOML)
    }

    /// A duration as Telegraf writes it: `10s`, `1m30s`, `250ms`; a number is seconds.
    static func duration(_ value: ForeignValue) -> Duration? {
        switch value.content {
        case .integer(let seconds) where (0...86_400).contains(seconds): return .seconds(seconds)
        case .number(let seconds) where (0...86_400).contains(seconds): return .seconds(seconds)
        case .string(let text): return duration(text)
        default: return nil
        }
    }

    private static func duration(_ text: String) -> Duration? {
        let sizes: [String: Double] = ["ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600, "d": 86_400]
        var seconds = 0.0
        var rest = text.trimmed[...]
        guard !rest.isEmpty else { return nil }
        while !rest.isEmpty {
            let digits = rest.prefix { ("0"..."9").contains($0) || $0 == "." }
            rest = rest.dropFirst(digits.count)
            let unit = rest.prefix { !("0"..."9").contains($0) && $0 != "." }
            rest = rest.dropFirst(unit.count)
            guard let number = Double(digits), let size = sizes[String(unit)] else { return nil }
            seconds += number * size
        }
        return (0...86_400 * 366).contains(seconds) ? .seconds(seconds) : nil
    }
}

/// One `[[inputs.modbus]]`.
private struct TelegrafPlugin {
    private let name: String
    private let interval: Duration
    private let position: SourcePosition
    /// One builder per unit that is asked.
    private var builders: [Int: DraftBuilder] = [:]
    private var units: [Int] = []
    private var collection: DraftCollection

    static func read(
        _ plugin: ForeignValue, agentInterval: Duration, options: DefinitionImport.Options, into collection: inout DraftCollection
    ) {
        guard var keys = KeyReader(plugin, subject: "inputs.modbus") else { return }
        let name = keys.text("name") ?? "modbus"
        let interval = keys.value("interval").flatMap(TelegrafReader.duration) ?? agentInterval
        let timeout = keys.value("timeout").flatMap(TelegrafReader.duration)
        let unit = keys.integer("slave_id")
        var reader = TelegrafPlugin(name: name, interval: interval, position: plugin.position, collection: collection)
        let connection = reader.connection(&keys)
        keys.ignore(["debug_connection", "alias", "configuration_type", "log_level"])
        for key in ["busy_retries", "busy_retries_wait", "workarounds"] {
            keys.lost(key, "the gateway has its own way of retrying; look at the pauses the device needs")
        }
        let style =
            plugin["configuration_type"].flatMap { value -> String? in
                if case .string(let text) = value.content { return text }
                return nil
            } ?? "register"
        switch style {
        case "register": reader.readRegisters(&keys, unit: unit ?? 0)
        case "request":
            for request in keys.list("request") ?? [] { reader.readGroup(request, unit: unit, table: nil, subject: "request") }
        case "metric":
            for metric in keys.list("metric") ?? [] { reader.readGroup(metric, unit: unit, table: nil, subject: "metric") }
        default: keys.lost("configuration_type", "'\(style.prefix(40))' is none of register, request, metric")
        }
        reader.collection.notes += keys.finished()
        for unit in reader.units {
            guard let builder = reader.builders[unit] else { continue }
            if case .modbusRTU = connection, !(1...247).contains(unit) {
                reader.collection.notes.append(
                    ImportNote(.lost, at: plugin.position, "slave_id", "\(unit) is no server on a serial line (1…247); 1 was taken"))
            }
            reader.collection.add(
                builder, connection: reader.connection(connection, unit: unit), responseTimeout: timeout?.asResponseTimeout,
                at: plugin.position)
        }
        collection = reader.collection
    }

    private init(name: String, interval: Duration, position: SourcePosition, collection: DraftCollection) {
        self.name = name
        self.interval = interval
        self.position = position
        self.collection = collection
    }

    // MARK: - The connection

    private mutating func connection(_ keys: inout KeyReader) -> Connection {
        let controller = keys.text("controller") ?? ""
        let baud = keys.integer("baud_rate") ?? 9600
        let parity = keys.text("parity") ?? "N"
        let stopBits = keys.integer("stop_bits") ?? 1
        let mode = keys.text("transmission_mode") ?? ""
        var dataBits = keys.integer("data_bits") ?? 8
        if dataBits != 8, mode != "ASCII" || dataBits != 7 {
            keys.lost("data_bits", "\(mode == "ASCII" ? "ASCII has 7 or 8" : "RTU has 8") data bits, not \(dataBits)")
            dataBits = 8
        }
        keys.ignore(["rs485"])
        if controller.hasPrefix("tcp://") {
            if !["", "auto", "TCP", "RTUoverTCP", "ASCIIoverTCP"].contains(mode) {
                keys.lost("transmission_mode", "'\(mode.prefix(40))' has to be set by hand: the site document has Modbus TCP")
            }
            let address = controller.dropFirst(6)
            let colon = address.lastIndex(of: ":")
            let host = String(address[..<(colon ?? address.endIndex)].filter { $0 != "[" && $0 != "]" })
            let port = colon.flatMap { Int(address[address.index(after: $0)...]) } ?? 502
            if isHost(host), (1...65_535).contains(port) {
                let tcp = ModbusTCPConnection(host: host, port: port, unit: 1)
                return mode == "RTUoverTCP" ? .modbusRTUoverTCP(tcp) : mode == "ASCIIoverTCP" ? .modbusASCIIoverTCP(tcp) : .modbusTCP(tcp)
            }
            keys.lost("controller", "'\(controller.prefix(60))' is no tcp://host:port; the site document has 192.0.2.1")
        } else if controller.hasPrefix("file://") || controller.hasPrefix("/") || controller.hasPrefix("serial://") {
            if !["", "auto", "RTU", "ASCII"].contains(mode) {
                keys.lost("transmission_mode", "'\(mode.prefix(40))' has to be set by hand: the site document has RTU")
            }
            let path = controller.hasPrefix("/") ? controller : String(controller.drop { $0 != "/" }.dropFirst(2))
            let letter = parity.first.map { String($0).uppercased() } ?? "N"
            let isSound = path.hasPrefix("/") && (300...4_000_000).contains(baud) && (1...2).contains(stopBits)
            if isSound, let parity = ["N": ModbusRTUConnection.Parity.none, "E": .even, "O": .odd][letter] {
                let line = ModbusRTUConnection(port: path, baudRate: baud, parity: parity, dataBits: dataBits, stopBits: stopBits, unit: 1)
                return mode == "ASCII" ? .modbusASCII(line) : .modbusRTU(line)
            }
            keys.lost("controller", "the serial settings cannot be carried over; the site document has TCP to 192.0.2.1")
        } else {
            keys.lost("controller", "'\(controller.prefix(60))' cannot be carried over; the site document has TCP to 192.0.2.1")
        }
        return .modbusTCP(ModbusTCPConnection(host: "192.0.2.1", port: 502, unit: 1))
    }

    private func isHost(_ host: String) -> Bool {
        !host.isEmpty && host.utf8.count <= 253 && host.utf8.allSatisfy { $0.isLetter || $0.isDigit || ".:_%-".utf8.contains($0) }
    }

    private func connection(_ connection: Connection, unit: Int) -> Connection {
        switch connection {
        case .modbusTCP, .modbusUDP, .modbusTLS: connection.withUnit(unit)
        case .modbusRTU, .modbusASCII, .modbusRTUoverTCP, .modbusASCIIoverTCP: connection.withUnit(max(1, min(unit, 247)))
        }
    }

    // MARK: - Tags

    /// The style `register`: a list per table, each field with the addresses of all of its registers.
    private mutating func readRegisters(_ keys: inout KeyReader, unit: Int) {
        let tables: [(String, ModbusAddress.Table)] = [
            ("discrete_inputs", .discrete), ("coils", .coil), ("holding_registers", .holding), ("input_registers", .input),
        ]
        for (key, table) in tables {
            for field in keys.list(key) ?? [] { read(field, unit: unit, table: table, order: nil, measurement: nil) }
        }
    }

    /// A `request` or a `metric`: a unit and an order for a list of fields.
    private mutating func readGroup(_ group: ForeignValue, unit: Int?, table: ModbusAddress.Table?, subject: String) {
        guard var keys = KeyReader(group, subject: subject) else { return }
        let unit = keys.integer("slave_id") ?? unit ?? 0
        let order = keys.text("byte_order")
        let measurement = keys.text("measurement")
        var table = table
        if let register = keys.text("register") {
            table = TelegrafPlugin.table(register)
            if table == nil { keys.lost("register", "'\(register.prefix(40))' is none of coil, discrete, holding, input") }
        } else if subject == "request" {
            table = .holding
        }
        keys.ignore(["optimization", "optimization_max_register_fill", "tags"])
        for field in keys.list("fields") ?? [] { read(field, unit: unit, table: table, order: order, measurement: measurement) }
        collection.notes += keys.finished()
    }

    private static func table(_ word: String) -> ModbusAddress.Table? {
        ["coil": .coil, "discrete": .discrete, "holding": .holding, "input": .input][word]
    }

    private mutating func read(_ field: ForeignValue, unit: Int, table: ModbusAddress.Table?, order: String?, measurement: String?) {
        guard var keys = KeyReader(field, subject: "field") else {
            collection.notes.append(ImportNote(.lost, at: field.position, "field", "expected a table, got \(field.kindDescription)"))
            return
        }
        if keys.boolean("omit") == true { return }
        let name = keys.text("name") ?? ""
        let group = keys.text("measurement") ?? measurement ?? ""
        var own = table
        if let register = keys.text("register") { own = TelegrafPlugin.table(register) }
        let orderText = keys.text("byte_order") ?? order ?? ""
        let registerType = keys.text("data_type")
        let typeText = registerType ?? keys.text("type") ?? ""
        let scale = keys.number("scale")
        let bit = keys.integer("bit")
        let length = keys.integer("length")
        keys.ignore(["output", "field_tags"])
        let addresses = self.addresses(keys.value("address"))
        collection.notes += keys.finished().map { ImportNote($0.kind, at: $0.position, $0.subject.replacingField(with: name), $0.reason) }
        let subject = name.isEmpty ? "field" : name
        func lose(_ reason: String) { collection.notes.append(ImportNote(.lost, at: field.position, subject, reason)) }
        guard !name.isEmpty else { return lose("it has no name") }
        guard let own else { return lose("its table is none of coil, discrete, holding, input") }
        guard let addresses, let first = addresses.first else { return lose("it has no address") }
        let type: TelegrafType
        switch TelegrafType.make(
            typeText, table: own, registers: registerType == nil ? nil : addresses.count, bit: bit, length: length)
        {
        case .success(let found): type = found
        case .failure(let refusal): return lose(refusal.reason)
        }
        guard let byteOrder = TelegrafType.order(orderText) else { return lose("byte order '\(orderText.prefix(20))' is unknown") }
        guard zip(addresses, addresses.dropFirst()).allSatisfy({ $1 == $0 + 1 }) else {
            return lose("its registers \(addresses) do not follow each other")
        }
        let candidate = DraftBuilder.Candidate(
            name: group.isEmpty || group == "modbus" ? name : "\(group)/\(name)",
            address: ModbusAddress(table: own, offset: first, bit: own.isRegister ? type.bit : nil), dataType: type.dataType,
            stringLength: type.stringLength, byteOrder: byteOrder,
            scaling: type.dataType.isNumeric ? Scaling(scale: scale ?? 1) : .identity,
            period: interval, position: field.position)
        with(unit: unit) { $0.add(candidate) }
    }

    private func addresses(_ value: ForeignValue?) -> [Int]? {
        switch value?.content {
        case .integer(let address): return Int(exactly: address).map { [$0] }
        case .list(let list):
            let numbers = list.compactMap { element -> Int? in
                guard case .integer(let address) = element.content else { return nil }
                return Int(exactly: address)
            }
            return numbers.count == list.count && numbers.count <= 125 ? numbers : nil
        default: return nil
        }
    }

    /// The builder of a unit, made where there is none.
    private mutating func with(unit: Int, _ body: (inout DraftBuilder) -> Void) {
        var number = unit
        if !(0...255).contains(unit) {
            collection.notes.append(ImportNote(.lost, at: position, "slave_id", "\(unit) is no unit identifier; 1 was taken"))
            number = 1
        }
        if builders[number] == nil {
            units.append(number)
            let title = units.count == 1 ? name : "\(name)-unit\(number)"
            builders[number] = DraftBuilder(
                name: collection.name(for: title), description: "Imported from the Telegraf input \(name), unit \(number).",
                source: "Telegraf configuration, inputs.modbus", byteOrder: .abcd)
        }
        if var builder = builders.removeValue(forKey: number) {
            body(&builder)
            builders[number] = builder
        }
    }
}

extension String {
    /// A note on a key of a field names the field.
    fileprivate func replacingField(with name: String) -> String { hasPrefix("field") && !name.isEmpty ? name + dropFirst(5) : self }
}

/// A data type of Telegraf's Modbus input.
private struct TelegrafType {
    var dataType: DataType
    var bit: Int?
    var stringLength = 0

    /// - Parameter registers: How many addresses the style `register` gives; `nil` in the other styles, which give the first.
    static func make(_ text: String, table: ModbusAddress.Table, registers: Int?, bit: Int?, length: Int?) -> Result<TelegrafType, Refusal>
    {
        guard table.isRegister else { return .success(TelegrafType(dataType: .bool)) }
        switch text {
        case "BIT":
            guard let bit else { return .failure(Refusal("a BIT needs its bit")) }
            return .success(TelegrafType(dataType: .bool, bit: bit))
        case "STRING": return .success(TelegrafType(dataType: .string, stringLength: 2 * min(max(length ?? registers ?? 0, 0), 1000)))
        case "INT8L", "INT8H", "UINT8L", "UINT8H": return .failure(Refusal("half a register (\(text)) has no counterpart"))
        case "FLOAT16-IEEE", "FLOAT16": return .failure(Refusal("\(text) has no counterpart"))
        default: break
        }
        if let registers {
            // Fixed point; FLOAT32 is its old name in this style, not IEEE 754.
            let fixed: [String: [Int: DataType]] = [
                "FIXED": [1: .int16, 2: .int32, 4: .int64], "UFIXED": [1: .uint16, 2: .uint32, 4: .uint64],
                "FLOAT32": [1: .uint16, 2: .uint32, 4: .uint64],
            ]
            if let widths = fixed[text] {
                guard let type = widths[registers] else { return .failure(Refusal("a \(text) has 1, 2 or 4 registers, not \(registers)")) }
                return .success(TelegrafType(dataType: type))
            }
        }
        let types: [String: DataType] = [
            "INT16": .int16, "UINT16": .uint16, "INT32": .int32, "UINT32": .uint32, "INT64": .int64, "UINT64": .uint64,
            "FLOAT32-IEEE": .float32, "FLOAT64-IEEE": .float64, "FLOAT32": .float32, "FLOAT64": .float64,
        ]
        guard let type = types[text] else { return .failure(Refusal("type '\(text.prefix(40))' is unknown")) }
        if let registers, registers != type.width / 2 {
            return .failure(Refusal("a \(text) takes \(type.width / 2) registers, it has \(registers)"))
        }
        return .success(TelegrafType(dataType: type))
    }

    static func order(_ text: String) -> ByteOrder? {
        switch text {
        case "", "AB", "ABCD", "ABCDEFGH": .abcd
        case "BA", "DCBA", "HGFEDCBA": .dcba
        case "BADC", "BADCFEHG": .badc
        case "CDAB", "GHEFCDAB": .cdab
        default: nil
        }
    }
}
