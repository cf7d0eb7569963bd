import ModbusProtocol

/// A request, as any client may send it: what is accepted must be the bytes it came from.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    guard let request = try? ModbusRequest(pdu: bytes) else { return 0 }
    // The last bits of a list of coils may be anything; the codec sends zeros.
    if request.function != 15 { precondition(request.pdu == bytes, "another request than came") }
    let again = try? ModbusRequest(pdu: request.pdu)
    precondition(again == request, "not the same both ways")
    return 0
}
