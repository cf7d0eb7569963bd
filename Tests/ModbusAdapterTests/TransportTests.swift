import GatewayCore
import Identity
import ModbusProtocol
import Telemetry
import TestKit
import Testing

@testable import ModbusAdapter

/// The files of a test's own authority, device and gateway.
private struct Files {
    let folder: TemporaryFolder
    let time = SystemTime().utc

    init(role: String?) throws {
        folder = try TemporaryFolder()
        _ = try DevelopmentIdentity.create(in: folder.path, at: SystemTime().utc, modbusRole: role)
    }

    var serverArguments: [String] {
        ["--ca", "\(folder.path)/ca.crt", "--certificate", "\(folder.path)/broker.crt", "--key", "\(folder.path)/broker.key"]
    }

    func client(role: String? = nil, oldest: TLSClient.Version = .tls13) -> TLSClient {
        TLSClient(
            ca: "\(folder.path)/ca.crt", certificate: "\(folder.path)/gateway.crt", key: "\(folder.path)/gateway.key",
            oldestVersion: oldest, modbusRole: role)
    }
}

private func endpoint(_ transport: ModbusTransportPeer.Transport, _ peer: ModbusTransportPeer) -> ModbusEndpoint {
    switch transport {
    case .tcp: .tcp(host: "127.0.0.1", port: peer.port)
    case .tls: .tls(host: "localhost", port: peer.port, identity: "")
    case .udp: .udp(host: "127.0.0.1", port: peer.port)
    case .rtuOverTCP: .rtuOverTCP(host: "127.0.0.1", port: peer.port, pause: pause)
    case .asciiOverTCP: .asciiOverTCP(host: "127.0.0.1", port: peer.port, pause: pause)
    case .rtu, .ascii:
        .serial(
            SerialLineSettings(
                path: peer.path, isASCII: transport == .ascii, baudRate: 115_200, parity: .none, dataBits: 8, stopBits: 1, pause: pause))
    }
}

/// Longer than a busy machine lets the second of two replies wait: without transaction identifiers only time tells a duplicate.
private let pause = Duration.milliseconds(30)

private func addresses(_ range: Range<Int>) -> Result<[UInt16], RequestFailure> { .success(range.map { UInt16($0) }) }

@Suite("all transports against a foreign server", .serialized)
struct TransportTests {
    private func start(
        _ transport: ModbusTransportPeer.Transport, timeout: Duration = .milliseconds(400)
    ) async throws -> (peer: ModbusTransportPeer, client: LineClient, files: Files?) {
        let files = transport == .tls ? try Files(role: "operator") : nil
        let peer = try await ModbusTransportPeer(transport, arguments: files?.serverArguments ?? [])
        let client = LineClient(endpoint(transport, peer), timeout: timeout, security: files?.client(role: "operator"))
        try await client.open()
        return (peer, client, files)
    }

