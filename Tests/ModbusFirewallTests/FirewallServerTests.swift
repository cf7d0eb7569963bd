import GatewayCore
import Logging
import ModbusFirewall
import ModbusProtocol
import Synchronization
import Telemetry
import TestKit
import Testing

/// A device in memory, and what was asked of it and written down about it.
private final class Plant: Sendable {
    private struct State {
        var registers = [UInt16](repeating: 0, count: 100)
        var requests: [ModbusRequest] = []
        var stages: [FirewallService.Attempt.Stage] = []
    }
    private let state = Mutex(State())

    var requests: [ModbusRequest] { state.withLock { $0.requests } }
    var registers: [UInt16] { state.withLock { $0.registers } }
    var stages: [FirewallService.Attempt.Stage] { state.withLock { $0.stages } }

    func note(_ stage: FirewallService.Attempt.Stage) { state.withLock { $0.stages.append(stage) } }

    func answer(_ request: ModbusRequest) -> ModbusResponse {
        state.withLock { state in
            state.requests.append(request)
            switch request {
            case .read(.holdingRegisters, let start, let count) where Int(start) + count <= 100:
                return .registers(Array(state.registers[Int(start)..<Int(start) + count]))
            case .writeRegister(let address, let value) where address < 100:
                state.registers[Int(address)] = value
                return .written
            default: return .exception(2)
            }
        }
    }
}

@Suite struct FirewallServerTests {
    private static let logger = Logger(label: "firewall") { _ in SwiftLogNoOpLogHandler() }

    /// Runs a firewall in front of a plant: addresses 0…9 are latest values, 10…19 may be written with function 6, 12 has limits.
    private func withFirewall(auditWorks: Bool = true, _ body: (UInt16, Plant, FirewallService) async throws -> Void) async throws {
        let plant = Plant()
        let rules = FirewallRules([
            .init(client: nil, units: nil, functions: [3], ranges: nil),
            .init(
                client: NetworkBlock(bytes: [127, 0, 0, 0], prefix: 8), units: [1], functions: [6],
                ranges: [.init(area: .holdingRegisters, addresses: 10...19)]),
        ])
        let setpoint = ModbusFirewall.GuardedTag(
            name: "setpoint", area: .holdingRegisters, start: 12, count: 1, minimum: 0, maximum: 100, maximumStep: 10
        ) { Double($0[0]) }
        let firewall = ModbusFirewall(
            .init(rules: rules, newWrites: .allow, writesPerSecond: 1000, writeBurst: 1000, guardedTags: [1: [setpoint]]),
            baseline: WriteBaseline())
        let target = FirewallService.Target(
            device: "pump-1", forward: { plant.answer($0) },
            latest: { access, _ in access.start + access.count <= 10 ? [UInt16](repeating: 42, count: access.count) : nil },
            didWrite: { _ in })
        let service = FirewallService(
            name: "wall", firewall: firewall, targets: [1: target], freshFor: .seconds(1),
            audit: { attempt in
                plant.note(attempt.stage)
                return auditWorks
            }, time: SystemTime(), logger: FirewallServerTests.logger)
        let log = MemoryLog()
        let server = try FirewallServer(
            service: service, address: "127.0.0.1", port: 0, stream: log.register(FirewallStream.descriptor(firewall: "wall")), log: log,
            logger: FirewallServerTests.logger)
        let running = Task { try await server.run() }
        try await body(server.port, plant, service)
        running.cancel()
        await #expect(throws: CancellationError.self) { try await running.value }
    }

