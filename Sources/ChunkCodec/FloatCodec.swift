extension ColumnCodec {
    /// Appends a column of float64 bit patterns to `bytes`. At most ``rowsMax`` rows.
    package static func encode(float64 patterns: UnsafeBufferPointer<UInt64>, into bytes: inout [UInt8], scratch: inout ColumnScratch) {
        encode(floats: patterns, into: &bytes, scratch: &scratch)
    }

    /// Appends a column of float32 bit patterns to `bytes`. At most ``rowsMax`` rows.
    package static func encode(float32 patterns: UnsafeBufferPointer<UInt32>, into bytes: inout [UInt8], scratch: inout ColumnScratch) {
        encode(floats: patterns, into: &bytes, scratch: &scratch)
    }

    /// Decodes a column of as many float64 bit patterns as `patterns` has room for.
    package static func decode(
        float64 bytes: UnsafeRawBufferPointer, into patterns: UnsafeMutableBufferPointer<UInt64>, scratch: inout ColumnScratch
    ) throws(ColumnError) {
        try decode(floats: bytes, into: patterns, scratch: &scratch)
    }

    /// Decodes a column of as many float32 bit patterns as `patterns` has room for.
    package static func decode(
        float32 bytes: UnsafeRawBufferPointer, into patterns: UnsafeMutableBufferPointer<UInt32>, scratch: inout ColumnScratch
    ) throws(ColumnError) {
        try decode(floats: bytes, into: patterns, scratch: &scratch)
    }

    @inline(__always)
    private static func encode<Pattern: FloatPattern>(
        floats patterns: UnsafeBufferPointer<Pattern>, into bytes: inout [UInt8], scratch: inout ColumnScratch
    ) {
        guard let start = patterns.baseAddress, patterns.count > 0 else { return }
        precondition(patterns.count <= rowsMax)
        var sink = ByteSink(next: scratch.output.reserve(outputBytesMax(rows: patterns.count)))
        FloatEncoder.encode(start, count: patterns.count, into: &sink, scratch: &scratch)
        append(sink, to: &bytes, scratch: &scratch)
    }

    @inline(__always)
    private static func decode<Pattern: FloatPattern>(
        floats bytes: UnsafeRawBufferPointer, into patterns: UnsafeMutableBufferPointer<Pattern>, scratch: inout ColumnScratch
    ) throws(ColumnError) {
        guard let start = patterns.baseAddress, let source = try source(bytes, rows: patterns.count) else { return }
        try FloatDecoder.decode(source, into: start, count: patterns.count, scratch: &scratch)
    }
}

/// Encodes float columns: as decimal numbers where most rows are some with few places, else as ordered patterns.
enum FloatEncoder {
    /// Rows that are looked at to decide.
    private static let probes = 32
    /// Rows without a single decimal after which no more are looked at.
    private static let hopelessProbes = 8

    @inline(__always)
    static func encode<Pattern: FloatPattern>(
        _ patterns: UnsafePointer<Pattern>, count: Int, into sink: inout ByteSink, scratch: inout ColumnScratch
    ) {
        if let exponent = exponent(patterns, count), decimal(patterns, count, exponent, into: &sink, scratch: &scratch) { return }
        let lanes = scratch.lanes.reserve(count)
        for row in 0..<count { lanes[row] = patterns[row].ordered }
        sink.append(ColumnFormat.orderedPatterns)
        IntegerEncoder.encode(lanes, count: count, into: &sink, scratch: &scratch)
    }

    /// The power of ten that makes integers of most sampled rows, if these are no wider than the rows' patterns are.
    private static func exponent<Pattern: FloatPattern>(_ patterns: UnsafePointer<Pattern>, _ count: Int) -> Int? {
        let step = max(1, count / probes)
        var sampled = 0
        var hits = 0
        var exponent = 0
        var power = 1.0
        var row = 0
        while row < count {
            // Later rows begin with the exponent of the rows before: a number of fewer places is as exact with more.
            let pattern = patterns[row]
            var candidate = exponent
            var candidatePower = power
            while candidate <= ColumnFormat.exponentMax {
                if Decimal.pattern(Decimal.digits(pattern.number, candidatePower), candidatePower) == pattern { break }
                candidate &+= 1
                candidatePower *= 10
            }
            sampled &+= 1
            if candidate <= ColumnFormat.exponentMax {
                hits &+= 1
                exponent = candidate
                power = candidatePower
            } else if hits == 0 && sampled >= hopelessProbes {
                return nil
            }
            row &+= step
        }
        guard hits &* 8 >= sampled &* 7 else { return nil }
        let (digitWidth, patternWidth) = widths(patterns, count, step, power)
        return digitWidth < patternWidth ? exponent : nil
    }

