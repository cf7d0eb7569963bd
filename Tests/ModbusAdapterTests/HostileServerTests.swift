import GatewayCore
import ModbusProtocol
import TestKit
import Testing

@testable import ModbusAdapter

@Suite("hostile servers")
struct HostileServerTests {
    private func endpoints(_ port: UInt16) -> [ModbusEndpoint] {
        [.tcp(host: "127.0.0.1", port: port), .rtuOverTCP(host: "127.0.0.1", port: port), .asciiOverTCP(host: "127.0.0.1", port: port)]
    }

    @Test("endless bytes end with the request's time, whatever they are", arguments: [0x00, 0x01, 0x3A, 0x03, 0xFF] as [UInt8])
    func endless(byte: UInt8) async throws {
        let server = try ScriptedServer([.flood([UInt8](repeating: byte, count: 997))])
        for endpoint in endpoints(server.port) {
            let client = LineClient(endpoint, timeout: .milliseconds(100))
            try await client.open()
            for _ in 0..<3 {
                guard case .failure(let failure) = await client.registers(0, 10) else {
                    Issue.record("\(endpoint): values out of nothing")
                    break
                }
                if case .disconnected = failure { try? await client.open() }
            }
            await client.close()
        }
    }

    @Test("endless whole frames of other transactions end with the request's time")
    func endlessFrames() async throws {
        let frame = ModbusTCPFrame(transaction: 0xABCD, unit: 1, pdu: [3, 2, 0, 1]).bytes
        let server = try ScriptedServer([.flood(frame)])
        let client = LineClient(.tcp(host: "127.0.0.1", port: server.port), timeout: .milliseconds(100))
        try await client.open()
        guard case .failure(.invalidReply) = await client.registers(0, 1) else {
            Issue.record("values out of strangers' frames")
            return
        }
        #expect(client.line.counters.invalidReplies > 1)
    }

    @Test("seeded noise never gives a value and never crashes")
    func noise() async throws {
        let seed = seedOfThisRun()
        var generator = SeededGenerator(seed: seed)
        for framing in 0..<3 {
            for _ in 0..<6 {
                let bytes = (0..<Int.random(in: 1...600, using: &generator)).map { _ in UInt8.random(in: 0...255, using: &generator) }
                let server = try ScriptedServer([.take(8), .send(bytes)])
                let client = LineClient(endpoints(server.port)[framing], timeout: .milliseconds(60))
                try await client.open()
                let result = await client.registers(0, 20)
                guard case .failure = result else {
                    Issue.record("seed \(seed): \(result)")
                    continue
                }
            }
        }
    }

    @Test("a device that never answers and never closes costs one response time a request")
    func silent() async throws {
        let server = try ScriptedServer([.take(12), .take(12)])
        let client = LineClient(.tcp(host: "127.0.0.1", port: server.port), timeout: .milliseconds(50))
        try await client.open()
        #expect(await client.registers(0, 1) == .failure(.timeout))
        #expect(await client.registers(0, 1) == .failure(.timeout))
        #expect(client.line.counters.timeouts == 2)
    }

    @Test("requests the protocol does not allow are not sent")
    func refused() async throws {
        let server = try ScriptedServer([.take(.max)])
        let client = LineClient(.tcp(host: "127.0.0.1", port: server.port), timeout: .milliseconds(50))
        try await client.open()
        for (start, count) in [(0, 126), (65_535, 2), (0, 0)] {
            guard case .failure(.invalidReply) = await client.registers(start, count) else {
                Issue.record("\(count) from \(start)")
                continue
            }
        }
        for request in [
            ModbusRequest.writeRegisters(start: 0, values: Array(repeating: 0, count: 124)), .writeCoils(start: 0, values: []),
            .read(.holdingRegisters, start: 0, count: 70_000), .other(function: 0x90, data: []),
            .other(function: 0x41, data: Array(repeating: 0, count: 400)),
        ] {
            guard case .failure(.invalidReply) = await client.perform(request) else {
                Issue.record("\(request)")
                continue
            }
        }
        #expect(client.line.counters.requests == 0)
    }

    @Test("a broken connection is made anew once by the line itself, then left to those who pace it")
    func reopening() async throws {
        let server = try ScriptedServer([.take(12), .send([0, 1, 9, 9, 9, 9, 9, 9])])
        let client = LineClient(.tcp(host: "127.0.0.1", port: server.port), timeout: .milliseconds(100))
        try await client.open()
        var failures: [RequestFailure] = []
        for _ in 0..<4 {
            if case .failure(let failure) = await client.registers(0, 1) { failures.append(failure) }
        }
        #expect(failures.count == 4)
        #expect(failures.contains(.disconnected("the connection had to be given up again")), "\(failures)")
        #expect(client.line.counters.connections == 2)
    }

    @Test("scenario 20: a late serial reply that comes on a new connection is not the next answer either")
    func lateOnNewConnection() async throws {
        let late = ModbusRTUFrame(unit: 1, pdu: [3, 6, 0, 7, 0, 8, 0, 9]).bytes
        let right = ModbusRTUFrame(unit: 1, pdu: [3, 6, 0, 1, 0, 2, 0, 3]).bytes
        let server = try ScriptedServer([.take(8)], [.pause(milliseconds: 100), .send(late), .take(8), .send(right)])
        let client = LineClient(.rtuOverTCP(host: "127.0.0.1", port: server.port), timeout: .milliseconds(500))
        try await client.open()
        #expect(await client.registers(107, 3) == .failure(.timeout))
        await client.close()
        try await client.open()
        #expect(await client.registers(200, 3) == .success([1, 2, 3]))
        #expect(client.line.counters.lateReplies == 1)
    }

    @Test("unit 0 of a serial line: writes go out, reads are refused")
    func broadcast() async throws {
        let write = ModbusRequest.writeRegister(address: 1, value: 2)
        let server = try ScriptedServer([.expect(ModbusRTUFrame(unit: 0, pdu: write.pdu).bytes)])
        let client = LineClient(.rtuOverTCP(host: "127.0.0.1", port: server.port))
        try await client.open()
        #expect(await client.perform(write, unit: 0) == .success(.written))
        guard case .failure(.invalidReply) = await client.perform(.read(.coils, start: 0, count: 1), unit: 0) else {
            Issue.record("a broadcast was answered")
            return
        }
        #expect(server.failures.isEmpty)
    }

    @Test("a function of no known length is read to the silence behind it")
    func unknownFunction() async throws {
        let server = try ScriptedServer(
            [.take(5), .send(ModbusRTUFrame(unit: 1, pdu: [0x41, 7, 8, 9]).bytes), .take(5), .send([1, 0x41, 7])])
        let client = LineClient(.rtuOverTCP(host: "127.0.0.1", port: server.port), timeout: .milliseconds(300))
        try await client.open()
        let request = ModbusRequest.other(function: 0x41, data: [5])
        #expect(await client.perform(request) == .success(.other([7, 8, 9])))
        #expect(await client.perform(request) == .failure(.invalidReply("the answer breaks off after 3 bytes")))
    }
}
