internal import Telemetry

/// The metrics of a Sparkplug payload as columns: what stands in one field of all metrics, side by side.
///
/// Aliases and timestamps become differences, doubles that are decimal fractions become their digits. The bytes come back exactly as
/// they were; a payload that would not has no columns. Described in docs/format/columns.md.
enum MetricColumns {
    /// The version in the first byte.
    static let version: UInt8 = 1
    /// The most metrics of a payload, and the most fields of a metric.
    static let metricsMax = 1 << 20
    static let fieldsMax = 64

    /// The digits of a double: value = digits ÷ 10^places.
    static let placesMax = 6
    static let isNoDecimal: UInt8 = 0xFF
    static let powers: [Double] = [1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6]

    static let aliasField: UInt8 = 0x10
    static let timestampField: UInt8 = 0x18
    static let metricField: UInt8 = 0x12

    /// The columns of a payload; `nil` for one that is not laid out as writers of Sparkplug do.
    static func split(_ payload: [UInt8]) -> [UInt8]? {
        var splitter = Splitter(payload)
        return splitter.split()
    }

    /// The payload of columns.
    ///
    /// Throws a `GatewayError` with code `protocolViolation`, or `limitExceeded` for a payload of more than `limit` bytes.
    static func join(_ columns: [UInt8], atMost limit: Int) throws(GatewayError) -> [UInt8] {
        var joiner = try Joiner(columns, limit)
        return try joiner.join()
    }

    /// The columns in their order.
    struct Columns {
        /// What is before and after the metrics: two lengths and the bytes.
        var rest: [UInt8] = []
        /// Per metric the number of its fields, then their keys.
        var shapes: [UInt8] = []
        var aliases: [UInt8] = []
        var timestamps: [UInt8] = []
        /// Varints that are neither.
        var varints: [UInt8] = []
        /// Per double its places, or that it is no decimal.
        var places: [UInt8] = []
        /// The digits in four planes, the lowest byte first: signs alternate, so that small numbers have few bits.
        var planes: [[UInt8]] = [[], [], [], []]
        /// Doubles that are no decimals, as they are.
        var doubles: [UInt8] = []
        var floats: [UInt8] = []
        /// Lengths and bytes of all else.
        var strings: [UInt8] = []

        static let count = 13

        var all: [[UInt8]] { [rest, shapes, aliases, timestamps, varints, places] + planes + [doubles, floats, strings] }
    }

    static func append(_ value: UInt64, to bytes: inout [UInt8]) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }

    static func folded(_ value: Int64) -> UInt64 { UInt64(bitPattern: value << 1 ^ value >> 63) }
    static func unfolded(_ value: UInt64) -> Int64 { Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1) }
}

/// Reads varints and runs of bytes; `nil` at the end, or for a varint that is longer than it has to be.
struct ColumnReader {
    let bytes: [UInt8]
    var position: Int
    var end: Int

    init(_ bytes: [UInt8], _ range: Range<Int>) {
        self.bytes = bytes
        position = range.lowerBound
        end = range.upperBound
    }

    var isAtEnd: Bool { position == end }

    mutating func byte() -> UInt8? {
        guard position < end else { return nil }
        defer { position += 1 }
        return bytes[position]
    }

    mutating func varint() -> UInt64? {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while position < end, shift < 64 {
            let byte = bytes[position]
            position += 1
            if shift == 63, byte > 1 { return nil }
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return byte == 0 && shift > 0 ? nil : value }
            shift += 7
        }
        return nil
    }

    mutating func run(_ count: Int) -> Range<Int>? {
        guard count >= 0, count <= end - position else { return nil }
        defer { position += count }
        return position..<position + count
    }

    mutating func littleEndian(_ count: Int) -> UInt64? {
        guard let range = run(count) else { return nil }
        return range.reversed().reduce(0) { $0 << 8 | UInt64(bytes[$1]) }
    }
}

/// A payload to columns.
private struct Splitter {
    private var reader: ColumnReader
    private var columns = MetricColumns.Columns()
    private var alias: UInt64 = 0
    private var timestamp: UInt64 = 0
    private var lastPlaces = 0

    init(_ payload: [UInt8]) { reader = ColumnReader(payload, payload.indices) }