    @Test("reads come from the latest values or from the device, allowed writes reach it, others do not and are answered")
    func readsAndWrites() async throws {
        try await withFirewall { port, plant, service in
            let client = Client(port: port)
            #expect(await client.ask(.read(.holdingRegisters, start: 0, count: 10)) == .registers([UInt16](repeating: 42, count: 10)))
            #expect(plant.requests.isEmpty)
            #expect(await client.ask(.writeRegister(address: 15, value: 77)) == .written)
            #expect(plant.registers[15] == 77)
            let block = await client.ask(.read(.holdingRegisters, start: 5, count: 11))
            #expect(block?.values?.last == 77)
            #expect(await client.ask(.writeRegister(address: 20, value: 1)) == .exception(2))
            #expect(await client.ask(.writeRegisters(start: 15, values: [1])) == .exception(1))
            #expect(await client.ask(.read(.holdingRegisters, start: 0, count: 1), unit: 9) == .exception(10))
            #expect(await client.ask(.read(.holdingRegisters, start: 99, count: 2)) == .exception(2))
            #expect(plant.registers.filter { $0 != 0 } == [77])
            #expect(service.status.refusedWrites == 2)
            #expect(service.status.isAlarm)
            #expect(plant.stages.count == 4)
            #expect(plant.stages.prefix(2) == [.intended, .done])
        }
    }

