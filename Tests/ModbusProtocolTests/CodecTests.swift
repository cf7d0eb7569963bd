import ModbusProtocol
import Testing

@Suite struct CodecTests {
    /// The examples of the specification's clause 6, request and answer.
    private static let examples: [(request: ModbusRequest, bytes: [UInt8], response: ModbusResponse, answer: [UInt8])] = [
        (
            .read(.coils, start: 19, count: 19), [0x01, 0x00, 0x13, 0x00, 0x13],
            .bits(
                [true, false, true, true, false, false, true, true, true, true, false, true, false, true, true, false, true, false, true]),
            [0x01, 0x03, 0xCD, 0x6B, 0x05]
        ),
        (
            .read(.holdingRegisters, start: 107, count: 3), [0x03, 0x00, 0x6B, 0x00, 0x03], .registers([0x022B, 0, 0x0064]),
            [0x03, 0x06, 0x02, 0x2B, 0x00, 0x00, 0x00, 0x64]
        ),
        (.writeCoil(address: 172, value: true), [0x05, 0x00, 0xAC, 0xFF, 0x00], .written, [0x05, 0x00, 0xAC, 0xFF, 0x00]),
        (.writeRegister(address: 1, value: 3), [0x06, 0x00, 0x01, 0x00, 0x03], .written, [0x06, 0x00, 0x01, 0x00, 0x03]),
        (
            .writeCoils(start: 19, values: [true, false, true, true, false, false, true, true, true, false]),
            [0x0F, 0x00, 0x13, 0x00, 0x0A, 0x02, 0xCD, 0x01], .written, [0x0F, 0x00, 0x13, 0x00, 0x0A]
        ),
        (
            .writeRegisters(start: 1, values: [0x000A, 0x0102]), [0x10, 0x00, 0x01, 0x00, 0x02, 0x04, 0x00, 0x0A, 0x01, 0x02], .written,
            [0x10, 0x00, 0x01, 0x00, 0x02]
        ),
        (
            .maskWrite(address: 4, and: 0x00F2, or: 0x0025), [0x16, 0x00, 0x04, 0x00, 0xF2, 0x00, 0x25], .written,
            [0x16, 0x00, 0x04, 0x00, 0xF2, 0x00, 0x25]
        ),
        (
            .readWrite(readStart: 3, readCount: 6, writeStart: 14, values: [0x00FF, 0x00FF, 0x00FF]),
            [0x17, 0x00, 0x03, 0x00, 0x06, 0x00, 0x0E, 0x00, 0x03, 0x06, 0x00, 0xFF, 0x00, 0xFF, 0x00, 0xFF],
            .registers([0x00FE, 0x0ACD, 1, 3, 0x000D, 0x00FF]),
            [0x17, 0x0C, 0x00, 0xFE, 0x0A, 0xCD, 0x00, 0x01, 0x00, 0x03, 0x00, 0x0D, 0x00, 0xFF]
        ),
        (
            .readDeviceIdentification(code: 1, object: 0), [0x2B, 0x0E, 0x01, 0x00],
            .identification(.init(code: 1, conformityLevel: 1, objects: [.init(id: 0, value: Array("Acme".utf8))])),
            [0x2B, 0x0E, 0x01, 0x01, 0x00, 0x00, 0x01, 0x00, 0x04, 0x41, 0x63, 0x6D, 0x65]
        ),
        (.read(.inputRegisters, start: 0, count: 1), [0x04, 0, 0, 0, 1], .exception(2), [0x84, 0x02]),
    ]

    @Test("requests and answers are the bytes of the specification's examples, both ways")
    func examples() throws {
        for example in CodecTests.examples {
            #expect(example.request.pdu == example.bytes)
            let request = try ModbusRequest(pdu: example.bytes)
            #expect(request == example.request)
            #expect(example.response.pdu(to: request) == example.answer)
            let response = try ModbusResponse(pdu: example.answer, to: request)
            #expect(response == example.response)
        }
    }

    @Test("a cut or longer request or answer is refused, at every length")
    func lengths() {
        for example in CodecTests.examples where example.request.function != 43 {
            for length in 0..<example.bytes.count {
                #expect(throws: ModbusFrameError.self) { try ModbusRequest(pdu: example.bytes.prefix(length)) }
            }
            #expect(throws: ModbusFrameError.self) { try ModbusRequest(pdu: example.bytes + [0]) }
            for length in 0..<example.answer.count {
                #expect(throws: ModbusFrameError.self) { try ModbusResponse(pdu: example.answer.prefix(length), to: example.request) }
            }
            #expect(throws: ModbusFrameError.self) { try ModbusResponse(pdu: example.answer + [0], to: example.request) }
        }
    }

    @Test("quantities beyond the specification and beyond the last address are refused")
    func quantities() {
        #expect(throws: ModbusFrameError.self) { try ModbusRequest(pdu: [3, 0, 0, 0, 126]) }
        #expect(throws: ModbusFrameError.self) { try ModbusRequest(pdu: [3, 0, 0, 0, 0]) }
        #expect(throws: ModbusFrameError.self) { try ModbusRequest(pdu: [3, 0xFF, 0xFF, 0, 2]) }
        #expect(throws: ModbusFrameError.self) { try ModbusRequest(pdu: [5, 0, 0, 0, 1]) }
        #expect(throws: ModbusFrameError.self) { try ModbusRequest(pdu: [0x83, 2]) }
    }

    /// The RTU and ASCII checksums of one request, as computed by pymodbus 3.
    @Test("frames carry a protocol data unit both ways, and a changed bit is found")
    func frames() throws {
        let pdu = ModbusRequest.read(.holdingRegisters, start: 107, count: 3).pdu
        let tcp = ModbusTCPFrame(transaction: 0x1501, unit: 17, pdu: pdu)
        #expect(tcp.bytes == [0x15, 0x01, 0, 0, 0, 6, 17, 3, 0, 0x6B, 0, 3])
        #expect(try ModbusTCPFrame(bytes: tcp.bytes) == tcp)
        let rtu = ModbusRTUFrame(unit: 17, pdu: pdu)
        #expect(rtu.bytes == [0x11, 0x03, 0x00, 0x6B, 0x00, 0x03, 0x76, 0x87])
        #expect(try ModbusRTUFrame(bytes: rtu.bytes) == rtu)
        let ascii = ModbusASCIIFrame(unit: 17, pdu: pdu)
        #expect(String(decoding: ascii.bytes, as: UTF8.self) == ":1103006B00037E\r\n")
        #expect(try ModbusASCIIFrame(bytes: ascii.bytes) == ascii)
        for bit in 0..<rtu.bytes.count * 8 {
            var damaged = rtu.bytes
            damaged[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(throws: ModbusFrameError.self) { try ModbusRTUFrame(bytes: damaged) }
        }
    }
}
