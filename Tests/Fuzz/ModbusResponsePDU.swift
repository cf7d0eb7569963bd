import ModbusProtocol

/// A byte with the length of a request, the request, and what a device may answer to it.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    guard let length = bytes.first.map({ Int($0) }), length > 0, bytes.count > length else { return 0 }
    guard let request = try? ModbusRequest(pdu: bytes[1...length]) else { return 0 }
    let answer = Array(bytes[(length + 1)...])
    guard let response = try? ModbusResponse(pdu: answer, to: request) else { return 0 }
    let again = try? ModbusResponse(pdu: response.pdu(to: request), to: request)
    precondition(again == response, "not the same both ways")
    // What the codec takes for an answer, the reader of a line does too.
    let verdict = answer.withUnsafeBytes { ReplyForm(request, unit: 1).verdict(on: $0) }
    if case .exception(let code) = response {
        precondition(verdict == .exception(code))
    } else {
        precondition(verdict == .answer)
    }
    return 0
}
