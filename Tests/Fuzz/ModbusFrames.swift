import ModbusProtocol

/// Whole frames of the three kinds: what is accepted must be the bytes it came from.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    if let frame = try? ModbusTCPFrame(bytes: bytes) { precondition(frame.bytes == bytes) }
    if let frame = try? ModbusRTUFrame(bytes: bytes) {
        precondition(frame.bytes == bytes)
        let crc = bytes.dropLast(2).withUnsafeBytes { ModbusCRC.of($0) }
        precondition(crc == crc16(bytes.dropLast(2)))
    }
    if let frame = try? ModbusASCIIFrame(bytes: bytes), let again = try? ModbusASCIIFrame(bytes: frame.bytes) {
        precondition(again == frame)
    }
    return 0
}

/// CRC-16 bit by bit, as the standard draws it (Serial Line V1.02, 6.2.2): the oracle for the table.
private func crc16(_ bytes: some Sequence<UInt8>) -> UInt16 {
    var crc: UInt16 = 0xFFFF
    for byte in bytes {
        crc ^= UInt16(byte)
        for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xA001 : crc >> 1 }
    }
    return crc
}
