/// An application data unit on TCP: the MBAP header and a protocol data unit (Messaging on TCP/IP V1.0b, 3.1.3).
package struct ModbusTCPFrame: Sendable, Hashable {
    package var transaction: UInt16
    package var unit: UInt8
    package var pdu: [UInt8]

    /// Transaction, protocol, length and unit.
    package static let headerBytes = 7
    package static let bytesMax = headerBytes + ModbusLimits.pduBytesMax

    package init(transaction: UInt16, unit: UInt8, pdu: [UInt8]) {
        self.transaction = transaction
        self.unit = unit
        self.pdu = pdu
    }

    package var bytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(ModbusTCPFrame.headerBytes + pdu.count)
        bytes.append(words: [transaction, 0, UInt16(truncatingIfNeeded: pdu.count + 1)])
        bytes.append(unit)
        bytes += pdu
        return bytes
    }

    /// How many bytes the frame that begins with `bytes` has in all; `nil` while too few of the header have come.
    ///
    /// Throws when the header cannot be one: then nothing after it can be told apart either, and the connection is useless.
    package static func length(of bytes: some Collection<UInt8>) throws(ModbusFrameError) -> Int? {
        let header = Array(bytes.prefix(6))
        guard header.count == 6 else { return nil }
        guard header[2] == 0, header[3] == 0 else {
            throw ModbusFrameError("protocol identifier is \(UInt16(header[2]) << 8 | UInt16(header[3])), 0 is Modbus")
        }
        let length = Int(header[4]) << 8 | Int(header[5])
        guard (2...ModbusLimits.pduBytesMax + 1).contains(length) else {
            throw ModbusFrameError("length is \(length), allowed are 2…\(ModbusLimits.pduBytesMax + 1)")
        }
        return 6 + length
    }

    /// Reads one whole frame.
    package init(bytes: some Collection<UInt8>) throws(ModbusFrameError) {
        guard let length = try ModbusTCPFrame.length(of: bytes) else { throw ModbusFrameError("the header is cut off") }
        let all = Array(bytes)
        guard all.count == length else { throw ModbusFrameError("the frame has \(all.count) bytes, its header says \(length)") }
        transaction = UInt16(all[0]) << 8 | UInt16(all[1])
        unit = all[6]
        pdu = Array(all[7...])
    }
}

/// A frame on a serial line in RTU mode (Serial Line V1.02, 2.5.1): address, protocol data unit, CRC-16 low byte first.
package struct ModbusRTUFrame: Sendable, Hashable {
    package var unit: UInt8
    package var pdu: [UInt8]

    package static let bytesMax = 256

    package init(unit: UInt8, pdu: [UInt8]) {
        self.unit = unit
        self.pdu = pdu
    }

    package var bytes: [UInt8] {
        let body = [unit] + pdu
        let crc = body.withUnsafeBytes { ModbusCRC.of($0) }
        return body + [UInt8(truncatingIfNeeded: crc), UInt8(crc >> 8)]
    }

    package init(bytes: some Collection<UInt8>) throws(ModbusFrameError) {
        let all = Array(bytes)
        guard (4...ModbusRTUFrame.bytesMax).contains(all.count) else {
            throw ModbusFrameError("an RTU frame has 4…\(ModbusRTUFrame.bytesMax) bytes, this one has \(all.count)")
        }
        let sent = UInt16(all[all.count - 1]) << 8 | UInt16(all[all.count - 2])
        let crc = all.withUnsafeBytes { ModbusCRC.of(UnsafeRawBufferPointer(rebasing: $0.dropLast(2))) }
        guard sent == crc else { throw ModbusFrameError("CRC is \(sent), the bytes have \(crc)") }
        unit = all[0]
        pdu = Array(all[1..<all.count - 2])
    }
}

/// A frame on a serial line in ASCII mode (Serial Line V1.02, 2.5.2): colon, hexadecimal digits with an LRC at the end, CR LF.
package struct ModbusASCIIFrame: Sendable, Hashable {
    package var unit: UInt8
    package var pdu: [UInt8]

    package static let bytesMax = 513

    package init(unit: UInt8, pdu: [UInt8]) {
        self.unit = unit
        self.pdu = pdu
    }

    package var bytes: [UInt8] {
        let body = [unit] + pdu
        var bytes: [UInt8] = [UInt8(ascii: ":")]
        bytes.reserveCapacity(5 + 2 * body.count)
        for byte in body + [ModbusASCIIFrame.lrc(body)] { bytes += [ModbusASCIIFrame.digit(byte >> 4), ModbusASCIIFrame.digit(byte & 15)] }
        return bytes + [13, 10]
    }

    package init(bytes: some Collection<UInt8>) throws(ModbusFrameError) {
        let all = Array(bytes)
        guard (9...ModbusASCIIFrame.bytesMax).contains(all.count), all.count % 2 == 1 else {
            throw ModbusFrameError(
                "an ASCII frame has an odd number of 9…\(ModbusASCIIFrame.bytesMax) characters, this one has \(all.count)")
        }
        guard all[0] == UInt8(ascii: ":"), all[all.count - 2] == 13, all[all.count - 1] == 10 else {
            throw ModbusFrameError("an ASCII frame begins with a colon and ends with CR LF")
        }
        var body: [UInt8] = []
        for index in stride(from: 1, to: all.count - 2, by: 2) {
            guard let high = ModbusASCIIFrame.value(all[index]), let low = ModbusASCIIFrame.value(all[index + 1]) else {
                throw ModbusFrameError("character \(index) is not a hexadecimal digit")
            }
            body.append(high << 4 | low)
        }
        let sent = body.removeLast()
        let lrc = ModbusASCIIFrame.lrc(body)
        guard sent == lrc else { throw ModbusFrameError("LRC is \(sent), the bytes have \(lrc)") }
        unit = body[0]
        pdu = Array(body.dropFirst())
    }

    /// The two's complement of the sum (Serial Line V1.02, 6.2.1).
    package static func lrc(_ bytes: some Sequence<UInt8>) -> UInt8 { 0 &- bytes.reduce(0, &+) }

    private static func digit(_ value: UInt8) -> UInt8 { value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "A") + value - 10 }

    private static func value(_ digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
        case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
