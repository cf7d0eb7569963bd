/// A response's protocol data unit: what a server answers to one request.
package enum ModbusResponse: Sendable, Hashable {
    /// To 01 and 02, one per bit asked for.
    case bits([Bool])
    /// To 03, 04 and 23.
    case registers([UInt16])
    /// To 05, 06, 15, 16 and 22: the device took it.
    case written
    /// To 43/14.
    case identification(DeviceIdentification)
    /// 7: function code with the highest bit set, then the code.
    case exception(UInt8)
    /// To a function this codec does not know.
    case other([UInt8])

    /// One answer of 43/14; a long list comes in several.
    package struct DeviceIdentification: Sendable, Hashable {
        package struct Object: Sendable, Hashable {
            /// 0 vendor name, 1 product code, 2 revision, 3 vendor URL, 4 product name, 5 model name, 6 application name, 128… private.
            package var id: UInt8
            package var value: [UInt8]

            package init(id: UInt8, value: [UInt8]) {
                self.id = id
                self.value = value
            }
        }
        package var code: UInt8
        package var conformityLevel: UInt8
        /// The object to ask for next; `nil` when that was all.
        package var nextObject: UInt8?
        package var objects: [Object]

        package init(code: UInt8, conformityLevel: UInt8, nextObject: UInt8? = nil, objects: [Object]) {
            self.code = code
            self.conformityLevel = conformityLevel
            self.nextObject = nextObject
            self.objects = objects
        }
    }

    /// Reads the answer to `request` from bytes that anybody may have sent: function code, byte count and echoed fields must be its.
    package init(pdu: some Collection<UInt8>, to request: ModbusRequest) throws(ModbusFrameError) {
        guard pdu.count <= ModbusLimits.pduBytesMax else {
            throw ModbusFrameError("a PDU has at most \(ModbusLimits.pduBytesMax) bytes, this one has \(pdu.count)")
        }
        var source = PDUSource(pdu)
        let function = try source.byte("function code")
        if function == request.function | 0x80 {
            self = .exception(try source.byte("exception code"))
            try source.end()
            return
        }
        guard function == request.function else {
            throw ModbusFrameError("function code is \(function), \(request.function) was asked")
        }
        switch request {
        case .read(let area, _, let count) where area.isBits:
            self = .bits(unpackBits(try source.counted((count + 7) / 8), count: count))
        case .read(_, _, let count), .readWrite(_, let count, _, _): self = .registers(words(try source.counted(count * 2)))
        case .writeCoil, .writeRegister, .maskWrite:
            guard pdu.elementsEqual(request.pdu) else { throw ModbusFrameError("the echo differs from the request") }
            _ = source.rest()
            self = .written
        case .writeCoils, .writeRegisters:
            guard pdu.elementsEqual(request.pdu.prefix(5)) else { throw ModbusFrameError("start or quantity differs from the request") }
            _ = source.rest()
            self = .written
        case .readDeviceIdentification(let code, _): self = .identification(try DeviceIdentification(&source, code: code))
        case .other: self = .other(source.rest())
        }
        try source.end()
    }

    /// The bytes a server sends as the answer to `request`, function code first.
    package func pdu(to request: ModbusRequest) -> [UInt8] {
        switch self {
        case .bits(let values):
            let packed = packBits(values)
            return [request.function, UInt8(truncatingIfNeeded: packed.count)] + packed
        case .registers(let values):
            var bytes: [UInt8] = [request.function, UInt8(truncatingIfNeeded: values.count * 2)]
            bytes.append(words: values)
            return bytes
        case .written:
            switch request {
            case .writeCoils, .writeRegisters: return Array(request.pdu.prefix(5))
            default: return request.pdu
            }
        case .identification(let answer):
            var bytes: [UInt8] = [43, 14, answer.code, answer.conformityLevel]
            bytes += [answer.nextObject == nil ? 0 : 0xFF, answer.nextObject ?? 0, UInt8(truncatingIfNeeded: answer.objects.count)]
            for object in answer.objects {
                bytes += [object.id, UInt8(truncatingIfNeeded: object.value.count)]
                bytes += object.value
            }
            return bytes
        case .exception(let code): return [request.function | 0x80, code]
        case .other(let data): return [request.function] + data
        }
    }
}

extension ModbusResponse.DeviceIdentification {
    fileprivate init(_ source: inout PDUSource<some Collection<UInt8>>, code expected: UInt8) throws(ModbusFrameError) {
        let type = try source.byte("MEI type")
        guard type == 14 else { throw ModbusFrameError("MEI type is \(type), 14 was asked") }
        code = try source.byte("read code")
        guard code == expected else { throw ModbusFrameError("read device identification code is \(code), \(expected) was asked") }
        conformityLevel = try source.byte("conformity level")
        let moreFollows = try source.byte("more follows")
        let next = try source.byte("next object")
        guard moreFollows == 0 || moreFollows == 0xFF else { throw ModbusFrameError("more follows is \(moreFollows), not 0 or 255") }
        nextObject = moreFollows == 0 ? nil : next
        objects = []
        for _ in 0..<(try source.byte("number of objects")) {
            let id = try source.byte("object")
            objects.append(Object(id: id, value: try source.take(Int(try source.byte("object length")))))
        }
    }
}
