import ModbusProtocol
import Testing

@Suite struct ReplyReaderTests {
    /// Found by fuzzing: silence alone ends such a frame, and never came.
    @Test("an RTU frame of unknown length ends at the longest there is")
    func unknownLength() {
        let reader = ReplyReader(.rtu, form: ReplyForm(unit: 0x11, function: 0x41, length: .unknown))
        var bytes = [0x11, 0x41] + [UInt8](repeating: 7, count: ModbusRTUFrame.bytesMax - 2)
        let step = bytes.withUnsafeMutableBytes { reader.step($0) }
        #expect(step == .needsMore)
        bytes.append(7)
        let longer = bytes.withUnsafeMutableBytes { reader.step($0) }
        guard case .wrong(_, let end) = longer else {
            Issue.record("\(longer)")
            return
        }
        #expect(end == bytes.count)
    }
}