    /// Bits of the range of the sampled rows, as decimals and as patterns.
    private static func widths<Pattern: FloatPattern>(
        _ patterns: UnsafePointer<Pattern>, _ count: Int, _ step: Int, _ power: Double
    ) -> (digits: Int, pattern: Int) {
        var (lowestDigits, highestDigits) = (Int64.max, Int64.min)
        var (lowestPattern, highestPattern) = (Int64.max, Int64.min)
        var row = 0
        while row < count {
            let digits = Decimal.digits(patterns[row].number, power)
            if Decimal.pattern(digits, power) == patterns[row] {
                lowestDigits = min(lowestDigits, digits)
                highestDigits = max(highestDigits, digits)
                lowestPattern = min(lowestPattern, patterns[row].ordered)
                highestPattern = max(highestPattern, patterns[row].ordered)
            }
            row &+= step
        }
        return (
            ColumnFormat.width(of: UInt64(bitPattern: highestDigits &- lowestDigits)),
            ColumnFormat.width(of: UInt64(bitPattern: highestPattern &- lowestPattern))
        )
    }

    /// Writes a decimal column, unless too many rows are none.
    @inline(__always)
    private static func decimal<Pattern: FloatPattern>(
        _ patterns: UnsafePointer<Pattern>, _ count: Int, _ exponent: Int, into sink: inout ByteSink, scratch: inout ColumnScratch
    ) -> Bool {
        let power = Decimal.power(exponent)
        let lanes = scratch.lanes.reserve(count)
        let exceptionsMax = count / 8
        let places = scratch.places.reserve(exceptionsMax &+ 1)
        let outside = scratch.patterns.reserve(exceptionsMax &+ 1)
        var exceptions = 0
        for row in 0..<count {
            let digits = Decimal.digits(patterns[row].number, power)
            lanes[row] = digits
            if Decimal.pattern(digits, power) == patterns[row] { continue }
            guard exceptions < exceptionsMax else { return false }
            lanes[row] = row > 0 ? lanes[row &- 1] : 0
            places[exceptions] = Int64(truncatingIfNeeded: row)
            outside[exceptions] = patterns[row].ordered
            exceptions &+= 1
        }
        sink.append(ColumnFormat.decimal)
        sink.append(UInt8(truncatingIfNeeded: exponent))
        sink.append(uvarint: UInt64(exceptions))
        if exceptions > 0 {
            sink.appendCounted { IntegerEncoder.encode(places, count: exceptions, into: &$0, scratch: &scratch) }
            sink.appendCounted { IntegerEncoder.encode(outside, count: exceptions, into: &$0, scratch: &scratch) }
        }
        IntegerEncoder.encode(lanes, count: count, into: &sink, scratch: &scratch)
        return true
    }
}

/// Decodes float columns out of any bytes.
enum FloatDecoder {
    @inline(__always)
    static func decode<Pattern: FloatPattern>(
        _ source: consuming ByteSource, into patterns: UnsafeMutablePointer<Pattern>, count: Int, scratch: inout ColumnScratch
    ) throws(ColumnError) {
        let lanes = scratch.lanes.reserve(count)
        let encoding = try source.byte()
        switch encoding {
        case ColumnFormat.orderedPatterns:
            try IntegerDecoder.decode(source.rest(), into: lanes, count: count, scratch: &scratch)
            for row in 0..<count { patterns[row] = Pattern(ordered: lanes[row]) }
        case ColumnFormat.decimal:
            let exponent = try source.byte()
            guard exponent <= ColumnFormat.exponentMax else { throw .damaged }
            let power = Decimal.power(Int(exponent))
            let exceptions = try source.uvarint()
            guard exceptions <= UInt64(count) else { throw .damaged }
            let exceptionCount = Int(exceptions)
            let places = scratch.places.reserve(exceptionCount)
            let outside = scratch.patterns.reserve(exceptionCount)
            if exceptionCount > 0 {
                try IntegerDecoder.decode(try source.counted(), into: places, count: exceptionCount, scratch: &scratch)
                try IntegerDecoder.decode(try source.counted(), into: outside, count: exceptionCount, scratch: &scratch)
            }
            try IntegerDecoder.decode(source.rest(), into: lanes, count: count, scratch: &scratch)
            for row in 0..<count { patterns[row] = Decimal.pattern(lanes[row], power) }
            var before: Int64 = -1
            for exception in 0..<exceptionCount {
                let place = places[exception]
                guard place > before, place < Int64(count) else { throw .damaged }
                before = place
                patterns[Int(place)] = Pattern(ordered: outside[exception])
            }
        default: throw .unknownEncoding(encoding)
        }
    }
}
