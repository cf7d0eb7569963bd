import Definitions
import Testing

@Suite("How a device may be read")
struct ModbusReadingTests {
    private func text(_ modbus: String, device: String = "") -> String {
        """
        apiVersion: edge.indusedge.io/v1
        kind: ProtocolDefinition
        metadata: {name: pump, version: 1.0.0}
        spec:
          protocol: modbus
          scanGroups: {fast: 100ms}
          modbus: {\(modbus)}
          tags:
            - {name: label, address: "holding:9", type: string, length: 40}
            - {name: short, address: "holding:100", type: uint16}
        ---
        apiVersion: edge.indusedge.io/v1
        kind: Site
        metadata: {name: plant}
        spec:
          devices:
            - {name: d, definition: pump, connection: {modbusTCP: {host: h}}\(device)}

        """
    }

    @Test("the protocol's limits stand where nothing is said; a device's own settings go before its definition's")
    func settings() throws {
        let plain = try #require(try load(text("")).site?.devices.first)
        #expect(plain.reading == ModbusReading(maxRegistersPerRead: 125, maxBitsPerRead: 2000, alignment: 1, holes: .learn))
        let own = try #require(
            try load(
                text(
                    "maxRegistersPerRead: 60, alignment: 2, readAcrossHoles: never",
                    device: ", modbus: {maxRegistersPerRead: 30, maxBitsPerRead: 8}")
            ).site?.devices.first)
        #expect(own.reading == ModbusReading(maxRegistersPerRead: 30, maxBitsPerRead: 8, alignment: 2, holes: .never))
        #expect(own.definition.reading.maxRegistersPerRead == 60)
    }

    @Test(
        "settings that cannot work are refused with their place",
        arguments: [
            ("maxRegistersPerRead: 126", "", "7:33: 126 is out of range 1…125"),
            ("maxBitsPerRead: 0", "", "7:28: 0 is out of range 1…2000"),
            ("readAcrossHoles: maybe", "", "7:29: 'maybe' is not one of learn, never"),
            ("maxRegisters: 3", "", "7:12: unknown key 'maxRegisters' in modbus"),
            (
                "maxRegistersPerRead: 19", "",
                "7:33: tag 'label' takes 20 registers, but one request may only ask for 19"
            ),
            ("alignment: 8, maxRegistersPerRead: 4", "", "7:23: alignment is 8, but a request may only ask for 4 registers"),
            (
                "", ", modbus: {maxRegistersPerRead: 10}",
                "17:101: tag 'label' takes 20 registers, but one request may only ask for 10"
            ),
        ])
    func problems(modbus: String, device: String, problem: String) throws {
        let loaded = try load(text(modbus, device: device))
        #expect(loaded.diagnostics.map { "\($0.line):\($0.column): \($0.message)" } == [problem])
    }

    @Test("a device without the long tag may have a shorter limit")
    func disabled() throws {
        let loaded = try load(text("", device: ", modbus: {maxRegistersPerRead: 10}, disabledTags: [label]"))
        #expect(loaded.diagnostics.isEmpty)
        #expect(loaded.site?.devices.first?.reading.maxRegistersPerRead == 10)
    }
}
