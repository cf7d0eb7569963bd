/// What the answer to one request has to look like, known before it comes: unit, function and length.
package struct ReplyForm: Sendable, Hashable {
    /// How many bytes a positive answer has.
    package enum Length: Sendable, Hashable {
        /// Fixed by the function, function code included (6.5, 6.6, 6.11, 6.12, 6.16).
        case fixed(Int)
        /// Function code, byte count and so many bytes (6.1 to 6.4, 6.17).
        case counted(Int)
        /// A list of objects that each tell their length (6.21).
        case identification
        /// Not known to this codec.
        case unknown
    }

    package let unit: UInt8
    package let function: UInt8
    package let length: Length

    package init(unit: UInt8, function: UInt8, length: Length) {
        self.unit = unit
        self.function = function
        self.length = length
    }

    package init(_ request: ModbusRequest, unit: UInt8) {
        self.unit = unit
        function = request.function
        length =
            switch request {
            case .read(let area, _, let count): .counted(area.isBits ? (count + 7) / 8 : count * 2)
            case .readWrite(_, let count, _, _): .counted(count * 2)
            case .writeCoil, .writeRegister, .writeCoils, .writeRegisters: .fixed(5)
            case .maskWrite: .fixed(7)
            case .readDeviceIdentification: .identification
            case .other: .unknown
            }
    }

    /// What a protocol data unit is to the request.
    package enum Verdict: Sendable, Hashable {
        case answer
        case exception(UInt8)
        case wrong(ModbusFrameError)
    }

    /// Looks at function code, byte count and length of a whole protocol data unit.
    package func verdict(on pdu: UnsafeRawBufferPointer) -> Verdict {
        guard pdu.count > 0 else { return .wrong(ModbusFrameError("the function code is missing")) }
        if pdu[0] == function | 0x80 {
            guard pdu.count == 2 else {
                return .wrong(ModbusFrameError("an exception has 2 bytes, this one has \(pdu.count)"))
            }
            return .exception(pdu[1])
        }
        guard pdu[0] == function else { return .wrong(ModbusFrameError("function code is \(pdu[0]), \(function) was asked")) }
        switch length {
        case .fixed(let count):
            guard pdu.count == count else {
                return .wrong(ModbusFrameError("the answer to function \(function) has \(count) bytes, this one has \(pdu.count)"))
            }
        case .counted(let count):
            guard pdu.count >= 2 else { return .wrong(ModbusFrameError("the byte count is missing")) }
            guard Int(pdu[1]) == count else {
                return .wrong(ModbusFrameError("byte count is \(pdu[1]), \(count) were expected"))
            }
            guard pdu.count == 2 + count else {
                return .wrong(ModbusFrameError("byte count is \(count), but \(pdu.count - 2) bytes follow"))
            }
        case .identification, .unknown: break
        }
        return .answer
    }

    /// How many bytes the protocol data unit that begins `bytes` has; `nil` while too few have come to tell, or where nothing tells.
    ///
    /// On a serial line nothing but the content says where a frame ends (and the silence after it).
    func length(of bytes: UnsafeRawBufferPointer) -> Int? {
        guard bytes.count > 0 else { return nil }
        if bytes[0] == function | 0x80 { return 2 }
        switch length {
        case .fixed(let count): return count
        case .counted(let count): return 2 + count
        case .identification: return ReplyForm.identificationLength(of: bytes)
        case .unknown: return nil
        }
    }

    /// Function, MEI type, code, conformity, more follows, next object, number of objects; then each object with identifier and length.
    private static func identificationLength(of bytes: UnsafeRawBufferPointer) -> Int? {
        guard bytes.count >= 7 else { return nil }
        var end = 7
        for _ in 0..<bytes[6] {
            guard bytes.count >= end + 2 else { return nil }
            end += 2 + Int(bytes[end + 1])
            // More than a frame holds: the frame is not one, which its check sum then says.
            if end > ModbusLimits.pduBytesMax { return ModbusLimits.pduBytesMax }
        }
        return end
    }
}
