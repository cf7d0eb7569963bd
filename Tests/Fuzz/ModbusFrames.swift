import ModbusProtocol

/// Whole frames of the three kinds: what is accepted must be the bytes it came from.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    if let frame = try? ModbusTCPFrame(bytes: bytes) { precondition(frame.bytes == bytes) }
    if let frame = try? ModbusRTUFrame(bytes: bytes) {
        precondition(frame.bytes == bytes)
        let crc = bytes.dropLast(2).withUnsafeBytes { ModbusCRC.of($0) }
        precondition(crc == ModbusRTUFrame.crc16(bytes.dropLast(2)))
    }
    if let frame = try? ModbusASCIIFrame(bytes: bytes), let again = try? ModbusASCIIFrame(bytes: frame.bytes) {
        precondition(again == frame)
    }
    return 0
}