    @Test("a rule of a tag that is written refuses, and is asked only about tags that have one")
    func tagRules() async throws {
        let asked = Mutex<[[String]]>([])
        let rules = FirewallRules([.init(client: nil, units: nil, functions: [3, 6, 16], ranges: nil)])
        let plant = Plant()
        let tags = [
            ModbusFirewall.GuardedTag(name: "start", area: .holdingRegisters, start: 12, count: 1, hasRules: true) { _ in nil },
            ModbusFirewall.GuardedTag(name: "limited", area: .holdingRegisters, start: 13, count: 1, maximum: 5) { Double($0[0]) },
        ]
        let service = FirewallService(
            name: "wall",
            firewall: ModbusFirewall(
                .init(rules: rules, newWrites: .allow, writesPerSecond: 1000, writeBurst: 1000, guardedTags: [1: tags]),
                baseline: WriteBaseline()),
            targets: [
                1: .init(device: "pump-1", forward: { plant.answer($0) }, latest: { _, _ in nil }, didWrite: { _ in })
            ], freshFor: .zero,
            judge: { device, names in
                asked.withLock { $0.append([device] + names) }
                return names.contains("start") ? Refusal(.deviceBusy, .tagRule, "interlock") : nil
            },
            audit: { attempt in
                plant.note(attempt.stage)
                return true
            }, time: SystemTime(), logger: FirewallServerTests.logger)
        func answer(_ request: ModbusRequest) async -> [UInt8] { await service.answer(request.pdu, unit: 1, client: .serialLine) }
        #expect(await answer(.writeRegister(address: 12, value: 1)) == [0x86, 6])
        #expect(await answer(.writeRegisters(start: 11, values: [0, 1, 2])) == [0x90, 6])
        #expect(await answer(.writeRegister(address: 13, value: 4)) == ModbusRequest.writeRegister(address: 13, value: 4).pdu)
        #expect(await answer(.writeRegister(address: 13, value: 6)) == [0x86, 3])
        #expect(asked.withLock { $0 } == [["pump-1", "start"], ["pump-1", "start"]])
        #expect(plant.registers[12] == 0 && plant.registers[13] == 4)
        #expect(
            plant.stages == [
                .refused("interlock"), .refused("interlock"), .intended, .done, .refused("limited would be 6.0, at most 5.0 is allowed"),
            ])
    }

    @Test("a step is judged against what the device has now")
    func steps() async throws {
        try await withFirewall { port, plant, _ in
            let client = Client(port: port)
            #expect(await client.ask(.writeRegister(address: 12, value: 10)) == .written)
            #expect(await client.ask(.writeRegister(address: 12, value: 21)) == .exception(3))
            #expect(await client.ask(.writeRegister(address: 12, value: 20)) == .written)
            #expect(plant.registers[12] == 20)
        }
    }

    @Test("a client that is refused again and again fills neither trail nor log, and every refusal is counted")
    func floods() async throws {
        try await withFirewall { port, plant, service in
            let client = Client(port: port)
            for _ in 0..<200 { _ = await client.ask(.writeRegister(address: 20, value: 1)) }
            #expect(service.status.refusedWrites == 200)
            // 20 at once, and one for each second that this took.
            #expect(plant.stages.count >= 20 && plant.stages.count < 100)
        }
    }

    @Test("a write that the device refuses has failed, and of one that it does not answer nobody knows", arguments: [UInt8(2), 10, 11])
    func unansweredWrites(code: UInt8) async throws {
        let plant = Plant()
        let service = FirewallService(
            name: "wall",
            firewall: ModbusFirewall(
                .init(
                    rules: FirewallRules([.init(client: nil, units: nil, functions: [6], ranges: nil)]), newWrites: .allow,
                    writesPerSecond: 1, writeBurst: 1, guardedTags: [:]), baseline: WriteBaseline()),
            targets: [1: .init(device: "pump-1", forward: { _ in .exception(code) }, latest: { _, _ in nil }, didWrite: { _ in })],
            freshFor: .zero,
            audit: { attempt in
                plant.note(attempt.stage)
                return true
            }, time: SystemTime(), logger: FirewallServerTests.logger)
        #expect(await service.answer(ModbusRequest.writeRegister(address: 1, value: 1).pdu, unit: 1, client: .serialLine) == [0x86, code])
        let reason =
            code == 2
            ? "the device answered exception 2" : "no answer came (exception \(code)): nobody knows whether the device did it"
        #expect(plant.stages == [.intended, .failed(reason)])
    }

    @Test("what cannot be written down is not done")
    func withoutAudit() async throws {
        try await withFirewall(auditWorks: false) { port, plant, _ in
            let client = Client(port: port)
            #expect(await client.ask(.writeRegister(address: 15, value: 77)) == .exception(4))
            #expect(plant.registers[15] == 0)
        }
    }

    @Test("garbage, cut frames and a client that says nothing disturb nobody else")
    func hostileClients() async throws {
        try await withFirewall { port, _, service in
            let silent = Client(port: port)
            await silent.send([0, 1, 0])
            let garbage = Client(port: port)
            await garbage.send([UInt8](repeating: 0xAB, count: 4096))
            #expect(await garbage.receive() == nil)
            let tooLong = Client(port: port)
            await tooLong.send([0, 1, 0, 0, 0xFF, 0xFF, 1])
            #expect(await tooLong.receive() == nil)
            let malformed = Client(port: port)
            await malformed.send(ModbusTCPFrame(transaction: 3, unit: 1, pdu: [3, 0, 0]).bytes)
            let refusal = await malformed.receive()
            #expect(refusal?.pdu == [0x83, 3])
            #expect(await malformed.ask(.read(.holdingRegisters, start: 0, count: 1)) == .registers([42]))
            let bytewise = Client(port: port)
            for byte in ModbusTCPFrame(transaction: 9, unit: 1, pdu: [3, 0, 0, 0, 1]).bytes { await bytewise.send([byte]) }
            let slow = await bytewise.receive()
            #expect(slow?.transaction == 9)
            let pipelined = Client(port: port)
            for transaction in UInt16(0)..<20 {
                await pipelined.send(ModbusTCPFrame(transaction: transaction, unit: 1, pdu: [3, 0, 0, 0, 1]).bytes)
            }
            for transaction in UInt16(0)..<20 {
                let answer = await pipelined.receive()
                #expect(answer?.transaction == transaction)
            }
            #expect(service.status.malformed == 3)
        }
    }

    @Test("no more clients than the limit are served")
    func manyClients() async throws {
        try await withFirewall { port, _, service in
            var served = 0
            var clients: [Client] = []
            for _ in 0..<FirewallServer.clientsMax + 3 {
                let client = Client(port: port)
                if await client.ask(.read(.holdingRegisters, start: 0, count: 1)) == .registers([42]) { served += 1 }
                clients.append(client)
            }
            #expect(served == FirewallServer.clientsMax)
            #expect(service.status.refusedConnections == 3)
        }
    }
}

extension ModbusResponse {
    fileprivate var values: [UInt16]? {
        if case .registers(let values) = self { values } else { nil }
    }
}
