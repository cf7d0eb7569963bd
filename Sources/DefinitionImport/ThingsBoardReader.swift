internal import Definitions
internal import Telemetry

/// Reads the configuration of the Modbus connector of the ThingsBoard IoT Gateway: the devices under `master.slaves`.
///
/// Source: thingsboard-gateway, thingsboard_gateway/config/modbus.json (3.x).
enum ThingsBoardReader {
    static func read(_ utf8: [UInt8], options: DefinitionImport.Options) throws(ImportError) -> ImportResult {
        let root = try JSONReader.read(utf8)
        guard var keys = KeyReader(root, subject: "connector") else {
            throw ImportError("the document is \(root.kindDescription), no table", at: .start)
        }
        guard let master = keys.value("master") else {
            let hint = root["server"] == nil ? "" : "; 'server' is the form of versions before 3.0, which is not read"
            throw ImportError("the file has no 'master': it is no Modbus connector of ThingsBoard\(hint)", at: .start)
        }
        var collection = DraftCollection()
        keys.lost("slave", "the gateway does not serve its own registers")
        keys.ignore(["name", "type", "enableRemoteLogging", "logLevel", "id", "configVersion"])
        collection.notes += keys.finished()
        guard var masterKeys = KeyReader(master, subject: "master"), let slaves = masterKeys.list("slaves") else {
            throw ImportError("'master' has no list 'slaves'", at: master.position)
        }
        collection.notes += masterKeys.finished()
        for slave in slaves { read(slave, options: options, into: &collection) }
        return collection.result(.thingsboardJSON)
    }

    private static func read(_ slave: ForeignValue, options: DefinitionImport.Options, into collection: inout DraftCollection) {
        guard var keys = KeyReader(slave, subject: "device") else {
            collection.notes.append(ImportNote(.lost, at: slave.position, "device", "expected a table, got \(slave.kindDescription)"))
            return
        }
        let title = keys.text("deviceName") ?? options.name
        let order = byteOrder(&keys)
        let period = Duration.milliseconds(min(max(keys.integer("pollPeriod") ?? 5000, 1), 86_400_000))
        let unit = keys.integer("unitId") ?? 1
        let connection = connection(&keys, unit: unit)
        let timeout = keys.number("timeout").map { Duration.seconds(min(max($0, 0.01), 60)) }
        var builder = DraftBuilder(
            name: collection.name(for: title), description: "Imported from the ThingsBoard Modbus connector, device \(title).",
            source: "ThingsBoard IoT Gateway, Modbus connector", byteOrder: order)
        for (section, ownPeriod) in [("attributes", "attributesPollPeriod"), ("timeseries", "timeseriesPollPeriod")] {
            let own = keys.integer(ownPeriod).map { Duration.milliseconds(min(max($0, 1), 86_400_000)) } ?? period
            for entry in keys.list(section) ?? [] { ThingsBoardEntry.add(entry, order: order, period: own, to: &builder) }
        }
        for section in ["attributeUpdates", "rpc"] {
            guard let value = keys.value(section) else { continue }
            switch value.content {
            case .list(let list) where list.isEmpty: break
            case .table(let entries) where entries.isEmpty: break
            default:
                builder.note(
                    .lost, at: value.position, "\(title): \(section)",
                    "writing is not carried over; tags may be written once they have access: readWrite and limits")
            }
        }
        keys.ignore([
            "deviceType", "retries", "retryOnEmpty", "retryOnInvalid", "connectAttemptTimeMs", "connectAttemptCount",
            "waitAfterFailedAttemptsMs", "delayBetweenRequests", "sendDataOnlyOnChange", "dataType", "strict", "method",
        ])
        collection.notes += keys.finished()
        collection.add(builder, connection: connection, responseTimeout: timeout?.asResponseTimeout, at: slave.position)
    }

    /// `byteOrder` is that of the bytes in a register, `wordOrder` that of the registers; both BIG where they are not given.
    private static func byteOrder(_ keys: inout KeyReader) -> ByteOrder {
        let isSwapped = keys.text("byteOrder")?.uppercased() == "LITTLE"
        let isWordSwapped = keys.text("wordOrder")?.uppercased() == "LITTLE"
        switch (isSwapped, isWordSwapped) {
        case (false, false): return .abcd
        case (false, true): return .cdab
        case (true, false): return .badc
        case (true, true): return .dcba
        }
    }

