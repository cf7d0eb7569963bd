extension ColumnCodec {
    /// Decodes a column of as many integers as `values` has room for; what is in there after an error means nothing.
    package static func decode(
        integers bytes: UnsafeRawBufferPointer, into values: UnsafeMutableBufferPointer<Int64>, scratch: inout ColumnScratch
    ) throws(ColumnError) {
        guard let start = values.baseAddress, let source = try source(bytes, rows: values.count) else { return }
        try IntegerDecoder.decode(source, into: start, count: values.count, scratch: &scratch)
    }

    /// A source for a column that has rows; `nil` for one that has neither rows nor bytes.
    static func source(_ bytes: UnsafeRawBufferPointer, rows: Int) throws(ColumnError) -> ByteSource? {
        guard rows <= rowsMax else { throw .tooManyRows(rows) }
        let source = ByteSource(bytes)
        guard (source == nil) == (rows == 0) else { throw .damaged }
        return source
    }
}

/// Decodes integer columns out of any bytes.
enum IntegerDecoder {
    /// Decodes `count` values, at least one, and expects the source to end with them. An `inner` column is constant or packed.
    static func decode(
        _ source: consuming ByteSource, into values: UnsafeMutablePointer<Int64>, count: Int, inner: Bool = false,
        scratch: inout ColumnScratch
    ) throws(ColumnError) {
        let encoding = try source.byte()
        guard let layout = Layout(rawValue: encoding & 0x0F), let prediction = Prediction(rawValue: encoding &>> 4 & 0x07),
            layout.allows(prediction)
        else { throw .unknownEncoding(encoding) }
        var divisor: UInt64 = 1
        var offset: Int64 = 0
        if encoding & ColumnFormat.divisorFlag != 0 {
            divisor = try source.uvarint()
            offset = try source.svarint()
            guard divisor > 1 else { throw .damaged }
        }
        let residualCount = count &- prediction.headCount
        guard residualCount >= 0 else { throw .damaged }
        var slope: Int64 = 0
        switch prediction {
        case .none: break
        case .delta: values[0] = try source.svarint()
        case .deltaOfDelta:
            values[0] = try source.svarint()
            values[1] = values[0] &+ (try source.svarint())
        case .line: slope = try source.svarint()
        }

        let residuals = values + prediction.headCount
        switch layout {
        case .constant:
            residuals.update(repeating: try source.svarint(), count: residualCount)
            if prediction == .delta { sum(residuals, residualCount) }
        case .packed: try packed(&source, into: residuals, residualCount, prediction, slope, scratch: &scratch)
        case .runs:
            guard !inner else { throw .damaged }
            try runs(&source, into: residuals, residualCount, scratch: &scratch)
            if prediction == .delta { sum(residuals, residualCount) }
        case .dictionary:
            guard !inner else { throw .damaged }
            try dictionary(&source, into: residuals, residualCount, scratch: &scratch)
        }
        try source.expectEnd()
        if divisor > 1 {
            let factor = Int64(bitPattern: divisor)
            for index in 0..<count { values[index] = offset &+ factor &* values[index] }
        }
    }

    /// Differences to values; the value before them is there.
    @inline(__always)
    private static func sum(_ residuals: UnsafeMutablePointer<Int64>, _ count: Int) {
        var value = residuals[-1]
        for index in 0..<count {
            value &+= residuals[index]
            residuals[index] = value
        }
    }

    /// Differences of differences to values; the two values before them are there.
    @inline(__always)
    private static func sumTwice(_ residuals: UnsafeMutablePointer<Int64>, _ count: Int) {
        var value = residuals[-1]
        var difference = value &- residuals[-2]
        for index in 0..<count {
            difference &+= residuals[index]
            value &+= difference
            residuals[index] = value
        }
    }

    private static func packed(
        _ source: inout ByteSource, into residuals: UnsafeMutablePointer<Int64>, _ count: Int, _ prediction: Prediction, _ slope: Int64,
        scratch: inout ColumnScratch
    ) throws(ColumnError) {
        var base: Int64 = 0
        var start = 0
        while start < count {
            let blockCount = min(ColumnFormat.blockRows, count &- start)
            let block = residuals + start
            try unpack(&source, into: block, blockCount, &base, scratch: &scratch)
            switch prediction {
            case .none: break
            case .delta: sum(block, blockCount)
            case .deltaOfDelta: sumTwice(block, blockCount)
            case .line:
                for index in 0..<blockCount { block[index] &+= (Int64(index) &* slope) &>> ColumnFormat.slopeFraction }
            }
            start &+= blockCount
        }
    }