    @Test("reads, writes and identification", arguments: ModbusTransportPeer.Transport.allCases)
    func functions(transport: ModbusTransportPeer.Transport) async throws {
        let (peer, client, files) = try await start(transport, timeout: .seconds(2))
        #expect(await client.registers(10, 10) == addresses(10..<20))
        #expect(await client.registers(0, 125) == addresses(0..<125))
        #expect(await client.registers(4, 2, function: 4, unit: 17) == .success([30_004, 30_005]))
        #expect(await client.bits(6, 3) == .success([1, 0, 1]))
        #expect(await client.bits(8, 2, function: 2) == .success([0, 1]))
        #expect(await client.bits(0, 2000) == .success((0..<2000).map { $0 % 2 == 0 ? 1 : 0 }))
        #expect(await client.perform(.writeCoil(address: 1, value: true)) == .success(.written))
        #expect(await client.perform(.writeRegister(address: 100, value: 7)) == .success(.written))
        #expect(await client.perform(.writeCoils(start: 20, values: [true, true, true])) == .success(.written))
        #expect(await client.perform(.writeRegisters(start: 101, values: [8, 9])) == .success(.written))
        #expect(await client.perform(.maskWrite(address: 102, and: 0xFFF0, or: 5)) == .success(.written))
        #expect(
            await client.perform(.readWrite(readStart: 100, readCount: 4, writeStart: 103, values: [77]))
                == .success(.registers([7, 8, 5, 77])))
        #expect(await client.bits(20, 3) == .success([1, 1, 1]))
        #expect(await client.registers(60_000, 2) == .failure(.exception(2)))
        let objects = await client.perform(.readDeviceIdentification(code: 2, object: 0))
        guard case .success(.identification(let identification)) = objects else {
            Issue.record("\(objects)")
            return
        }
        #expect(identification.objects.first.map { String(decoding: $0.value, as: UTF8.self) } == "Acme")
        let counters = client.line.counters
        #expect(counters.requests == 15 && counters.answers == 15, "\(counters)")
        #expect(counters.invalidReplies == 0 && counters.timeouts == 0 && counters.connections == 1, "\(counters)")
        try await peer.stop()
        withExtendedLifetime(files) {}
    }

    @Test(
        "scenario 20: a fault gives the right values or none, and poisons nothing after it",
        arguments: ModbusTransportPeer.Transport.allCases)
    func faults(transport: ModbusTransportPeer.Transport) async throws {
        let (peer, client, files) = try await start(transport, timeout: .milliseconds(150))
        for fault in [
            "truncated", "oversized", "transaction", "unit", "function", "length", "trailing", "corrupt", "drop", "duplicate", "noise",
            "bytes 1", "delay 200",
        ] {
            // A byte spoiled on the way is noticed by check sums; TCP has one of its own, and the frames on it none.
            if fault == "corrupt", [.tcp, .tls, .udp].contains(transport) { continue }
            try await peer.command("\(fault) times 1")
            var isWhole = false
            for attempt in 0..<5 where !isWhole {
                let start = 40 + attempt
                let result = await client.registers(start, 10)
                switch result {
                case .success(let values): #expect(values == (start..<start + 10).map { UInt16($0) }, "\(fault)")
                case .failure(.exception(let code)): Issue.record("\(fault): exception \(code)")
                case .failure(.disconnected): try? await client.open()
                case .failure: break
                }
                isWhole = attempt > 0 && result == addresses(start..<start + 10)
            }
            #expect(isWhole, "\(fault): not whole again after five requests")
        }
        try await peer.stop()
        withExtendedLifetime(files) {}
    }

    @Test(
        "scenario 20: a late reply is never the answer to the next request, and is counted",
        arguments: ModbusTransportPeer.Transport.allCases)
    func lateReply(transport: ModbusTransportPeer.Transport) async throws {
        let (peer, client, files) = try await start(transport, timeout: .milliseconds(500))
        try await peer.command("delay 600 times 1")
        #expect(await client.registers(10, 10) == .failure(.timeout))
        // The same unit, function and byte count: on a serial line nothing tells the two answers apart.
        #expect(await client.registers(30, 10) == addresses(30..<40))
        #expect(await client.registers(50, 10) == addresses(50..<60))
        // Where frames name their transaction nothing has waited for it: it has come meanwhile.
        try await Task.sleep(for: .milliseconds(200))
        #expect(await client.registers(70, 10) == addresses(70..<80))
        #expect(client.line.counters.lateReplies == 1, "\(client.line.counters)")
        try await peer.stop()
        withExtendedLifetime(files) {}
    }

    @Test("the certificate's role is looked at before anything connects")
    func role() async throws {
        let files = try Files(role: "viewer")
        let server = try ScriptedServer([.pause(milliseconds: 1)])
        let client = LineClient(
            .tls(host: "localhost", port: server.port, identity: ""), security: files.client(role: "operator"))
        let error = await #expect(throws: GatewayError.self) { try await client.open() }
        #expect(error?.code == .certificateInvalid)
        #expect(error?.message.contains("carries the role “viewer”") == true && error?.message.contains("“operator”") == true)
        #expect(server.connectionCount == 0)
        let without = try Files(role: nil)
        let bare = #expect(throws: GatewayError.self) { try without.client(role: "operator").check(at: without.time) }
        #expect(bare?.message.contains("carries no role") == true, "\(String(describing: bare))")
        #expect(throws: Never.self) { try without.client().check(at: without.time) }
    }

    @Test("a device with a certificate of another authority, or with old TLS only, is refused")
    func strangers() async throws {
        let files = try Files(role: nil)
        let other = try Files(role: nil)
        let peer = try await ModbusTransportPeer(.tls, arguments: files.serverArguments + ["--newest", "1.2"])
        let here = ModbusEndpoint.tls(host: "localhost", port: peer.port, identity: "")
        let wrongAuthority = LineClient(here, security: other.client(oldest: .tls12))
        let stranger = await #expect(throws: GatewayError.self) { try await wrongAuthority.open() }
        #expect(stranger?.message.contains("the device's certificate is not accepted") == true, "\(String(describing: stranger))")
        let tooOld = await #expect(throws: GatewayError.self) { try await LineClient(here, security: files.client()).open() }
        #expect(tooOld?.code == .tlsFailed, "\(String(describing: tooOld))")
        let agreed = LineClient(here, security: files.client(oldest: .tls12))
        try await agreed.open()
        #expect(await agreed.registers(10, 2) == addresses(10..<12))
        try await peer.stop()
    }

    @Test("all objects of the identification, in as many answers as it takes, and no endless list")
    func identification() async throws {
        let peer = try await ModbusTransportPeer(.tcp)
        let adapter = ModbusAdapter(name: "plc", line: ModbusLine(.tcp(host: "127.0.0.1", port: peer.port)), unit: 1)
        let texts = try await adapter.identify().objects.map { String(decoding: $0.value, as: UTF8.self) }
        #expect(texts == ["Acme", "FP-7", "V3.1", "https://acme.example", "Feed pump", "FP-7/400", "Line 1"])
        try await peer.stop()

        func answer(_ transaction: UInt16, next: UInt8?, _ objects: [UInt8]) -> [UInt8] {
            let request = ModbusRequest.readDeviceIdentification(code: 3, object: 0)
            let list = objects.map { ModbusResponse.DeviceIdentification.Object(id: $0, value: [0x41]) }
            let pdu = ModbusResponse.identification(.init(code: 3, conformityLevel: 0x83, nextObject: next, objects: list)).pdu(to: request)
            return ModbusTCPFrame(transaction: transaction, unit: 1, pdu: pdu).bytes
        }
        let honest = try ScriptedServer([
            .take(11), .send(answer(1, next: 2, [0, 1])), .take(11), .send(answer(2, next: 0x80, [2])), .take(11),
            .send(answer(3, next: nil, [0x80])),
        ])
        let whole = ModbusAdapter(name: "plc", line: ModbusLine(.tcp(host: "127.0.0.1", port: honest.port)), unit: 1)
        let objects = try await whole.identify().objects
        #expect(objects.map { $0.id } == [0, 1, 2, 0x80])
        let looping = try ScriptedServer([.take(11), .send(answer(1, next: 2, [0, 1])), .take(11), .send(answer(2, next: 1, [2]))])
        let endless = ModbusAdapter(name: "plc", line: ModbusLine(.tcp(host: "127.0.0.1", port: looping.port)), unit: 1)
        let error = await #expect(throws: GatewayError.self) { try await endless.identify() }
        #expect(error?.code == .protocolViolation, "\(String(describing: error))")
    }

    @Test("two lines without a listener, or without a way to encrypt, say so")
    func refusals() async throws {
        let error = await #expect(throws: GatewayError.self) {
            try await LineClient(.tls(host: "localhost", port: 1, identity: "")).open()
        }
        #expect(error?.message.contains("TLS") == true)
        let silent = LineClient(.udp(host: "127.0.0.1", port: 9), timeout: .milliseconds(100))
        try await silent.open()
        let result = await silent.registers(0, 1)
        #expect(result == .failure(.timeout) || result == .failure(.disconnected("Connection refused")), "\(result)")
    }
}
