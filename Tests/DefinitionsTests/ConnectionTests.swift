import Definitions
import Testing

@Suite struct ConnectionTests {
    private func connection(_ text: String) throws -> Connection? {
        let site =
            definition(tags: "{name: a, address: \"holding:1\", type: int16}") + """
                ---
                apiVersion: edge.indusedge.io/v1
                kind: Site
                metadata: {name: plant}
                spec:
                  devices: [{name: p1, definition: pump, connection: {\(text)}}]
                """
        let loaded = try load(site)
        #expect(loaded.diagnostics.map(\.message) == [])
        return loaded.site?.devices.first?.connection
    }

    @Test("every kind of connection, bare and with every key")
    func kinds() throws {
        #expect(try connection("modbusTCP: {host: h}") == .modbusTCP(ModbusTCPConnection(host: "h", port: 502, unit: 1)))
        #expect(
            try connection("modbusUDP: {host: h, port: 5020, unit: 255}")
                == .modbusUDP(ModbusTCPConnection(host: "h", port: 5020, unit: 255)))
        #expect(
            try connection("modbusRTUoverTCP: {host: h, port: 4001, unit: 7, turnaroundDelay: 20ms}")
                == .modbusRTUoverTCP(ModbusTCPConnection(host: "h", port: 4001, unit: 7, turnaroundDelay: .milliseconds(20))))
        #expect(
            try connection("modbusASCIIoverTCP: {host: h, port: 4001}")
                == .modbusASCIIoverTCP(ModbusTCPConnection(host: "h", port: 4001, unit: 1)))
        #expect(
            try connection("modbusRTU: {port: /dev/ttyS1}")
                == .modbusRTU(
                    ModbusRTUConnection(port: "/dev/ttyS1", baudRate: 19_200, parity: .even, dataBits: 8, stopBits: 1, unit: 1)))
        #expect(
            try connection(
                "modbusRTU: {port: /dev/ttyS1, rs485: rtsLow, rtsDelay: 1ms, turnaroundDelay: 5ms, interCharacterTime: 50ms}")
                == .modbusRTU(
                    ModbusRTUConnection(
                        port: "/dev/ttyS1", baudRate: 19_200, parity: .even, dataBits: 8, stopBits: 1, unit: 1, rs485: .rtsLow,
                        rtsDelay: .milliseconds(1), turnaroundDelay: .milliseconds(5), interCharacterTime: .milliseconds(50))))
        #expect(
            try connection("modbusASCII: {port: /dev/ttyS1, rs485: kernel}")
                == .modbusASCII(
                    ModbusRTUConnection(
                        port: "/dev/ttyS1", baudRate: 19_200, parity: .even, dataBits: 7, stopBits: 1, unit: 1, rs485: .kernel)))
    }

    @Test("certificates of a secured connection stand beside the document")
    func secured() throws {
        guard
            case .modbusTLS(let tls) = try connection(
                "modbusTLS: {host: plc, unit: 3, ca: /pki/ca.crt, certificate: gateway.crt, key: gateway.key, role: operator}")
        else {
            Issue.record("no TLS connection")
            return
        }
        #expect(tls.host == "plc" && tls.port == 802 && tls.unit == 3 && tls.role == "operator")
        #expect(tls.tls.certificateAuthority == "/pki/ca.crt" && tls.tls.certificate.hasSuffix("/gateway.crt"))
        #expect(tls.tls.minimumVersion == .tls13)
    }
}
