/// Reads the part of CBOR that envelopes use: integers, byte and text strings, arrays, maps, tags, and simple values to skip.
///
/// Lengths are definite and heads as short as can be, as the deterministic form asks for; the order of a map's keys is the writer's
/// business, since other implementations sort differently. Every length is checked against what is left before it is used.
///
/// Source: RFC 8949, 3 and 4.2.1.
struct CBORReader {
    let bytes: [UInt8]
    private(set) var position: Int
    private let end: Int

    /// The deepest nesting that is skipped.
    static let depthMax = 8

    init(_ bytes: [UInt8]) { self.init(bytes, bytes.indices) }

    /// Reads a part of the bytes only.
    init(_ bytes: [UInt8], _ range: Range<Int>) {
        self.bytes = bytes
        position = range.lowerBound
        end = range.upperBound
    }

    var isAtEnd: Bool { position == end }

    /// Throws unless everything was read.
    func finish(_ what: String) throws(EnvelopeRefusal) {
        guard isAtEnd else { throw CBORReader.malformed("\(end - position) bytes follow the end of \(what)") }
    }

    static func malformed(_ message: String) -> EnvelopeRefusal { EnvelopeRefusal(.malformed, message) }

    private mutating func head() throws(EnvelopeRefusal) -> (type: CBORMajorType, argument: UInt64) {
        let start = position
        guard position < end, let type = CBORMajorType(rawValue: bytes[position] >> 5) else {
            throw CBORReader.malformed("an item is expected at byte \(start), but the bytes end")
        }
        let information = bytes[position] & 0x1F
        position += 1
        if information < 24 { return (type, UInt64(information)) }
        guard information < 28 else {
            throw CBORReader.malformed("additional information is \(information) at byte \(start), expected 0 to 27 (a definite length)")
        }
        let count = 1 << Int(information - 24)
        guard end - position >= count else {
            throw CBORReader.malformed("the head at byte \(start) needs \(count) more bytes, but \(end - position) are left")
        }
        var argument: UInt64 = 0
        for _ in 0..<count {
            argument = argument << 8 | UInt64(bytes[position])
            position += 1
        }
        let least: UInt64 = count == 1 ? 24 : 1 << UInt64(4 * count)
        guard argument >= least || type == .simple else {
            throw CBORReader.malformed("the head at byte \(start) holds \(argument) in \(count) bytes, but it fits fewer")
        }
        return (type, argument)
    }

    private mutating func head(_ expected: CBORMajorType, _ what: String) throws(EnvelopeRefusal) -> UInt64 {
        let start = position
        let (type, argument) = try head()
        guard type == expected else { throw CBORReader.malformed("\(what) at byte \(start) is of type \(type), expected \(expected)") }
        return argument
    }

    mutating func unsigned(_ what: String, atMost limit: UInt64 = .max) throws(EnvelopeRefusal) -> UInt64 {
        let value = try head(.unsigned, what)
        guard value <= limit else { throw CBORReader.malformed("\(what) is \(value), at most \(limit) is accepted") }
        return value
    }

    /// An integer of either sign that fits 64 bits.
    mutating func integer(_ what: String) throws(EnvelopeRefusal) -> Int64 {
        let start = position
        let (type, argument) = try head()
        guard type == .unsigned || type == .negative, let magnitude = Int64(exactly: argument) else {
            throw CBORReader.malformed("\(what) at byte \(start) is no integer of 64 bits")
        }
        return type == .unsigned ? magnitude : ~magnitude
    }

    /// The place of a byte string's content.
    mutating func byteString(_ what: String, _ sizes: ClosedRange<Int>) throws(EnvelopeRefusal) -> Range<Int> {
        try content(try head(.bytes, what), what, sizes)
    }

    mutating func text(_ what: String, _ sizes: ClosedRange<Int>) throws(EnvelopeRefusal) -> String {
        let range = try content(try head(.text, what), what, sizes)
        guard let text = String(validating: bytes[range], as: UTF8.self) else { throw CBORReader.malformed("\(what) is not UTF-8") }
        return text
    }

    private mutating func content(_ count: UInt64, _ what: String, _ sizes: ClosedRange<Int>) throws(EnvelopeRefusal) -> Range<Int> {
        guard count <= UInt64(sizes.upperBound) else {
            throw EnvelopeRefusal(.oversized, "\(what) has \(count) bytes, at most \(sizes.upperBound) are accepted")
        }
        guard count >= UInt64(sizes.lowerBound) else {
            throw CBORReader.malformed("\(what) has \(count) bytes, at least \(sizes.lowerBound) are needed")
        }
        guard count <= UInt64(end - position) else {
            throw CBORReader.malformed("\(what) has \(count) bytes, but \(end - position) are left")
        }
        let range = position..<position + Int(count)
        position = range.upperBound
        return range
    }

    /// The number of items of an array.
    mutating func array(_ what: String, _ counts: ClosedRange<Int>) throws(EnvelopeRefusal) -> Int {
        let count = try head(.array, what)
        guard count <= UInt64(counts.upperBound), count >= UInt64(counts.lowerBound) else {
            throw CBORReader.malformed("\(what) has \(count) items, expected \(counts.lowerBound) to \(counts.upperBound)")
        }
        return Int(count)
    }

    /// The number of pairs of a map.
    mutating func map(_ what: String, atMost limit: Int) throws(EnvelopeRefusal) -> Int {
        let count = try head(.map, what)
        guard count <= UInt64(limit) else { throw CBORReader.malformed("\(what) has \(count) pairs, at most \(limit) are accepted") }
        return Int(count)
    }

    mutating func tag(_ expected: UInt64, _ what: String) throws(EnvelopeRefusal) {
        let number = try head(.tag, what)
        guard number == expected else { throw CBORReader.malformed("\(what) has tag \(number), expected \(expected)") }
    }

    /// Moves behind a null, if there is one.
    mutating func skipNull() -> Bool {
        guard position < end, bytes[position] == 0xF6 else { return false }
        position += 1
        return true
    }

    /// Whether a text string follows.
    var isAtText: Bool { position < end && bytes[position] >> 5 == CBORMajorType.text.rawValue }

    /// Moves behind an item of no interest, whatever it is.
    mutating func skip(_ depth: Int = 0) throws(EnvelopeRefusal) {
        guard depth < CBORReader.depthMax else {
            throw CBORReader.malformed("items are nested more than \(CBORReader.depthMax) deep at byte \(position)")
        }
        let start = position
        let (type, argument) = try head()
        switch type {
        case .unsigned, .negative, .simple: break
        case .bytes, .text: _ = try content(argument, "the string at byte \(start)", 0...Int.max)
        case .tag: try skip(depth + 1)
        case .array, .map:
            let items = type == .map ? argument.multipliedReportingOverflow(by: 2) : (argument, false)
            // Each item has a byte at least, so that no count can make this loop long.
            guard !items.1, items.0 <= UInt64(end - position) else {
                throw CBORReader.malformed("\(argument) items are announced at byte \(start), but \(end - position) bytes are left")
            }
            for _ in 0..<Int(items.0) { try skip(depth + 1) }
        }
    }
}
