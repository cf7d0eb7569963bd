import Foundation
import Testing

@testable import Definitions

/// A site with one device and a firewall that has these further keys.
private func firewall(_ keys: String) throws -> LoadedConfiguration {
    try load(
        site(
            "devices: [{name: p1, definition: pump, connection: {modbusTCP: {host: 192.0.2.1}}}]",
            "firewalls: [{name: wall, devices: [{unit: 1, device: p1}], \(keys)}]"))
}

@Suite struct FirewallTests {
    @Test func everyKeyIsUsed() throws {
        let loaded = try firewall(
            "address: 0.0.0.0, port: 1502, freshFor: 500ms, newWrites: learn, writesPerSecond: 2.5, writeBurst: 7, rules: "
                + "[{client: 192.0.2.0/24, units: [1], functions: [readHoldingRegisters, write], registers: [\"holding:0-9\", \"coil:3\"]}, {}]"
        )
        #expect(loaded.diagnostics.map(\.message) == [])
        let firewall = try #require(loaded.site?.firewalls.first)
        #expect(firewall.address == "0.0.0.0")
        #expect(firewall.port == 1502)
        #expect(firewall.targets == [.init(unit: 1, device: "p1")])
        #expect(firewall.freshFor == .milliseconds(500))
        #expect(firewall.newWrites == .learn)
        #expect(firewall.writesPerSecond == 2.5)
        #expect(firewall.writeBurst == 7)
        #expect(firewall.rules[0].client == AddressBlock("192.0.2.0/24"))
        #expect(firewall.rules[0].units == [1])
        #expect(firewall.rules[0].functions == [3, 5, 6, 15, 16, 22, 23])
        #expect(firewall.rules[0].ranges == [.init(table: .holding, addresses: 0...9), .init(table: .coil, addresses: 3...3)])
        #expect(firewall.rules[1] == .init(client: nil, units: nil, functions: [1, 2, 3, 4, 43], ranges: nil))
    }

    @Test func defaultsAreTheCarefulOnes() throws {
        let firewall = try #require(try firewall("rules: []").site?.firewalls.first)
        #expect(firewall.address == "127.0.0.1")
        #expect(firewall.newWrites == .block)
    }

    @Test(arguments: [
        (
            "rules: [{client: 192.0.2.1/24}]",
            "'192.0.2.1/24' is not an IP address or a network such as 192.168.1.0/24 (no bits beyond the prefix)"
        ),
        (
            "rules: [{registers: [\"holding:9-3\"]}]",
            "'holding:9-3' is not table:first or table:first-last, the table one of holding, input, coil, discrete"
        ),
        ("rules: [], address: plc.example", "'plc.example' is not an IP address"),
        ("rules: [], writesPerSecond: 0", "0.0 is not more than 0"),
        ("rules: [{functions: [writ]}]", "'writ' is not one of"),
    ])
    func mistakes(_ keys: String, _ message: String) throws {
        let messages = try firewall(keys).diagnostics.map(\.message)
        #expect(messages.count == 1)
        #expect(messages.first?.hasPrefix(message) == true, "\(messages)")
    }

    @Test func devicesMustBeKnownAndUnitsDiffer() throws {
        let loaded = try load(
            site(
                "devices: [{name: p1, definition: pump, connection: {modbusTCP: {host: 192.0.2.1}}}]",
                "firewalls: [{name: p1, devices: [{unit: 1, device: p1}, {unit: 1, device: q1}], rules: []}]"))
        #expect(
            loaded.diagnostics.map(\.message) == [
                "'p1' is the name of a device too", "unit 1 is another device at line 16 already", "device 'q1' is not defined",
            ])
    }

    @Test(
        arguments: [
            ("10.0.0.0/8", [10, 0, 0, 0], 8), ("192.0.2.7", [192, 0, 2, 7], 32), ("::/0", [UInt8](repeating: 0, count: 16), 0),
            ("2001:db8::/32", [0x20, 0x01, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 12), 32),
            ("::1", [UInt8](repeating: 0, count: 15) + [1], 128),
        ] as [(String, [UInt8], Int)])
    func addresses(_ text: String, _ bytes: [UInt8], _ prefix: Int) throws {
        let block = try #require(AddressBlock(text))
        #expect(block.bytes == bytes)
        #expect(block.prefix == prefix)
        #expect(AddressBlock(block.description) == block)
    }

    @Test(arguments: [
        "", "/", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.4/33", "1.2.3.4/-1", "1.2.3.4/+8", ":::", "1::2::3", "12345::",
        "::/129",
        "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1.2.3.4/", "g::", "1.2.3.4/31x", "::1/64",
    ])
    func notAddresses(_ text: String) { #expect(AddressBlock(text) == nil) }

    @Test func aSerialLineInPlaceOfAPort() throws {
        let loaded = try firewall("serial: {port: /dev/ttyS9, baudRate: 9600, parity: none, stopBits: 2}, rules: []")
        #expect(loaded.diagnostics.map(\.message) == [])
        let line = try #require(loaded.site?.firewalls.first?.serial)
        #expect(line.port == "/dev/ttyS9" && line.baudRate == 9600 && line.parity == .none && line.stopBits == 2)
        let plain = try #require(try firewall("serial: {port: /dev/ttyS9}, rules: []").site?.firewalls.first?.serial)
        #expect(plain.baudRate == 19_200 && plain.parity == .even && plain.stopBits == 1)
        #expect(try firewall("rules: []").site?.firewalls.first?.serial == nil)
    }

    @Test(arguments: [
        ("serial: {port: /dev/ttyS9, baudRate: 9601}, rules: []", "9601 is no usual baud rate"),
        ("serial: {port: /dev/ttyS9}, port: 1502, rules: []", "'port' has no effect: the firewall serves a serial line"),
    ])
    func serialMistakes(_ keys: String, _ message: String) throws {
        #expect(try firewall(keys).diagnostics.map(\.message) == [message])
    }

    @Test func devicesAndClientsNeedALineEach() throws {
        let loaded = try load(
            site(
                "devices: [{name: p1, definition: pump, connection: {modbusRTU: {port: /dev/ttyS1}}}]",
                "firewalls: [{name: wall, serial: {port: /dev/ttyS1}, devices: [{unit: 1, device: p1}], rules: []}]"))
        #expect(loaded.diagnostics.map(\.message) == ["a device is on /dev/ttyS1"])
    }
}
