internal import Telemetry

/// One word that a tag's `type` may be: what the registers hold and what it becomes.
struct TagType: Sendable {
    let name: String
    /// The raw value's type once it is decoded: what a `float16` or a BCD number is widened to.
    let dataType: DataType
    let encoding: RegisterEncoding

    /// The types in the order of messages and of the schema.
    static let all: [TagType] = [
        TagType("bool", .bool), TagType("int8", .int8, .bitField(width: 8)), TagType("uint8", .uint8, .bitField(width: 8)),
        TagType("int16", .int16), TagType("uint16", .uint16), TagType("int32", .int32), TagType("uint32", .uint32),
        TagType("int64", .int64), TagType("uint64", .uint64), TagType("float16", .float32, .half), TagType("float32", .float32),
        TagType("float64", .float64), TagType("bcd16", .uint16, .decimal), TagType("bcd32", .uint32, .decimal),
        TagType("bcd64", .uint64, .decimal), TagType("string", .string),
    ]

    private init(_ name: String, _ dataType: DataType, _ encoding: RegisterEncoding = .plain) {
        self.name = name
        self.dataType = dataType
        self.encoding = encoding
    }

    static func named(_ name: String) -> TagType? { all.first { $0.name == name } }

    var isInteger: Bool { dataType.isNumeric && !dataType.isFloatingPoint }
    var isSigned: Bool { [.int8, .int16, .int32, .int64].contains(dataType) }
    /// Bits of the whole value in its registers; 0 for strings.
    var bitWidth: Int {
        switch encoding {
        case .bitField(let width): width
        case .half: 16
        default: dataType == .bool ? 1 : dataType.width * 8
        }
    }

    /// The raw values that `width` bits of this type can be; `nil` where they are no integers.
    func rawRange(width: Int) -> ClosedRange<Double>? {
        guard isInteger else { return nil }
        if encoding == .decimal {
            // 16 digits are just below 2⁵⁴: the top of this range is rounded, which only a message shows.
            return 0...((0..<width / 4).reduce(1.0) { power, _ in power * 10 } - 1)
        }
        if isSigned {
            let half = Double(sign: .plus, exponent: width - 1, significand: 1)
            return -half...(half - 1)
        }
        return 0...(Double(sign: .plus, exponent: width, significand: 1) - 1)
    }
}
