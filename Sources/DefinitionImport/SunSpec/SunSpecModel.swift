internal import Telemetry

/// What a SunSpec model holds: its points in order, as the SunSpec Information Model (github.com/sunspec/models, 2026-04-22) defines them.
///
/// Written compactly: `name type unit scaleFactor;`, the unit in UCUM or `-`, the number of registers behind `string` and `pad`.
struct SunSpecModel: Sendable {
    /// The models of this layout.
    let ids: [Int]
    /// The first part of the names of its tags.
    let title: String
    let points: [SunSpecPoint]
    /// Points that stand behind the others as often as the length says.
    let repeating: [SunSpecPoint]
    let repeatingTitle: String

    init(_ ids: [Int], _ title: String, _ text: String, repeating repeatingTitle: String = "", _ repeatingText: String = "") {
        self.ids = ids
        self.title = title
        self.repeatingTitle = repeatingTitle
        points = SunSpecModel.points(text)
        repeating = SunSpecModel.points(repeatingText)
    }

    /// Registers of the points that stand once.
    var length: Int { points.reduce(0) { $0 + $1.size } }
    var repeatingLength: Int { repeating.reduce(0) { $0 + $1.size } }

    /// The model of a number; `nil` for those that are not known here.
    static func model(_ id: Int) -> SunSpecModel? { byID[id] }

    private static let byID: [Int: SunSpecModel] = {
        var models: [Int: SunSpecModel] = [:]
        for model in inverters + meters { for id in model.ids { models[id] = model } }
        return models
    }()

    static let allIDs = byID.keys.sorted()

    private static func points(_ text: String) -> [SunSpecPoint] {
        var offset = 0
        return text.split(separator: ";").compactMap { entry in
            let words = entry.split { $0.isWhitespace }.map(String.init)
            guard words.count >= 2, let type = SunSpecType(words[1]) else { return nil }
            let size = type.size ?? Int(words[1].drop { !("0"..."9").contains($0) }) ?? 1
            defer { offset += size }
            return SunSpecPoint(
                name: words[0], type: type, size: size, offset: offset, unit: words.count > 2 && words[2] != "-" ? words[2] : "",
                scaleFactor: words.count > 3 ? words[3] : nil)
        }
    }
}

/// One value of a model.
struct SunSpecPoint: Sendable {
    var name: String
    var type: SunSpecType
    /// Registers.
    var size: Int
    /// Registers behind the model's length, or behind the beginning of its repetition.
    var offset: Int
    /// UCUM; empty for none.
    var unit: String
    /// The point with the power of ten the value is to be multiplied by.
    var scaleFactor: String?
}

/// The types of points, and the numbers that stand for "not implemented" (SunSpec Information Model Specification, table of point types).
enum SunSpecType: String, Sendable {
    case int16, uint16, acc16, enum16, bitfield16, count
    case int32, uint32, acc32, enum32, bitfield32, float32
    case int64, uint64, acc64
    case sunssf, string, pad

    init?(_ text: String) {
        let name = text.hasPrefix("string") ? "string" : text.hasPrefix("pad") ? "pad" : text
        self.init(rawValue: name)
    }

    /// Registers; `nil` where the point says it.
    var size: Int? {
        switch self {
        case .int16, .uint16, .acc16, .enum16, .bitfield16, .count, .sunssf: 1
        case .int32, .uint32, .acc32, .enum32, .bitfield32, .float32: 2
        case .int64, .uint64, .acc64: 4
        case .string, .pad: nil
        }
    }

    /// How a tag reads it; `nil` for what is no value.
    var dataType: DataType? {
        switch self {
        case .int16, .sunssf: .int16
        case .uint16, .acc16, .enum16, .bitfield16, .count: .uint16
        case .int32: .int32
        case .uint32, .acc32, .enum32, .bitfield32: .uint32
        case .float32: .float32
        case .int64: .int64
        case .uint64, .acc64: .uint64
        case .string: .string
        case .pad: nil
        }
    }

    var isAccumulator: Bool { self == .acc16 || self == .acc32 || self == .acc64 }
    /// Whether it is a quantity, not a state or a set of flags.
    var isQuantity: Bool {
        switch self {
        case .int16, .uint16, .int32, .uint32, .int64, .uint64, .float32: true
        default: false
        }
    }

    /// Whether registers say "not implemented". An accumulator of 0 counts as implemented: it may just have begun.
    func isNotImplemented(_ registers: ArraySlice<UInt16>) -> Bool {
        switch self {
        case .int16, .sunssf: return registers.first == 0x8000
        case .uint16, .enum16, .bitfield16, .acc16, .count: return registers.first == 0xFFFF
        case .int32, .int64: return registers.first == 0x8000 && registers.dropFirst().allSatisfy { $0 == 0 }
        case .uint32, .acc32, .enum32, .bitfield32, .uint64, .acc64: return registers.allSatisfy { $0 == 0xFFFF }
        case .float32:
            guard registers.count == 2, let high = registers.first, let low = registers.last else { return true }
            return Float(bitPattern: UInt32(high) << 16 | UInt32(low)).isNaN
        case .string: return registers.allSatisfy { $0 == 0 }
        case .pad: return true
        }
    }

    /// The number that stands for "not implemented", for people.
    var notImplementedText: String? {
        switch self {
        case .int16: "0x8000"
        case .uint16, .enum16, .bitfield16, .acc16, .count: "0xFFFF"
        case .int32: "0x80000000"
        case .uint32, .enum32, .bitfield32, .acc32: "0xFFFFFFFF"
        case .int64: "0x8000000000000000"
        case .uint64, .acc64: "0xFFFFFFFFFFFFFFFF"
        case .float32: "NaN"
        case .sunssf, .string, .pad: nil
        }
    }
}
