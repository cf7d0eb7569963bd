import ModbusFirewall
import ModbusProtocol
import TestKit
import Testing

@Suite("Requests on a serial line")
struct RTURequestsTests {
    private static let kinds: [ModbusRequest] = [
        .read(.coils, start: 0, count: 9), .read(.holdingRegisters, start: 100, count: 3), .writeCoil(address: 1, value: true),
        .writeRegister(address: 4, value: 0x1234), .writeCoils(start: 3, values: [true, false, true]),
        .writeRegisters(start: 7, values: [1, 2, 3]), .maskWrite(address: 9, and: 0xF0, or: 1),
        .readWrite(readStart: 0, readCount: 2, writeStart: 5, values: [7, 8]),
    ]

    private func frame(_ request: ModbusRequest, unit: UInt8 = 1) -> ModbusRTUFrame { ModbusRTUFrame(unit: unit, pdu: request.pdu) }

    @Test("a request ends with its last byte, however it is cut into pieces")
    func pieces() {
        let seed = seedOfThisRun()
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<300 {
            var requests = RTURequests(units: [1])
            for request in RTURequestsTests.kinds {
                var rest = frame(request).bytes[...]
                while !rest.isEmpty {
                    let count = Int.random(in: 1...rest.count, using: &generator)
                    let found = requests.take(rest.prefix(count))
                    rest = rest.dropFirst(count)
                    #expect(found == (rest.isEmpty ? .request(frame(request)) : nil))
                }
                #expect(requests.isEmpty)
            }
        }
    }

    @Test("a function of unknown length ends with silence")
    func unknown() {
        var requests = RTURequests(units: [1])
        let odd = ModbusRTUFrame(unit: 1, pdu: [0x41, 1, 2, 3])
        #expect(requests.take(odd.bytes) == nil)
        #expect(requests.silence() == .request(odd))
        #expect(requests.silence() == nil)
    }

    @Test("what is for others on the line is left alone, and so are their answers")
    func others() {
        var requests = RTURequests(units: [1])
        #expect(requests.take(frame(.writeRegister(address: 1, value: 1), unit: 2).bytes) == nil)
        #expect(requests.silence() == nil)
        // The broadcast is no request to one of ours that could be answered.
        #expect(requests.take(frame(.writeRegister(address: 1, value: 1), unit: 0).bytes) == nil)
        #expect(requests.silence() == nil)
        #expect(requests.take(frame(.writeRegister(address: 1, value: 1)).bytes) != nil)
    }

    @Test("broken, cut and endless bytes are told once, and end with silence")
    func broken() {
        var requests = RTURequests(units: [1])
        func isMalformed(_ finding: RTURequests.Finding?) -> Bool { if case .malformed = finding { true } else { false } }
        var bytes = frame(.writeRegister(address: 4, value: 5)).bytes
        bytes[5] ^= 1
        #expect(requests.take(bytes) == nil)
        #expect(isMalformed(requests.silence()))
        #expect(requests.take(frame(.read(.coils, start: 0, count: 1)).bytes.dropLast()) == nil)
        #expect(isMalformed(requests.silence()))
        for _ in 0..<1000 { #expect(requests.take([UInt8](repeating: 1, count: 200)) == nil) }
        #expect(isMalformed(requests.silence()))
        #expect(requests.take(frame(.read(.coils, start: 0, count: 1)).bytes) != nil)
    }

    @Test("no bytes can stop it")
    func noise() {
        let seed = seedOfThisRun()
        var generator = SeededGenerator(seed: seed)
        var requests = RTURequests(units: [1, 7])
        for _ in 0..<20_000 {
            let bytes = (0..<Int.random(in: 1...40, using: &generator)).map { _ in UInt8.random(in: 0...255, using: &generator) }
            _ = Int.random(in: 0...3, using: &generator) == 0 ? requests.silence() : requests.take(bytes)
        }
        _ = requests.silence()
        #expect(requests.take(frame(.read(.coils, start: 0, count: 1)).bytes) != nil)
    }
}