    /// One block; `base` is that of the block before, then that of this one.
    @inline(__always)
    private static func unpack(
        _ source: inout ByteSource, into block: UnsafeMutablePointer<Int64>, _ count: Int, _ base: inout Int64,
        scratch: inout ColumnScratch
    ) throws(ColumnError) {
        let head = try source.byte()
        let width = Int(head & ~ColumnFormat.exceptionFlag)
        guard width <= 64 else { throw .damaged }
        base &+= try source.svarint()
        var exceptions: UnsafeRawPointer?
        var exceptionCount = 0
        var exceptionValues = source
        if head & ColumnFormat.exceptionFlag != 0 {
            exceptionCount = Int(try source.byte())
            guard exceptionCount > 0, exceptionCount <= count else { throw .damaged }
            exceptions = try source.take(exceptionCount)
            exceptionValues = source
            for _ in 0..<exceptionCount { _ = try source.uvarint() }
        }
        let byteCount = BitPacking.bytes(count, width: width)
        // Whole groups are read, so there have to be bytes behind the last offset, of whatever comes next.
        let isNearEnd = source.remaining < byteCount &+ BitPacking.slack
        let offsets = try source.take(byteCount)
        let unused = byteCount &* 8 &- count &* width
        if unused > 0 {
            guard (offsets + (byteCount &- 1)).load(as: UInt8.self) &>> UInt8(truncatingIfNeeded: 8 &- unused) == 0 else { throw .damaged }
        }
        let whole = count & ~7
        if isNearEnd {
            let tail = UnsafeMutableRawPointer(scratch.tail.reserve(ColumnFormat.blockRows * 8 + BitPacking.slack))
            tail.copyMemory(from: offsets, byteCount: byteCount)
            unpack(UnsafeRawPointer(tail), block, whole, count, base, width, scratch: &scratch)
        } else {
            unpack(offsets, block, whole, count, base, width, scratch: &scratch)
        }
        guard let exceptions else { return }
        var before = -1
        for number in 0..<exceptionCount {
            let place = Int((exceptions + number).load(as: UInt8.self))
            guard place > before, place < count else { throw .damaged }
            before = place
            block[place] = base &+ (try exceptionValues.svarint())
        }
    }

    /// Whole groups in place, the last part of one by way of the scratch, as there is no room behind the column.
    @inline(__always)
    private static func unpack(
        _ offsets: UnsafeRawPointer, _ block: UnsafeMutablePointer<Int64>, _ whole: Int, _ count: Int, _ base: Int64, _ width: Int,
        scratch: inout ColumnScratch
    ) {
        BitPacking.unpack(offsets, count: whole, base: base, width: width, into: block)
        guard whole < count else { return }
        let group = scratch.block.reserve(8)
        BitPacking.unpack(offsets + whole / 8 &* width, count: 8, base: base, width: width, into: group)
        (block + whole).update(from: group, count: count &- whole)
    }

    private static func runs(
        _ source: inout ByteSource, into residuals: UnsafeMutablePointer<Int64>, _ count: Int, scratch: inout ColumnScratch
    ) throws(ColumnError) {
        let runs = try source.count(upTo: count)
        let values = scratch.values.reserve(runs)
        let lengths = scratch.lengths.reserve(runs)
        try decode(try source.counted(), into: values, count: runs, inner: true, scratch: &scratch)
        try decode(source.rest(), into: lengths, count: runs, inner: true, scratch: &scratch)
        var row = 0
        for run in 0..<runs {
            guard lengths[run] >= 0, lengths[run] < Int64(count &- row) else { throw .damaged }
            let length = Int(lengths[run]) &+ 1
            let value = values[run]
            for index in row..<(row &+ length) { residuals[index] = value }
            row &+= length
        }
        guard row == count else { throw .damaged }
    }

    private static func dictionary(
        _ source: inout ByteSource, into residuals: UnsafeMutablePointer<Int64>, _ count: Int, scratch: inout ColumnScratch
    ) throws(ColumnError) {
        let entries = Int(try source.byte()) &+ 1
        let values = scratch.values.reserve(entries)
        try decode(try source.counted(), into: values, count: entries, inner: true, scratch: &scratch)
        try packed(&source, into: residuals, count, .none, 0, scratch: &scratch)
        var largest: UInt64 = 0
        for row in 0..<count { largest = max(largest, UInt64(bitPattern: residuals[row])) }
        guard largest < UInt64(entries) else { throw .damaged }
        for row in 0..<count { residuals[row] = values[Int(truncatingIfNeeded: residuals[row])] }
    }
}
