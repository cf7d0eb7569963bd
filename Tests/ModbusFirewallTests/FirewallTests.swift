import GatewayCore
import ModbusFirewall
import ModbusProtocol
import Testing

/// A setpoint in tenths at holding register 50 (0…100, at most 20 at once), a 32-bit one at 60.
private func firewall(
    newWrites: ModbusFirewall.NewWrites = .allow, burst: Int = 100, baseline: WriteBaseline = WriteBaseline()
) -> ModbusFirewall {
    ModbusFirewall(
        .init(
            rules: FirewallRules([
                .init(client: NetworkBlock(bytes: [10, 1, 0, 0], prefix: 16), units: nil, functions: [1, 2, 3, 4], ranges: nil),
                .init(
                    client: NetworkBlock(bytes: [10, 1, 2, 3], prefix: 32), units: [1], functions: [6, 16, 22, 23, 3],
                    ranges: [.init(area: .holdingRegisters, addresses: 40...69)]),
            ]), newWrites: newWrites, writesPerSecond: 10, writeBurst: burst,
            guardedTags: [
                1: [
                    .init(name: "setpoint", area: .holdingRegisters, start: 50, count: 1, minimum: 0, maximum: 100, maximumStep: 20) {
                        Double($0[0]) / 10
                    },
                    .init(name: "total", area: .holdingRegisters, start: 60, count: 2, minimum: nil, maximum: 100_000, maximumStep: nil) {
                        Double(UInt32($0[0]) << 16 | UInt32($0[1]))
                    },
                ]
            ]), baseline: baseline)
}

private let writer = ClientAddress(bytes: [10, 1, 2, 3])
private let reader = ClientAddress(bytes: [10, 1, 9, 9])
private let stranger = ClientAddress(bytes: [10, 2, 0, 1])
private let start = MonotonicInstant(nanoseconds: 1_000_000_000)

private func kind(
    _ firewall: inout ModbusFirewall, _ request: ModbusRequest, from client: ClientAddress = writer, unit: UInt8 = 1,
    contents: [ModbusAccess: [UInt16]] = [:], at now: MonotonicInstant = start
) -> Refusal.Kind? {
    switch firewall.judge(request, unit: unit, client: client, at: now) {
    case .refuse(let refusal): refusal.kind
    case .read: nil
    case .write: firewall.refusal(of: request, unit: unit, client: client, contents: contents)?.kind
    }
}

@Suite struct FirewallTests {
    @Test("what no rule allows is refused: client, unit, function, address")
    func rules() {
        var wall = firewall()
        #expect(kind(&wall, .read(.inputRegisters, start: 0, count: 10), from: reader) == nil)
        #expect(kind(&wall, .read(.inputRegisters, start: 0, count: 10), from: stranger) == .notAllowed)
        #expect(kind(&wall, .writeRegister(address: 45, value: 1), from: reader) == .notAllowed)
        #expect(kind(&wall, .writeRegister(address: 45, value: 1)) == nil)
        #expect(kind(&wall, .writeRegister(address: 45, value: 1), unit: 2) == .notAllowed)
        #expect(kind(&wall, .writeRegisters(start: 68, values: [1, 2])) == nil)
        #expect(kind(&wall, .writeRegisters(start: 69, values: [1, 2])) == .notAllowed)
        #expect(kind(&wall, .writeCoil(address: 45, value: true)) == .notAllowed)
        #expect(kind(&wall, .other(function: 90, data: [1, 2, 3])) == .notAllowed)
        #expect(kind(&wall, .readWrite(readStart: 0, readCount: 1, writeStart: 45, values: [1])) == .notAllowed)
        #expect(kind(&wall, .readWrite(readStart: 41, readCount: 1, writeStart: 45, values: [1])) == nil)
        #expect(wall.knows(stranger) == false)
    }

    @Test("a value outside its limits, or too far from the present one, is refused however it is written")
    func limits() {
        var wall = firewall()
        let present: [ModbusAccess: [UInt16]] = [.init(area: .holdingRegisters, start: 50, count: 1, isWrite: false): [500]]
        #expect(kind(&wall, .writeRegister(address: 50, value: 600), contents: present) == nil)
        #expect(kind(&wall, .writeRegister(address: 50, value: 701), contents: present) == .outOfLimits)
        #expect(kind(&wall, .writeRegister(address: 50, value: 1001), contents: present) == .outOfLimits)
        #expect(kind(&wall, .writeRegister(address: 50, value: 600)) == .outOfLimits)
        #expect(kind(&wall, .writeRegisters(start: 48, values: [0, 0, 1001, 0]), contents: present) == .outOfLimits)
        #expect(kind(&wall, .maskWrite(address: 50, and: 0xFFFF, or: 0), contents: present) == nil)
        #expect(kind(&wall, .maskWrite(address: 50, and: 0, or: 0xFFFF), contents: present) == .outOfLimits)
        #expect(kind(&wall, .readWrite(readStart: 41, readCount: 1, writeStart: 50, values: [1001]), contents: present) == .outOfLimits)
    }