    mutating func split() -> [UInt8]? {
        // Before the metrics: a timestamp, which is skipped like any varint field.
        guard let first = skipRest() else { return nil }
        var metrics = 0
        while !reader.isAtEnd, reader.bytes[reader.position] == MetricColumns.metricField {
            reader.position += 1
            guard let length = reader.varint(), let count = Int(exactly: length), let range = reader.run(count), metric(range) else {
                return nil
            }
            metrics += 1
        }
        guard metrics > 0, metrics <= MetricColumns.metricsMax else { return nil }
        let last = Array(reader.bytes[reader.position...])
        MetricColumns.append(UInt64(metrics), to: &columns.rest)
        MetricColumns.append(UInt64(first.count), to: &columns.rest)
        columns.rest += first
        columns.rest += last
        var output = [MetricColumns.version]
        let all = columns.all
        output.reserveCapacity(all.reduce(64) { $0 + $1.count })
        for column in all { MetricColumns.append(UInt64(column.count), to: &output) }
        for column in all { output += column }
        return output
    }

    /// The fields before the first metric.
    private mutating func skipRest() -> [UInt8]? {
        let start = reader.position
        while !reader.isAtEnd, reader.bytes[reader.position] != MetricColumns.metricField {
            guard let key = reader.byte(), key & 7 == 0, key < 0x80, reader.varint() != nil else { return nil }
        }
        return Array(reader.bytes[start..<reader.position])
    }

    private mutating func metric(_ range: Range<Int>) -> Bool {
        var fields = ColumnReader(reader.bytes, range)
        let place = columns.shapes.count
        columns.shapes.append(0)
        var count = 0
        while !fields.isAtEnd {
            guard let key = fields.byte(), key < 0x80, count < MetricColumns.fieldsMax else { return false }
            columns.shapes.append(key)
            count += 1
            switch key & 7 {
            case 0:
                guard let value = fields.varint() else { return false }
                add(key, value)
            case 1:
                guard let bits = fields.littleEndian(8) else { return false }
                add(double: bits)
            case 5:
                guard let range = fields.run(4) else { return false }
                columns.floats += reader.bytes[range]
            case 2:
                guard let length = fields.varint(), let size = Int(exactly: length), let range = fields.run(size) else { return false }
                MetricColumns.append(length, to: &columns.strings)
                columns.strings += reader.bytes[range]
            default: return false
            }
        }
        columns.shapes[place] = UInt8(count)
        return true
    }

    private mutating func add(_ key: UInt8, _ value: UInt64) {
        switch key {
        case MetricColumns.aliasField:
            MetricColumns.append(MetricColumns.folded(Int64(bitPattern: value &- alias)), to: &columns.aliases)
            alias = value
        case MetricColumns.timestampField:
            MetricColumns.append(MetricColumns.folded(Int64(bitPattern: value &- timestamp)), to: &columns.timestamps)
            timestamp = value
        default: MetricColumns.append(value, to: &columns.varints)
        }
    }

    private mutating func add(double bits: UInt64) {
        guard let (places, digits) = decimal(bits) else {
            columns.places.append(MetricColumns.isNoDecimal)
            withUnsafeBytes(of: bits.littleEndian) { columns.doubles += $0 }
            return
        }
        lastPlaces = places
        columns.places.append(UInt8(places))
        let folded = UInt32(truncatingIfNeeded: MetricColumns.folded(Int64(digits)))
        for plane in 0..<4 { columns.planes[plane].append(UInt8(truncatingIfNeeded: folded >> UInt32(8 * plane))) }
    }

    /// The digits and places of a double, if they give it back to the bit. Neighbours mostly have as many places.
    private func decimal(_ bits: UInt64) -> (places: Int, digits: Int32)? {
        let value = Double(bitPattern: bits)
        guard value.magnitude < 2e9 else { return nil }
        if let digits = digits(value, lastPlaces) { return (lastPlaces, digits) }
        for places in 0...MetricColumns.placesMax where places != lastPlaces {
            if let digits = digits(value, places) { return (places, digits) }
        }
        return nil
    }

    private func digits(_ value: Double, _ places: Int) -> Int32? {
        let power = MetricColumns.powers[places]
        guard let digits = Int32(exactly: (value * power).rounded()), (Double(digits) / power).bitPattern == value.bitPattern else {
            return nil
        }
        return digits
    }
}

/// Columns to a payload.
private struct Joiner {
    private var readers: [ColumnReader] = []
    private let limit: Int
    private var output: [UInt8] = []
    private var alias: UInt64 = 0
    private var timestamp: UInt64 = 0