    private static func connection(_ keys: inout KeyReader, unit: Int) -> Connection {
        let type = keys.text("type") ?? "tcp"
        let host = keys.text("host") ?? ""
        let port = keys.value("port")
        let baud = keys.integer("baudrate") ?? 19_200
        let stopBits = keys.integer("stopbits") ?? 1
        let parity = keys.text("parity") ?? "N"
        if let size = keys.integer("bytesize"), size != 8 { keys.lost("bytesize", "RTU has 8 data bits, not \(size)") }
        var isSound = true
        if !(0...255).contains(unit) {
            keys.lost("unitId", "\(unit) is no unit identifier; 1 was taken")
            isSound = false
        }
        let unit = isSound ? unit : 1
        if type == "serial" {
            if isSound, !(1...247).contains(unit) { keys.lost("unitId", "\(unit) is no server on a serial line (1…247); 1 was taken") }
            if case .string(let path)? = port?.content, path.hasPrefix("/"), (300...4_000_000).contains(baud), (1...2).contains(stopBits),
                let parity = ["N": ModbusRTUConnection.Parity.none, "E": .even, "O": .odd][String(parity.prefix(1)).uppercased()]
            {
                return .modbusRTU(
                    ModbusRTUConnection(
                        port: path, baudRate: baud, parity: parity, dataBits: 8, stopBits: stopBits,
                        unit: (1...247).contains(unit) ? unit : 1))
            }
            keys.lost("port", "the serial settings cannot be carried over; the site document has TCP to 192.0.2.1")
            return .modbusTCP(ModbusTCPConnection(host: "192.0.2.1", port: 502, unit: unit))
        }
        if type != "tcp", type != "udp" {
            keys.lost("type", "'\(type.prefix(20))' has to be set by hand: the site document has Modbus TCP")
        }
        var number = 502
        if case .integer(let value)? = port?.content, (1...65_535).contains(value) { number = Int(value) }
        let isHost =
            !host.isEmpty && host.utf8.count <= 253 && host.utf8.allSatisfy { $0.isLetter || $0.isDigit || ".:_%-".utf8.contains($0) }
        if !isHost { keys.lost("host", "'\(host.prefix(60))' is no host; the site document has 192.0.2.1") }
        let connection = ModbusTCPConnection(host: isHost ? host : "192.0.2.1", port: number, unit: unit)
        return type == "udp" ? .modbusUDP(connection) : .modbusTCP(connection)
    }
}

/// One entry of `attributes` or `timeseries`.
private enum ThingsBoardEntry {
    static func add(_ entry: ForeignValue, order: ByteOrder, period: Duration, to builder: inout DraftBuilder) {
        guard var keys = KeyReader(entry, subject: "tag") else {
            builder.note(.lost, at: entry.position, "tag", "expected a table, got \(entry.kindDescription)")
            return
        }
        let name = keys.text("tag") ?? ""
        let typeText = keys.text("type") ?? ""
        let function = keys.integer("functionCode")
        let address = keys.integer("address")
        let count = keys.integer("objectsCount") ?? 1
        let divider = keys.number("divider")
        let multiplier = keys.number("multiplier")
        let bit = keys.integer("bit")
        keys.ignore(["bitTargetType", "reportStrategy", "round"])
        for note in keys.finished() { builder.note(note.kind, at: note.position, "\(name): \(note.subject)", note.reason) }
        func lose(_ reason: String) { builder.note(.lost, at: entry.position, name.isEmpty ? "tag" : name, reason) }
        guard !name.isEmpty else { return lose("it has no name ('tag')") }
        guard let address else { return lose("it has no address") }
        let tables: [Int: ModbusAddress.Table] = [1: .coil, 2: .discrete, 3: .holding, 4: .input]
        guard let function, let table = tables[function] else {
            return lose("function code \(function.map(String.init) ?? "none") does not read")
        }
        guard (1...2000).contains(count) else { return lose("objectsCount is \(count)") }
        if let divider, divider == 0 { return lose("its divider is 0") }
        let scale = (multiplier ?? 1) / (divider ?? 1)
        var candidate = DraftBuilder.Candidate(
            name: name, address: ModbusAddress(table: table, offset: address), dataType: .bool, byteOrder: order, period: period,
            position: entry.position)
        if !table.isRegister || typeText == "bits" || typeText == "bit" {
            addBits(candidate, count: count, bit: bit, to: &builder)
            return
        }
        guard let type = type(typeText, registers: count) else {
            return lose("type '\(typeText.prefix(30))' of \(count) registers has no counterpart")
        }
        candidate.dataType = type
        if type == .string {
            candidate.stringLength = 2 * count
            candidate.byteOrder = order.bytesSwapped ? .badc : .abcd
        } else {
            // One division by ten is exact where multiplying by a tenth is not.
            candidate.scaling = Scaling(scale: multiplier == nil ? 1 / (divider ?? 1) : scale)
        }
        builder.add(candidate)
    }

    /// Coils and inputs one by one, or the bits of a register.
    private static func addBits(_ candidate: DraftBuilder.Candidate, count: Int, bit: Int?, to builder: inout DraftBuilder) {
        let isRegister = candidate.address.table.isRegister
        let bits = bit.map { [$0] } ?? Array(0..<(isRegister ? min(count, 16) : count))
        if bits.count > 1 { builder.note(.changed, at: candidate.position, candidate.name, "became \(bits.count) tags, one for each bit") }
        for index in bits {
            var single = candidate
            if bits.count > 1 { single.name += "_\(index)" }
            if isRegister {
                single.address.bit = index
            } else {
                let sum = single.address.offset.addingReportingOverflow(index)
                single.address.offset = sum.overflow ? -1 : sum.partialValue
            }
            builder.add(single)
        }
    }

    /// `16int`, `32uint`, `64float`, `string`; the older names `int` and `float` take their width from the number of registers.
    private static func type(_ text: String, registers: Int) -> DataType? {
        let widths = [1: "16", 2: "32", 4: "64"]
        let name =
            ["int", "uint", "float", "double", "long"].contains(text)
            ? (widths[registers] ?? "") + (text == "long" ? "int" : text == "double" ? "float" : text) : text
        let types: [String: (DataType, Int)] = [
            "16int": (.int16, 1), "16uint": (.uint16, 1), "32int": (.int32, 2), "32uint": (.uint32, 2), "32float": (.float32, 2),
            "64int": (.int64, 4), "64uint": (.uint64, 4), "64float": (.float64, 4),
        ]
        if name == "string" { return .string }
        guard let (type, width) = types[name], width == registers else { return nil }
        return type
    }
}
