/// The table of `firewalls` in the `Site` document.
enum FirewallShape {
    static let firewall = ObjectShape(
        "firewall", "A Modbus server in front of the devices, for other clients: on a TCP port, or on a serial line.",
        [
            Field(required: "name", .text(.name), "The name, unique within the site, devices included."),
            Field(
                "address", .text(.hostName), default: "127.0.0.1", "The IP address of this machine to listen on; 0.0.0.0 for all of IPv4."),
            Field("port", .integer(1...65_535), default: "502", "The TCP port to listen on."),
            Field("serial", .object(serial), "A serial line to serve in place of a TCP port, with Modbus RTU."),
            Field(required: "devices", .list(.object(target), count: 1...247), "The devices behind it."),
            Field(required: "rules", .list(.object(rule), count: 0...256), "What is let through; whatever no rule allows is refused."),
            Field(
                "freshFor", .duration(.zero...(.seconds(3600))), default: "1s",
                "How old a value may be that answers a read without asking the device; 0s: every read goes to the device."),
            Field(
                "newWrites", .word(Firewall.NewWrites.allCases.map(\.rawValue)), default: "block",
                "Writes that a rule allows but nobody has made before: block refuses, learn lets them through and remembers them, "
                    + "allow lets them through."),
            Field("writesPerSecond", .number, default: "10", "The most writes of one client per second, in the long run."),
            Field("writeBurst", .integer(1...10_000), default: "20", "The most writes of one client at once."),
        ])

    static let serial = ObjectShape(
        "serial", "A serial line with a client at its other end: Modbus RTU, 8 data bits.",
        [
            Field(required: "port", .text(.filePath("/dev/ttyS1")), "The serial device."),
            Field("baudRate", .integer(300...921_600), default: "19200", "Bits per second, one of the usual rates."),
            Field("parity", .word(ModbusRTUConnection.Parity.allCases.map(\.rawValue)), default: "even", "The parity bit."),
            Field("stopBits", .integer(1...2), default: "1", "Stop bits; with parity none the standard wants 2."),
        ])

    static let target = ObjectShape(
        "device", "A device behind the firewall.",
        [
            Field(required: "unit", .integer(0...255), "The unit identifier that clients use for it."),
            Field(required: "device", .text(.name), "The device."),
        ])

    static let rule = ObjectShape(
        "rule", "An allowance: who may do what where.",
        [
            Field("client", .text(client), "The IP address or network of the clients; every client where none is given."),
            Field("units", .list(.integer(0...255), count: 1...256), "The unit identifiers; every one where none is given."),
            Field(
                "functions", .list(.word(words), count: 1...32), "What may be done; read where none is given."),
            Field(
                "registers", .list(.text(registers), count: 1...256), "Where, as table:first-last; everywhere where none is given."),
        ])

    /// The functions of the Modbus Application Protocol 1.1b3 by name, and `read` and `write` for all of a kind.
    static let functions: [(word: String, codes: [Int])] = [
        ("read", [1, 2, 3, 4, 43]), ("write", [5, 6, 15, 16, 22, 23]), ("readCoils", [1]), ("readDiscreteInputs", [2]),
        ("readHoldingRegisters", [3]), ("readInputRegisters", [4]), ("writeSingleCoil", [5]), ("writeSingleRegister", [6]),
        ("writeMultipleCoils", [15]), ("writeMultipleRegisters", [16]), ("maskWriteRegister", [22]), ("readWriteMultipleRegisters", [23]),
        ("readDeviceIdentification", [43]),
    ]
    private static let words = functions.map(\.word)

    private static let client = TextFormat(
        "an IP address or a network such as 192.168.1.0/24 (no bits beyond the prefix)", pattern: "^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$",
        lengthMax: 43, example: "192.168.1.20"
    ) { AddressBlock($0) != nil }

    private static let registers = TextFormat(
        "table:first or table:first-last, the table one of holding, input, coil, discrete",
        pattern: "^(holding|input|coil|discrete):[0-9]+(-[0-9]+)?$", lengthMax: 32, example: "holding:0-99"
    ) { range($0) != nil }

    /// Reads `holding:0-99`.
    static func range(_ text: String) -> Firewall.AddressRange? {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let table = ModbusAddress.Table(rawValue: String(parts[0])) else { return nil }
        let ends = parts[1].split(separator: "-", omittingEmptySubsequences: false)
        let numbers = ends.compactMap { end in end.allSatisfy { $0.isASCII && $0.isNumber } ? Int(end) : nil }
        guard numbers.count == ends.count, numbers.count <= 2, let first = numbers.first, let last = numbers.last, first <= last,
            last <= ModbusAddress.offsetMax
        else { return nil }
        return Firewall.AddressRange(table: table, addresses: first...last)
    }
}