    @Test("a value written in halves is judged as a whole, and refused while the other half is not known")
    func halves() {
        var wall = firewall()
        let whole = ModbusAccess(area: .holdingRegisters, start: 60, count: 2, isWrite: false)
        #expect(kind(&wall, .writeRegisters(start: 60, values: [1, 0])) == nil)
        #expect(kind(&wall, .writeRegisters(start: 60, values: [2, 0])) == .outOfLimits)
        #expect(kind(&wall, .writeRegister(address: 60, value: 1)) == .outOfLimits)
        #expect(kind(&wall, .writeRegister(address: 60, value: 1), contents: [whole: [0, 5]]) == nil)
        #expect(kind(&wall, .writeRegister(address: 60, value: 1), contents: [whole: [0, 0xFFFF]]) == .outOfLimits)
        #expect(kind(&wall, .writeRegister(address: 61, value: 0xFFFF), contents: [whole: [1, 0]]) == .outOfLimits)
    }

    @Test("writes beyond the rate are refused until time has passed")
    func rate() {
        var wall = firewall(burst: 3)
        for _ in 0..<3 { #expect(kind(&wall, .writeRegister(address: 45, value: 1)) == nil) }
        #expect(kind(&wall, .writeRegister(address: 45, value: 1)) == .tooFast)
        #expect(kind(&wall, .read(.holdingRegisters, start: 45, count: 1)) == nil)
        #expect(kind(&wall, .writeRegister(address: 45, value: 1), at: start.advanced(by: .milliseconds(99))) == .tooFast)
        #expect(kind(&wall, .writeRegister(address: 45, value: 1), at: start.advanced(by: .milliseconds(201))) == nil)
    }

    @Test("a write nobody has made before is refused once the firewall has learned")
    func baseline() throws {
        var learning = firewall(newWrites: .learn)
        #expect(kind(&learning, .writeRegister(address: 45, value: 1)) == nil)
        let text = learning.baseline.text
        let restored = WriteBaseline(text: text)
        #expect(restored == learning.baseline)
        var wall = firewall(newWrites: .block, baseline: try #require(restored))
        #expect(kind(&wall, .writeRegister(address: 45, value: 99)) == nil)
        #expect(kind(&wall, .writeRegister(address: 46, value: 1)) == .neverSeen)
        #expect(kind(&wall, .writeRegisters(start: 45, values: [1])) == .neverSeen)
        for length in 0..<text.utf8.count { #expect(WriteBaseline(text: String(text.prefix(length))) == nil) }
        #expect(WriteBaseline(text: text.replacing("0a0102", with: "0a01zz")) == nil)
    }

    @Test("addresses belong to their network, whole bytes or not, and IPv4 in IPv6 clothes is IPv4")
    func networks() {
        let mapped = ClientAddress(bytes: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 10, 1, 2, 3])
        #expect(mapped == writer)
        #expect(mapped.description == "10.1.2.3")
        #expect(NetworkBlock(bytes: [10, 1, 2, 0], prefix: 23).contains(ClientAddress(bytes: [10, 1, 3, 255])))
        #expect(!NetworkBlock(bytes: [10, 1, 2, 0], prefix: 23).contains(ClientAddress(bytes: [10, 1, 4, 0])))
        #expect(NetworkBlock(bytes: [0, 0, 0, 0], prefix: 0).contains(stranger))
        #expect(!NetworkBlock(bytes: [0, 0, 0, 0], prefix: 0).contains(ClientAddress(bytes: [UInt8](repeating: 0, count: 16))))
    }

    @Test("the client of a serial line has no address: only rules for everybody are its, and its writes are learned too")
    func serialClient() throws {
        var wall = firewall()
        #expect(kind(&wall, .read(.holdingRegisters, start: 0, count: 1), from: .serialLine) == .notAllowed)
        var open = ModbusFirewall(
            .init(
                rules: FirewallRules([.init(client: nil, units: nil, functions: [3, 6], ranges: nil)]), newWrites: .learn,
                writesPerSecond: 10, writeBurst: 100, guardedTags: [:]), baseline: WriteBaseline())
        #expect(kind(&open, .writeRegister(address: 45, value: 1), from: .serialLine) == nil)
        #expect(ClientAddress.serialLine.description == "serial line")
        let restored = try #require(WriteBaseline(text: open.baseline.text))
        #expect(restored == open.baseline && restored.patterns.count == 1)
    }
}
