/// How protocol data units are put on a line.
package enum ModbusFraming: Sendable, Hashable, CaseIterable {
    /// Header with transaction identifier and length: TCP, UDP, TLS.
    case tcp
    /// Address, CRC, and silence between frames: serial lines, and serial servers on TCP.
    case rtu
    /// Colon, hexadecimal digits, LRC, CR LF.
    case ascii

    /// Whether an answer says which request it belongs to.
    package var namesTransaction: Bool { self == .tcp }
}

/// Finds the answer to one request among the bytes that have come.
///
/// A value without state: the caller keeps the bytes, and takes away what a step is done with. No step looks at more than one frame, so a
/// flood of bytes is dealt with piece by piece, and the caller can look at the clock in between.
package struct ReplyReader: Sendable {
    /// What came and is not the answer.
    package enum Stray: Sendable, Hashable {
        /// A whole frame of another transaction.
        case transaction(UInt16)
        /// A whole frame of another unit, function or length, where frames name no transaction.
        case frame(unit: UInt8, function: UInt8)
        /// No frame at all.
        case noise
    }

    package enum Step: Sendable, Hashable {
        /// The answer is not complete.
        case needsMore
        /// The first `count` bytes are not the answer; look at the rest.
        case skip(count: Int, Stray)
        /// The answer's protocol data unit, and where the bytes after its frame begin.
        case answer(pdu: Range<Int>, end: Int)
        case exception(code: UInt8, end: Int)
        /// The frame that should have been the answer is damaged or not what was asked.
        case wrong(ModbusFrameError, end: Int)
        /// No frame can be told apart in what comes from now on: the connection is of no use any more.
        case lost(ModbusFrameError)
    }

    /// The most bytes any frame has; a caller's buffer holds twice as many.
    package static let frameBytesMax = ModbusASCIIFrame.bytesMax

    private let framing: ModbusFraming
    private let form: ReplyForm
    private let transaction: UInt16

    /// `transaction` matters for `.tcp` only.
    package init(_ framing: ModbusFraming, form: ReplyForm, transaction: UInt16 = 0) {
        self.framing = framing
        self.form = form
        self.transaction = transaction
    }

    /// Looks at the bytes that have come. ASCII frames are turned into bytes in place.
    package func step(_ bytes: UnsafeMutableRawBufferPointer) -> Step {
        switch framing {
        case .tcp: tcp(UnsafeRawBufferPointer(bytes))
        case .rtu: rtu(UnsafeRawBufferPointer(bytes))
        case .ascii: ascii(bytes)
        }
    }

    // MARK: - TCP (Messaging on TCP/IP V1.0b, 3.1.3)

    private func tcp(_ bytes: UnsafeRawBufferPointer) -> Step {
        guard bytes.count >= 4 else { return .needsMore }
        guard bytes[2] == 0, bytes[3] == 0 else {
            return .lost(ModbusFrameError("protocol identifier is \(word(bytes, 2)), 0 is Modbus"))
        }
        guard bytes.count >= 6 else { return .needsMore }
        let length = Int(word(bytes, 4))
        guard (2...ModbusLimits.pduBytesMax + 1).contains(length) else {
            return .lost(ModbusFrameError("length is \(length), allowed are 2…\(ModbusLimits.pduBytesMax + 1)"))
        }
        let end = 6 + length
        guard bytes.count >= end else { return .needsMore }
        let named = word(bytes, 0)
        guard named == transaction else { return .skip(count: end, .transaction(named)) }
        guard bytes[6] == form.unit else {
            return .wrong(ModbusFrameError("unit is \(bytes[6]), \(form.unit) was asked"), end: end)
        }
        return judged(bytes, 7..<end, end: end)
    }

    private func judged(_ bytes: UnsafeRawBufferPointer, _ pdu: Range<Int>, end: Int) -> Step {
        switch form.verdict(on: UnsafeRawBufferPointer(rebasing: bytes[pdu])) {
        case .answer: .answer(pdu: pdu, end: end)
        case .exception(let code): .exception(code: code, end: end)
        case .wrong(let error): .wrong(error, end: end)
        }
    }

    private func word(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> UInt16 { UInt16(bytes[offset]) << 8 | UInt16(bytes[offset + 1]) }

    // MARK: - RTU (Serial Line V1.02, 2.5.1)

    /// A candidate's length is known from the request, so a frame that has it and the right CRC is the answer. What stands before it is
    /// skipped: whole frames of others (late answers, the echo of an RS-485 adapter), else byte by byte.
    private func rtu(_ bytes: UnsafeRawBufferPointer) -> Step {
        guard bytes.count >= 2 else { return .needsMore }
        if isCandidate(bytes, 0) { return candidate(bytes) }
        if let length = foreignLength(bytes), length <= bytes.count {
            return .skip(count: length, .frame(unit: bytes[0], function: bytes[1] & 0x7F))
        }
        if let start = (1..<bytes.count).first(where: { isCandidate(bytes, $0) && isComplete(bytes, $0) }) {
            return .skip(count: start, .noise)
        }
        return mayGrow(bytes) ? .needsMore : .skip(count: 1, .noise)
    }

    /// Whether unit, function and byte count at `start`, as far as they have come, are those of the answer.
    private func isCandidate(_ bytes: UnsafeRawBufferPointer, _ start: Int) -> Bool {
        guard bytes[start] == form.unit else { return false }
        guard bytes.count > start + 1 else { return true }
        if bytes[start + 1] == form.function | 0x80 { return true }
        guard bytes[start + 1] == form.function else { return false }
        guard case .counted(let count) = form.length, bytes.count > start + 2 else { return true }
        return Int(bytes[start + 2]) == count
    }

    private func isComplete(_ bytes: UnsafeRawBufferPointer, _ start: Int) -> Bool {
        let rest = UnsafeRawBufferPointer(rebasing: bytes[start...])
        guard rest.count >= 4, let length = form.length(of: UnsafeRawBufferPointer(rebasing: rest[1...])), rest.count >= length + 3 else {
            return false
        }
        return hasCRC(rest, length + 3)
    }

    private func candidate(_ bytes: UnsafeRawBufferPointer) -> Step {
        guard let length = form.length(of: UnsafeRawBufferPointer(rebasing: bytes[1...])) else {
            guard bytes.count > ModbusRTUFrame.bytesMax else { return .needsMore }
            return .wrong(ModbusFrameError("an RTU frame has at most \(ModbusRTUFrame.bytesMax) bytes, more came"), end: bytes.count)
        }
        let end = length + 3
        guard bytes.count >= end else { return .needsMore }
        guard hasCRC(bytes, end) else {
            return .wrong(ModbusFrameError("the CRC of the answer does not fit its bytes"), end: end)
        }
        return judged(bytes, 1..<end - 2, end: end)
    }

    /// The end of a frame whose length nothing but silence tells: all that has come, if its CRC is right.
    ///
    /// For answers of unknown length, once the line has fallen silent.
    package func stepAtSilence(_ bytes: UnsafeMutableRawBufferPointer) -> Step {
        let all = UnsafeRawBufferPointer(bytes)
        guard framing == .rtu, form.length == .unknown, (4...ModbusRTUFrame.bytesMax).contains(all.count), isCandidate(all, 0),
            hasCRC(all, all.count)
        else { return .needsMore }
        return judged(all, 1..<all.count - 2, end: all.count)
    }

    /// The length of a frame that is not the answer but whole and undamaged: an answer to another request, or a request (an echo).
    private func foreignLength(_ bytes: UnsafeRawBufferPointer) -> Int? {
        ReplyReader.lengths(of: bytes).first { $0 <= bytes.count && hasCRC(bytes, $0) }
    }

    /// Whether more bytes could make a foreign frame of these.
    private func mayGrow(_ bytes: UnsafeRawBufferPointer) -> Bool {
        bytes.count < 3 || ReplyReader.lengths(of: bytes).contains { $0 > bytes.count }
    }

    /// The lengths that a frame with this beginning can have, by its function code; the first is an answer's.
    private static func lengths(of bytes: UnsafeRawBufferPointer) -> [Int] {
        guard bytes.count >= 3 else { return [] }
        switch bytes[1] {
        case 1...4: return [5 + Int(bytes[2]), 8].filter { $0 <= ModbusRTUFrame.bytesMax }
        case 5, 6: return [8]
        case 15, 16: return bytes.count >= 7 ? [8, 9 + Int(bytes[6])].filter { $0 <= ModbusRTUFrame.bytesMax } : [8]
        case 22: return [10]
        case 23:
            let request = bytes.count >= 11 ? [13 + Int(bytes[10])] : []
            return ([5 + Int(bytes[2])] + request).filter { $0 <= ModbusRTUFrame.bytesMax }
        case 0x81...0xFF: return [5]
        default: return []
        }
    }

    private func hasCRC(_ bytes: UnsafeRawBufferPointer, _ end: Int) -> Bool {
        guard end >= 4, end <= bytes.count else { return false }
        let crc = ModbusCRC.of(UnsafeRawBufferPointer(rebasing: bytes[..<(end - 2)]))
        return crc == UInt16(bytes[end - 1]) << 8 | UInt16(bytes[end - 2])
    }

    // MARK: - ASCII (Serial Line V1.02, 2.5.2)

    private func ascii(_ bytes: UnsafeMutableRawBufferPointer) -> Step {
        guard let first = bytes.first else { return .needsMore }
        // A colon begins a frame wherever it stands; what came before it is none.
        guard first == UInt8(ascii: ":") else {
            return .skip(count: bytes.firstIndex(of: UInt8(ascii: ":")) ?? bytes.count, .noise)
        }
        guard let stop = bytes.dropFirst().firstIndex(where: { $0 == UInt8(ascii: ":") || $0 == 10 }) else {
            return bytes.count > ModbusASCIIFrame.bytesMax ? .skip(count: bytes.count, .noise) : .needsMore
        }
        guard bytes[stop] == 10 else { return .skip(count: stop, .noise) }
        let end = stop + 1
        let frame: ModbusASCIIFrame
        do throws(ModbusFrameError) {
            frame = try ModbusASCIIFrame(bytes: UnsafeRawBufferPointer(rebasing: bytes[..<end]))
        } catch {
            return .wrong(error, end: end)
        }
        let isOurs = frame.unit == form.unit
        for (index, byte) in frame.pdu.enumerated() { bytes[index + 1] = byte }
        let pdu = 1..<1 + frame.pdu.count
        let step = judged(UnsafeRawBufferPointer(bytes), pdu, end: end)
        // An answer in which unit, function or length are another's is one to another request.
        if isOurs {
            guard case .wrong = step else { return step }
        }
        return .skip(count: end, .frame(unit: frame.unit, function: (frame.pdu.first ?? 0) & 0x7F))
    }
}
