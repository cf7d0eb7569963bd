/// A request's protocol data unit: what a client asks.
package enum ModbusRequest: Sendable, Hashable {
    /// 6.1 to 6.4.
    case read(ModbusArea, start: UInt16, count: Int)
    /// 6.5.
    case writeCoil(address: UInt16, value: Bool)
    /// 6.6.
    case writeRegister(address: UInt16, value: UInt16)
    /// 6.11.
    case writeCoils(start: UInt16, values: [Bool])
    /// 6.12.
    case writeRegisters(start: UInt16, values: [UInt16])
    /// 6.16: result = (current AND `and`) OR (`or` AND NOT `and`).
    case maskWrite(address: UInt16, and: UInt16, or: UInt16)
    /// 6.17: the write happens before the read.
    case readWrite(readStart: UInt16, readCount: Int, writeStart: UInt16, values: [UInt16])
    /// 6.21: MEI type 14. `code` 1 basic, 2 regular, 3 extended, 4 one object.
    case readDeviceIdentification(code: UInt8, object: UInt8)
    /// A function this codec does not know, as it came: for passing on or refusing.
    case other(function: UInt8, data: [UInt8])

    package var function: UInt8 {
        switch self {
        case .read(let area, _, _): area.rawValue
        case .writeCoil: 5
        case .writeRegister: 6
        case .writeCoils: 15
        case .writeRegisters: 16
        case .maskWrite: 22
        case .readWrite: 23
        case .readDeviceIdentification: 43
        case .other(let function, _): function
        }
    }

    /// Whether the request changes the device. An unknown function counts as one that does.
    package var isWrite: Bool {
        switch self {
        case .read, .readDeviceIdentification: false
        default: true
        }
    }

    /// The bytes to send, function code first.
    package var pdu: [UInt8] {
        var bytes: [UInt8] = [function]
        switch self {
        case .read(_, let start, let count): bytes.append(words: [start, UInt16(truncatingIfNeeded: count)])
        case .writeCoil(let address, let value): bytes.append(words: [address, value ? 0xFF00 : 0])
        case .writeRegister(let address, let value): bytes.append(words: [address, value])
        case .writeCoils(let start, let values):
            bytes.append(words: [start, UInt16(truncatingIfNeeded: values.count)])
            let packed = packBits(values)
            bytes.append(UInt8(truncatingIfNeeded: packed.count))
            bytes += packed
        case .writeRegisters(let start, let values):
            bytes.append(words: [start, UInt16(truncatingIfNeeded: values.count)])
            bytes.append(UInt8(truncatingIfNeeded: values.count * 2))
            bytes.append(words: values)
        case .maskWrite(let address, let and, let or): bytes.append(words: [address, and, or])
        case .readWrite(let readStart, let readCount, let writeStart, let values):
            bytes.append(words: [readStart, UInt16(truncatingIfNeeded: readCount), writeStart, UInt16(truncatingIfNeeded: values.count)])
            bytes.append(UInt8(truncatingIfNeeded: values.count * 2))
            bytes.append(words: values)
        case .readDeviceIdentification(let code, let object): bytes += [14, code, object]
        case .other(_, let data): bytes += data
        }
        return bytes
    }

    /// Reads a request from bytes that anybody may have sent.
    ///
    /// Throws when lengths, quantities or fixed fields are not those of the specification; a server answers that with exception 03.
    package init(pdu: some Collection<UInt8>) throws(ModbusFrameError) {
        var source = PDUSource(pdu)
        guard pdu.count <= ModbusLimits.pduBytesMax else {
            throw ModbusFrameError("a PDU has at most \(ModbusLimits.pduBytesMax) bytes, this one has \(pdu.count)")
        }
        let function = try source.byte("function code")
        switch function {
        case 1...4:
            guard let area = ModbusArea(rawValue: function) else { throw ModbusFrameError("function \(function) reads nothing") }
            let start = try source.word("start")
            let count = try source.quantity(1...area.readsMax, from: start)
            self = .read(area, start: start, count: count)
        case 5:
            let address = try source.word("address")
            let value = try source.word("value")
            guard value == 0 || value == 0xFF00 else {
                throw ModbusFrameError("a coil is written with 0x0000 or 0xFF00, not \(value)")
            }
            self = .writeCoil(address: address, value: value != 0)
        case 6: self = .writeRegister(address: try source.word("address"), value: try source.word("value"))
        case 15:
            let start = try source.word("start")
            let count = try source.quantity(1...ModbusLimits.writeCoilsMax, from: start)
            let packed = try source.counted((count + 7) / 8)
            self = .writeCoils(start: start, values: unpackBits(packed, count: count))
        case 16:
            let start = try source.word("start")
            let count = try source.quantity(1...ModbusLimits.writeRegistersMax, from: start)
            self = .writeRegisters(start: start, values: words(try source.counted(count * 2)))
        case 22:
            self = .maskWrite(address: try source.word("address"), and: try source.word("AND mask"), or: try source.word("OR mask"))
        case 23:
            let readStart = try source.word("read start")
            let readCount = try source.quantity(1...ModbusLimits.readRegistersMax, from: readStart)
            let writeStart = try source.word("write start")
            let count = try source.quantity(1...ModbusLimits.readWriteWriteMax, from: writeStart)
            self = .readWrite(
                readStart: readStart, readCount: readCount, writeStart: writeStart, values: words(try source.counted(count * 2)))
        case 43 where pdu.dropFirst().first == 14:
            _ = try source.byte("MEI type")
            self = .readDeviceIdentification(code: try source.byte("read code"), object: try source.byte("object"))
        case 1...127: self = .other(function: function, data: source.rest())
        default: throw ModbusFrameError("function code \(function) is not a request's (1…127)")
        }
        try source.end()
    }
}
