import ModbusProtocol

@testable import ModbusAdapter

/// Requests and answers as people read them in `protocols/modbus`; the README there has the notation.
enum MeaningText {
    struct Unreadable: Error {
        let text: String
    }

    private static let areas: [(name: String, area: ModbusArea)] = [
        ("coils", .coils), ("discrete", .discreteInputs), ("holding", .holdingRegisters), ("input", .inputRegisters),
    ]

    static func request(_ text: String) throws -> ModbusRequest {
        let words = text.split(separator: " ").map(String.init)
        func number(_ index: Int) throws -> Int {
            guard index < words.count, let number = Int(words[index]) else { throw Unreadable(text: text) }
            return number
        }
        func address(_ index: Int) throws -> UInt16 { UInt16(try number(index)) }
        func registers(from index: Int) throws -> [UInt16] { try words.dropFirst(index).map { try register($0) } }
        func register(_ word: String) throws -> UInt16 {
            guard let value = UInt16(word, radix: 16) else { throw Unreadable(text: text) }
            return value
        }
        guard let verb = words.first else { throw Unreadable(text: text) }
        switch verb {
        case "read":
            guard words.count == 4, let area = areas.first(where: { $0.name == words[1] })?.area else { throw Unreadable(text: text) }
            return .read(area, start: try address(2), count: try number(3))
        case "writeCoil": return .writeCoil(address: try address(1), value: words.last == "on")
        case "writeRegister": return .writeRegister(address: try address(1), value: try register(words[2]))
        case "writeCoils": return .writeCoils(start: try address(1), values: words[2].map { $0 == "1" })
        case "writeRegisters": return .writeRegisters(start: try address(1), values: try registers(from: 2))
        case "maskWrite": return .maskWrite(address: try address(1), and: try register(words[2]), or: try register(words[3]))
        case "readWrite":
            return .readWrite(
                readStart: try address(1), readCount: try number(2), writeStart: try address(3), values: try registers(from: 4))
        case "identify": return .readDeviceIdentification(code: UInt8(try number(1)), object: UInt8(try number(2)))
        default: throw Unreadable(text: text)
        }
    }

    static func text(_ request: ModbusRequest) -> String {
        switch request {
        case .read(let area, let start, let count): "read \(areas.first { $0.area == area }?.name ?? "") \(start) \(count)"
        case .writeCoil(let address, let value): "writeCoil \(address) \(value ? "on" : "off")"
        case .writeRegister(let address, let value): "writeRegister \(address) \(register(value))"
        case .writeCoils(let start, let values): "writeCoils \(start) \(bits(values))"
        case .writeRegisters(let start, let values): "writeRegisters \(start) \(registers(values))"
        case .maskWrite(let address, let and, let or): "maskWrite \(address) \(register(and)) \(register(or))"
        case .readWrite(let readStart, let count, let writeStart, let values):
            "readWrite \(readStart) \(count) \(writeStart) \(registers(values))"
        case .readDeviceIdentification(let code, let object): "identify \(code) \(object)"
        case .other(let function, let data): "function \(function) \(hexadecimal(data))"
        }
    }

    static func response(_ text: String) throws -> ModbusResponse {
        let words = text.split(separator: " ").map(String.init)
        switch words.first {
        case "bits": return .bits(words[1].map { $0 == "1" })
        case "registers":
            return .registers(
                try words.dropFirst().map {
                    guard let value = UInt16($0, radix: 16) else { throw Unreadable(text: text) }
                    return value
                })
        case "written": return .written
        case "exception":
            guard let code = UInt8(words[1]) else { throw Unreadable(text: text) }
            return .exception(code)
        case "identification":
            guard words.count >= 4, let code = UInt8(words[1]), let level = UInt8(words[2], radix: 16) else { throw Unreadable(text: text) }
            let objects = try words.dropFirst(4).map { word in
                let parts = word.split(separator: "=", maxSplits: 1)
                guard parts.count == 2, let id = UInt8(parts[0]) else { throw Unreadable(text: text) }
                return ModbusResponse.DeviceIdentification.Object(id: id, value: Array(parts[1].utf8))
            }
            return .identification(
                ModbusResponse.DeviceIdentification(code: code, conformityLevel: level, nextObject: UInt8(words[3]), objects: objects))
        default: throw Unreadable(text: text)
        }
    }

    static func text(_ response: ModbusResponse) -> String {
        switch response {
        case .bits(let values): return "bits \(bits(values))"
        case .registers(let values): return "registers \(registers(values))"
        case .written: return "written"
        case .exception(let code): return "exception \(code)"
        case .identification(let answer):
            let objects = answer.objects.map { "\($0.id)=\(String(decoding: $0.value, as: UTF8.self))" }.joined(separator: " ")
            let next = answer.nextObject.map { "\($0)" } ?? "-"
            return "identification \(answer.code) \(hexadecimal([answer.conformityLevel])) \(next) \(objects)"
        case .other(let data): return "other \(hexadecimal(data))"
        }
    }

    static func bytes(_ text: some StringProtocol) throws -> [UInt8] {
        let digits = text.filter { $0 != " " }
        guard digits.count % 2 == 0 else { throw Unreadable(text: String(text)) }
        var bytes: [UInt8] = []
        var rest = Substring(String(digits))
        while !rest.isEmpty {
            guard let byte = UInt8(rest.prefix(2), radix: 16) else { throw Unreadable(text: String(text)) }
            bytes.append(byte)
            rest = rest.dropFirst(2)
        }
        return bytes
    }

    private static func register(_ value: UInt16) -> String {
        let digits = String(value, radix: 16, uppercase: true)
        return String(repeating: "0", count: 4 - digits.count) + digits
    }

    private static func registers(_ values: [UInt16]) -> String { values.map(register).joined(separator: " ") }

    private static func bits(_ values: [Bool]) -> String { values.map { $0 ? "1" : "0" }.joined() }
}
