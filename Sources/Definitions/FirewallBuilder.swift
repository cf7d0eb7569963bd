/// Makes the firewalls of a `Site`, and reports what their shape alone cannot tell.
struct FirewallBuilder {
    let file: String
    private(set) var diagnostics: [Diagnostic] = []

    init(file: String) { self.file = file }

    mutating func build(_ spec: ObjectValue) -> [Firewall] {
        let devices = spec.objects("devices").compactMap { $0.text("name") }
        let lines = Set(
            spec.objects("devices").flatMap { device in
                ["modbusRTU", "modbusASCII"].compactMap { device.object("connection")?.object($0)?.text("port") }
            })
        var names = NameRegister(what: "firewall", file: file)
        var listeners: [String: Int] = [:]
        var firewalls: [Firewall] = []
        for source in spec.objects("firewalls") {
            names.note(source)
            if let name = source.text("name"), devices.contains(name) {
                report(source, "name", "'\(name)' is the name of a device too", value: name, suggestion: "give the firewall its own name")
            }
            let targets = targets(of: source, devices: devices)
            let rules = source.objects("rules").map { rule($0) }
            guard let name = source.text("name"), let address = source.text("address"), let port = source.integer("port"),
                let freshFor = source.duration("freshFor"),
                let newWrites = source.text("newWrites").flatMap(Firewall.NewWrites.init(rawValue:)),
                let rate = source.number("writesPerSecond"), let burst = source.integer("writeBurst")
            else { continue }
            let serial = serial(source, devicesOn: lines)
            let listener = serial.map(\.port) ?? "\(address):\(port)"
            if let first = listeners[listener] {
                report(source, "port", "the firewall at line \(first) listens on \(listener) too", value: "\(port)")
            }
            listeners[listener] = source.position.line
            if AddressBlock(address) == nil {
                report(source, "address", "'\(address)' is not an IP address", value: address, suggestion: "0.0.0.0 listens on every one")
            }
            if rate <= 0 {
                report(
                    source, "writesPerSecond", "\(rate) is not more than 0", value: "\(rate)",
                    suggestion: "leave functions without write instead")
            }
            firewalls.append(
                Firewall(
                    name: name, serial: serial, address: address, port: port, targets: targets, rules: rules, freshFor: freshFor,
                    newWrites: newWrites,
                    writesPerSecond: rate, writeBurst: burst))
        }
        diagnostics += names.diagnostics
        return firewalls
    }

    private mutating func serial(_ source: ObjectValue, devicesOn lines: Set<String>) -> Firewall.SerialLine? {
        guard let line = source.object("serial") else { return nil }
        for field in ["address", "port"] where !source.isAbsent(field) {
            report(
                source, field, "'\(field)' has no effect: the firewall serves a serial line", value: source.text(field) ?? "",
                suggestion: "remove it, or give a firewall of its own to each")
        }
        guard let port = line.text("port"), let baudRate = line.integer("baudRate"), let stopBits = line.integer("stopBits"),
            let parity = line.text("parity").flatMap(ModbusRTUConnection.Parity.init(rawValue:))
        else { return nil }
        if !Firewall.SerialLine.baudRates.contains(baudRate) {
            report(
                line, "baudRate", "\(baudRate) is no usual baud rate", value: "\(baudRate)",
                allowed: Firewall.SerialLine.baudRates.map(String.init).joined(separator: ", "))
        }
        if lines.contains(port) {
            report(
                line, "port", "a device is on \(port)", value: port,
                suggestion: "the devices and the clients of a firewall need a serial line each")
        }
        return Firewall.SerialLine(port: port, baudRate: baudRate, parity: parity, stopBits: stopBits)
    }

    private mutating func targets(of source: ObjectValue, devices: [String]) -> [Firewall.Target] {
        var units: [Int: Int] = [:]
        var targets: [Firewall.Target] = []
        for target in source.objects("devices") {
            guard let unit = target.integer("unit"), let device = target.text("device") else { continue }
            if let first = units[unit] {
                report(target, "unit", "unit \(unit) is another device at line \(first) already", value: "\(unit)")
            }
            units[unit] = target.position.line
            if !devices.contains(device) {
                report(
                    target, "device", "device '\(device)' is not defined", value: device, allowed: devices.joined(separator: ", "),
                    suggestion: nearestName(to: device, among: devices).map { "did you mean '\($0)'?" })
            }
            targets.append(.init(unit: unit, device: device))
        }
        return targets
    }

    private func rule(_ source: ObjectValue) -> Firewall.Rule {
        let words = source.list("functions").compactMap { element -> String? in
            guard case .text(let word) = element.value else { return nil }
            return word
        }
        let codes = FirewallShape.functions.filter { (words.isEmpty ? ["read"] : words).contains($0.word) }.flatMap(\.codes)
        let units = source.list("units").compactMap { element -> Int? in
            guard case .integer(let unit) = element.value else { return nil }
            return unit
        }
        let ranges = source.list("registers").compactMap { element -> Firewall.AddressRange? in
            guard case .text(let text) = element.value else { return nil }
            return FirewallShape.range(text)
        }
        return Firewall.Rule(
            client: source.text("client").flatMap { AddressBlock($0) }, units: source.isAbsent("units") ? nil : units,
            functions: Set(codes).sorted(), ranges: source.isAbsent("registers") ? nil : ranges)
    }

    private mutating func report(
        _ source: ObjectValue, _ field: String, _ message: String, value: String, allowed: String? = nil, suggestion: String? = nil
    ) {
        diagnostics.append(
            Diagnostic(
                .error, file: file, at: source.position(of: field), path: source.path.key(field).description, message, value: value,
                allowed: allowed, suggestion: suggestion))
    }
}
