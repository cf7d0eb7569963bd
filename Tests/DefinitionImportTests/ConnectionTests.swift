import Definitions
import Telemetry
import TestKit
import Testing

@testable import DefinitionImport

@Suite("Connections of imported devices")
struct ConnectionTests {
    private func telegraf(_ lines: String) throws -> ImportResult {
        try imported(
            "[[inputs.modbus]]\n\(lines)\nconfiguration_type = \"register\"\ncoils = [ { name = \"a\", address = [0] } ]\n")
    }

    private func thingsBoard(_ keys: String) throws -> ImportResult {
        try imported(
            "{\"master\": {\"slaves\": [{\(keys), \"timeseries\": [{\"tag\": \"a\", \"type\": \"16int\", \"functionCode\": 3, \"address\": 1}]}]}}"
        )
    }

    private static let placeholder = Connection.modbusTCP(ModbusTCPConnection(host: "192.0.2.1", port: 502, unit: 0))

    @Test("Telegraf: a controller that cannot be carried over is said, and the device keeps a place")
    func controllers() throws {
        for lines in [
            "", "controller = \"udp://h:1\"", "controller = \"tcp://h:99999\"", "controller = \"tcp://${HOST}:502\"", "controller = 5",
        ] {
            let result = try telegraf(lines)
            #expect(result.devices[0].connection == ConnectionTests.placeholder, "\(lines)")
            #expect(
                lines.isEmpty || result.notes.contains { $0.kind == .lost && $0.subject.contains("controller") },
                "\(lines): \(result.notes)")
        }
    }

    @Test("Telegraf: serial settings, other transmission modes and units beyond the line's")
    func serial() throws {
        let line = try telegraf("controller = \"file:///dev/ttyS3\"\nbaud_rate = 38400\nparity = \"O\"\nstop_bits = 2\nslave_id = 9")
        #expect(
            line.devices[0].connection
                == .modbusRTU(ModbusRTUConnection(port: "/dev/ttyS3", baudRate: 38_400, parity: .odd, dataBits: 8, stopBits: 2, unit: 9)))
        #expect(line.isComplete)
        let broadcast = try telegraf("controller = \"file:///dev/ttyS3\"")
        #expect(broadcast.notes.contains { $0.kind == .lost && $0.subject == "slave_id" })
        let ascii = try telegraf("controller = \"file:///dev/ttyS3\"\nslave_id = 1\ntransmission_mode = \"ASCII\"\ndata_bits = 7")
        #expect(ascii.isComplete, "\(ascii.notes)")
        guard case .modbusASCII(let settings) = ascii.devices[0].connection else {
            Issue.record("\(ascii.devices[0].connection)")
            return
        }
        #expect(settings.dataBits == 7)
        let beyond = try telegraf("controller = \"tcp://h:502\"\nslave_id = 300")
        #expect(beyond.devices[0].connection == .modbusTCP(ModbusTCPConnection(host: "h", port: 502, unit: 1)))
        #expect(beyond.notes.contains { $0.kind == .lost && $0.subject == "slave_id" })
    }

    @Test("ThingsBoard: wrong hosts, ports, units and types of a device are said")
    func thingsBoard() throws {
        let udp = try thingsBoard("\"type\": \"udp\", \"host\": \"h\", \"port\": 502, \"unitId\": 4")
        #expect(udp.devices[0].connection == .modbusUDP(ModbusTCPConnection(host: "h", port: 502, unit: 4)))
        let wrong = try thingsBoard("\"host\": \"a b\", \"port\": 0, \"unitId\": 999")
        #expect(wrong.devices[0].connection == .modbusTCP(ModbusTCPConnection(host: "192.0.2.1", port: 502, unit: 1)))
        #expect(wrong.notes.count { $0.kind == .lost } == 2, "\(wrong.notes)")
        let line = try thingsBoard("\"type\": \"serial\", \"port\": \"COM3\", \"unitId\": 1")
        #expect(line.notes.contains { $0.kind == .lost && $0.subject == "device: port" })
    }

    @Test(
        "ThingsBoard: the orders of bytes and words",
        arguments: [("BIG", "BIG", ByteOrder.abcd), ("BIG", "LITTLE", .cdab), ("LITTLE", "BIG", .badc), ("LITTLE", "LITTLE", .dcba)])
    func orders(_ bytes: String, _ words: String, _ expected: ByteOrder) throws {
        let result = try thingsBoard("\"host\": \"h\", \"byteOrder\": \"\(bytes)\", \"wordOrder\": \"\(words)\"")
        #expect(result.definitions[0].tags[0].byteOrder == expected)
    }
}
