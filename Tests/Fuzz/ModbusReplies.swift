import ModbusProtocol

/// What a line brings after a request: the first byte chooses framing, function and length, the second the unit.
///
/// However the bytes are, the reader must get through them: each step takes some away or wants more, and the answer is well formed.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard count >= 2 else { return 0 }
    let choice = Int(start[0])
    let framing = ModbusFraming.allCases[choice % 3]
    let forms: [(UInt8, ReplyForm.Length)] = [
        (3, .counted(6)), (1, .counted(1)), (6, .fixed(5)), (22, .fixed(7)), (43, .identification), (0x41, .unknown), (4, .counted(250)),
    ]
    let (function, length) = forms[choice / 3 % forms.count]
    let form = ReplyForm(unit: start[1], function: function, length: length)
    let reader = ReplyReader(framing, form: form, transaction: 1)
    var bytes = Array(UnsafeBufferPointer(start: start + 2, count: count - 2))
    while !bytes.isEmpty {
        let step = bytes.withUnsafeMutableBytes { reader.step($0) }
        switch step {
        case .needsMore:
            precondition(bytes.count < ReplyReader.frameBytesMax + 1, "nothing can become of \(bytes.count) bytes")
            _ = bytes.withUnsafeMutableBytes { reader.stepAtSilence($0) }
            return 0
        case .lost: return 0
        case .skip(let taken, _), .exception(_, let taken), .wrong(_, let taken):
            precondition(taken > 0 && taken <= bytes.count, "a step of \(taken) in \(bytes.count)")
            bytes.removeFirst(taken)
        case .answer(let pdu, let end):
            precondition(pdu.lowerBound > 0 && pdu.upperBound <= end && end <= bytes.count)
            precondition(bytes[pdu.lowerBound] == function)
            if case .counted(let expected) = length {
                precondition(Int(bytes[pdu.lowerBound + 1]) == expected && pdu.count == expected + 2)
            }
            bytes.removeFirst(end)
        }
    }
    return 0
}