    private static let malformed = Decompressor.violation(.columns, "the columns do not fit each other")

    init(_ columns: [UInt8], _ limit: Int) throws(GatewayError) {
        self.limit = limit
        var head = ColumnReader(columns, columns.indices)
        guard head.byte() == MetricColumns.version else {
            throw Decompressor.violation(.columns, "the version is \(columns.first ?? 0), expected \(MetricColumns.version)")
        }
        var sizes: [Int] = []
        for _ in 0..<MetricColumns.Columns.count {
            guard let size = head.varint().flatMap(Int.init(exactly:)) else { throw Joiner.malformed }
            sizes.append(size)
        }
        for size in sizes {
            guard let range = head.run(size) else { throw Joiner.malformed }
            readers.append(ColumnReader(columns, range))
        }
        guard head.isAtEnd else { throw Joiner.malformed }
    }

    mutating func join() throws(GatewayError) -> [UInt8] {
        guard let count = readers[0].varint(), count <= UInt64(MetricColumns.metricsMax),
            let before = readers[0].varint().flatMap(Int.init(exactly:)),
            let first = readers[0].run(before)
        else { throw Joiner.malformed }
        output += readers[0].bytes[first]
        var metric: [UInt8] = []
        for _ in 0..<count {
            metric.removeAll(keepingCapacity: true)
            guard let fields = readers[1].byte() else { throw Joiner.malformed }
            for _ in 0..<fields {
                guard let key = readers[1].byte(), field(key, &metric) else { throw Joiner.malformed }
            }
            output.append(MetricColumns.metricField)
            MetricColumns.append(UInt64(metric.count), to: &output)
            output += metric
            // Each metric has used up bytes of the columns, so that this grows no further than they reach.
            guard output.count <= limit else {
                throw GatewayError(
                    .limitExceeded, resource: "\(CompressionAlgorithm.columns.rawValue) payload", operation: "decompress",
                    "the columns hold more than \(limit) bytes, the most that are accepted")
            }
        }
        output += readers[0].bytes[readers[0].position..<readers[0].end]
        readers[0].position = readers[0].end
        guard readers.allSatisfy({ $0.isAtEnd }) else { throw Joiner.malformed }
        return output
    }

    private mutating func field(_ key: UInt8, _ metric: inout [UInt8]) -> Bool {
        metric.append(key)
        switch key & 7 {
        case 0: return varint(key, &metric)
        case 1: return double(&metric)
        case 5:
            guard let range = readers[11].run(4) else { return false }
            metric += readers[11].bytes[range]
            return true
        case 2:
            guard let length = readers[12].varint(), let range = Int(exactly: length).flatMap({ readers[12].run($0) }) else { return false }
            MetricColumns.append(length, to: &metric)
            metric += readers[12].bytes[range]
            return true
        default: return false
        }
    }

    private mutating func varint(_ key: UInt8, _ metric: inout [UInt8]) -> Bool {
        let column = key == MetricColumns.aliasField ? 2 : key == MetricColumns.timestampField ? 3 : 4
        guard let value = readers[column].varint() else { return false }
        switch column {
        case 2:
            alias &+= UInt64(bitPattern: MetricColumns.unfolded(value))
            MetricColumns.append(alias, to: &metric)
        case 3:
            timestamp &+= UInt64(bitPattern: MetricColumns.unfolded(value))
            MetricColumns.append(timestamp, to: &metric)
        default: MetricColumns.append(value, to: &metric)
        }
        return true
    }

    private mutating func double(_ metric: inout [UInt8]) -> Bool {
        guard let places = readers[5].byte() else { return false }
        if places == MetricColumns.isNoDecimal {
            guard let range = readers[10].run(8) else { return false }
            metric += readers[10].bytes[range]
            return true
        }
        guard Int(places) <= MetricColumns.placesMax else { return false }
        var folded: UInt64 = 0
        for plane in 0..<4 {
            guard let byte = readers[6 + plane].byte() else { return false }
            folded |= UInt64(byte) << UInt64(8 * plane)
        }
        let value = Double(MetricColumns.unfolded(folded)) / MetricColumns.powers[Int(places)]
        withUnsafeBytes(of: value.bitPattern.littleEndian) { metric += $0 }
        return true
    }
}
