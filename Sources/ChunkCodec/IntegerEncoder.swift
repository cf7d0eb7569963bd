extension ColumnCodec {
    /// Appends a column of integers to `bytes`; unsigned ones as their bit patterns, booleans as 0 and 1.
    ///
    /// At most ``rowsMax`` rows. No rows, no bytes.
    package static func encode(integers values: UnsafeBufferPointer<Int64>, into bytes: inout [UInt8], scratch: inout ColumnScratch) {
        guard let start = values.baseAddress, values.count > 0 else { return }
        precondition(values.count <= rowsMax)
        var sink = ByteSink(next: scratch.output.reserve(outputBytesMax(rows: values.count)))
        IntegerEncoder.encode(start, count: values.count, into: &sink, scratch: &scratch)
        append(sink, to: &bytes, scratch: &scratch)
    }

    /// Appends what was written from the start of the scratch output.
    static func append(_ sink: ByteSink, to bytes: inout [UInt8], scratch: inout ColumnScratch) {
        let start = UnsafeMutableRawPointer(scratch.output.reserve(0))
        bytes.append(contentsOf: UnsafeRawBufferPointer(start: start, count: sink.next - start))
    }

    /// More bytes than a column of `rows` numbers can take, whatever the encoder chooses.
    static func outputBytesMax(rows: Int) -> Int { 16 * rows + 24 * (rows / ColumnFormat.blockRows + 1) + 1024 }
}

/// Encodes integer columns: looks at samples, decides, writes.
enum IntegerEncoder {
    /// Blocks of a column whose plans stand for all.
    private static let sampledBlocks = 4
    /// Bits that the counts around an inner column take, about.
    private static let innerColumnBits = 80
    /// Rows whose differences show a common divisor, if there is one.
    private static let divisorProbes = 16
    /// Lanes of a block rounded up to whole groups, and of its exceptions.
    private static let blockLanes = 2 * ColumnFormat.blockRows + 8

    /// Writes a column of at least one row. An `inner` one, of runs or a dictionary, is constant or packed.
    static func encode(
        _ values: UnsafePointer<Int64>, count: Int, inner: Bool = false, into sink: inout ByteSink, scratch: inout ColumnScratch
    ) {
        let (valueRuns, deltaRuns) = runs(values, count)
        if valueRuns == 1 {
            sink.append(Layout.constant.rawValue)
            sink.append(svarint: values[0])
            return
        }
        if deltaRuns == 1 {
            sink.append(encoding(.delta, .constant))
            sink.append(svarint: values[0])
            sink.append(svarint: values[1] &- values[0])
            return
        }
        var values = values
        var flag: UInt8 = 0
        var divisor: UInt64 = 1
        let offset = values[0]
        if !inner {
            divisor = takeDivisor(&values, count, changes: min(valueRuns, deltaRuns), scratch: &scratch)
            if divisor > 1 { flag = ColumnFormat.divisorFlag }
        }
        let block = scratch.block.reserve(blockLanes)
        let slope = slope(values, count)
        let (prediction, bits) = prediction(values, count, slope, block)

        var choice = (layout: Layout.packed, prediction: prediction, bits: bits)
        var entries = 0
        if !inner {
            let asValues = runBits(valueRuns, of: count, bits: bits)
            if asValues < choice.bits { choice = (.runs, .none, asValues) }
            let asDeltas = runBits(deltaRuns, of: count, bits: bits)
            if asDeltas < choice.bits { choice = (.runs, .delta, asDeltas) }
            if bits >= 2 &* count && count >= 16 {
                entries = dictionary(values, count, bits: choice.bits, scratch: &scratch)
                if entries > 0 { choice = (.dictionary, .none, 0) }
            }
        }

        sink.append(flag | encoding(choice.prediction, choice.layout))
        if divisor > 1 {
            sink.append(uvarint: divisor)
            sink.append(svarint: offset)
        }
        appendHeads(values, choice.prediction, slope, to: &sink)
        switch choice.layout {
        case .constant, .packed: packed(values, count, choice.prediction, slope, block, into: &sink)
        case .runs: appendRuns(values, count, choice.prediction, into: &sink, scratch: &scratch)
        case .dictionary: appendDictionary(count, entries, into: &sink, scratch: &scratch)
        }
    }

    @inline(__always)
    private static func encoding(_ prediction: Prediction, _ layout: Layout) -> UInt8 { prediction.rawValue &<< 4 | layout.rawValue }

    /// How often the value, and how often the difference, changes from row to row, each plus one.
    private static func runs(_ values: UnsafePointer<Int64>, _ count: Int) -> (values: Int, deltas: Int) {
        guard count > 1 else { return (1, 1) }
        var delta = values[1] &- values[0]
        var valueRuns = 1 &+ isNotZero(delta)
        var deltaRuns = 1
        var index = 2
        while index < count {
            let next = values[index] &- values[index &- 1]
            valueRuns &+= isNotZero(next)
            deltaRuns &+= isNotZero(next ^ delta)
            delta = next
            index &+= 1
        }
        return (valueRuns, deltaRuns)
    }

    /// 1 or 0, without a branch: changes come at random.
    @inline(__always)
    private static func isNotZero(_ value: Int64) -> Int {
        Int(truncatingIfNeeded: UInt64(bitPattern: value | (0 &- value)) &>> 63)
    }

    /// Bits of a column as runs, about; a run's value takes what it would take packed.
    private static func runBits(_ runs: Int, of count: Int, bits: Int) -> Int {
        guard runs <= count / 2 else { return .max }
        let lengthBits = ColumnFormat.width(of: UInt64(2 &* count / runs))
        return runs &* (lengthBits &+ bits / count &+ 1) &+ innerColumnBits
    }

    /// Rise per row from the first to the last, in 1/256; 0 where it cannot be had without overflow.
    private static func slope(_ values: UnsafePointer<Int64>, _ count: Int) -> Int64 {
        let (rise, overflow) = values[count &- 1].subtractingReportingOverflow(values[0])
        let limit: Int64 = 1 &<< (62 &- ColumnFormat.slopeFraction)
        guard !overflow, rise > -limit, rise < limit, count > 1 else { return 0 }
        return (rise &<< ColumnFormat.slopeFraction) / Int64(count &- 1)
    }

    /// The prediction that makes the sampled blocks smallest, and the column's bits with it, about.
    private static func prediction(
        _ values: UnsafePointer<Int64>, _ count: Int, _ slope: Int64, _ block: UnsafeMutablePointer<Int64>
    ) -> (Prediction, bits: Int) {
        var best = (Prediction.none, bits: Int.max)
        for number in UInt8(0)...3 {
            guard let prediction = Prediction(rawValue: number), count > 2 || prediction == .none else { continue }
            if prediction == .line && slope == 0 { continue }
            let residualCount = count &- prediction.headCount
            let blocks = (residualCount &+ ColumnFormat.blockRows &- 1) / ColumnFormat.blockRows
            let samples = min(blocks, sampledBlocks)
            var bits = 0
            var rows = 0
            for sample in 0..<samples {
                let start = sample &* blocks / samples &* ColumnFormat.blockRows
                let blockCount = min(ColumnFormat.blockRows, residualCount &- start)
                residuals(values, from: start, count: blockCount, prediction, slope, into: block)
                bits &+= BlockPlan(block, count: blockCount).bits
                rows &+= blockCount
            }
            bits = bits &* residualCount / rows &+ headBytes(values, prediction, slope) &* 8
            if bits < best.bits { best = (prediction, bits) }
        }
        return best
    }

    private static func headBytes(_ values: UnsafePointer<Int64>, _ prediction: Prediction, _ slope: Int64) -> Int {
        let first = ColumnFormat.uvarintBytes(ColumnFormat.zigzag(values[0]))
        switch prediction {
        case .none: return 0
        case .delta: return first
        case .deltaOfDelta: return first &+ ColumnFormat.uvarintBytes(ColumnFormat.zigzag(values[1] &- values[0]))
        case .line: return ColumnFormat.uvarintBytes(ColumnFormat.zigzag(slope))
        }
    }

    private static func appendHeads(_ values: UnsafePointer<Int64>, _ prediction: Prediction, _ slope: Int64, to sink: inout ByteSink) {
        switch prediction {
        case .none: break
        case .delta: sink.append(svarint: values[0])
        case .deltaOfDelta:
            sink.append(svarint: values[0])
            sink.append(svarint: values[1] &- values[0])
        case .line: sink.append(svarint: slope)
        }
    }

    /// Writes `count` residuals from the one with number `start` on; `start` is the first of a block.
    @inline(__always)
    private static func residuals(
        _ values: UnsafePointer<Int64>, from start: Int, count: Int, _ prediction: Prediction, _ slope: Int64,
        into block: UnsafeMutablePointer<Int64>
    ) {
        let values = values + start
        switch prediction {
        case .none: block.update(from: values, count: count)
        case .delta: for index in 0..<count { block[index] = values[index &+ 1] &- values[index] }
        case .deltaOfDelta:
            for index in 0..<count { block[index] = values[index &+ 2] &- 2 &* values[index &+ 1] &+ values[index] }
        case .line:
            for index in 0..<count { block[index] = values[index] &- (Int64(index) &* slope) &>> ColumnFormat.slopeFraction }
        }
    }

    /// The packed layout of all residuals.
    private static func packed(
        _ values: UnsafePointer<Int64>, _ count: Int, _ prediction: Prediction, _ slope: Int64,
        _ block: UnsafeMutablePointer<Int64>, into sink: inout ByteSink
    ) {
        let residualCount = count &- prediction.headCount
        var previousBase: Int64 = 0
        var start = 0
        while start < residualCount {
            let blockCount = min(ColumnFormat.blockRows, residualCount &- start)
            residuals(values, from: start, count: blockCount, prediction, slope, into: block)
            let plan = BlockPlan(block, count: blockCount)
            appendBlock(block, blockCount, plan, after: previousBase, into: &sink)
            previousBase = plan.base
            start &+= blockCount
        }
    }

    /// One block, whose residuals are overwritten where they are exceptions.
    @inline(__always)
    private static func appendBlock(
        _ block: UnsafeMutablePointer<Int64>, _ count: Int, _ plan: BlockPlan, after previousBase: Int64, into sink: inout ByteSink
    ) {
        let head = sink.next
        sink.append(UInt8(truncatingIfNeeded: plan.width))
        sink.append(svarint: plan.base &- previousBase)
        if plan.exceptionCount > 0 { appendExceptions(block, count, plan, head, into: &sink) }
        for index in count..<(count &+ 7) & ~7 { block[index] = plan.base }
        BitPacking.pack(block, count: count, base: plan.base, width: plan.width, into: sink.next)
        sink.next += BitPacking.bytes(count, width: plan.width)
    }

    /// Places and values of what does not fit; `head` is where the block's width was written. Behind the block there is room for as many.
    private static func appendExceptions(
        _ block: UnsafeMutablePointer<Int64>, _ count: Int, _ plan: BlockPlan, _ head: UnsafeMutableRawPointer, into sink: inout ByteSink
    ) {
        let outside = block + ColumnFormat.blockRows + 8
        let countPlace = sink.next
        var found = 0
        sink.next += 1
        for index in 0..<count {
            let difference = block[index] &- plan.base
            if UInt64(bitPattern: difference) &>> UInt64(truncatingIfNeeded: plan.width) == 0 { continue }
            sink.append(UInt8(truncatingIfNeeded: index))
            outside[found] = difference
            block[index] = plan.base
            found &+= 1
        }
        // A frame that was moved to the lowest residual may hold them all.
        if found == 0 {
            sink.next = countPlace
            return
        }
        countPlace.storeBytes(of: UInt8(truncatingIfNeeded: found), as: UInt8.self)
        head.storeBytes(of: UInt8(truncatingIfNeeded: plan.width) | ColumnFormat.exceptionFlag, as: UInt8.self)
        for index in 0..<found { sink.append(svarint: outside[index]) }
    }

    /// The runs of values or of differences, as two columns.
    private static func appendRuns(
        _ values: UnsafePointer<Int64>, _ count: Int, _ prediction: Prediction, into sink: inout ByteSink, scratch: inout ColumnScratch
    ) {
        let residualCount = count &- prediction.headCount
        let runValues = scratch.values.reserve(residualCount)
        let runLengths = scratch.lengths.reserve(residualCount)
        let isDelta = prediction == .delta
        var runs = 0
        var start = 0
        var current = isDelta ? values[1] &- values[0] : values[0]
        for index in 1..<max(residualCount, 1) {
            let residual = isDelta ? values[index &+ 1] &- values[index] : values[index]
            if residual == current { continue }
            runValues[runs] = current
            runLengths[runs] = Int64(index &- start &- 1)
            runs &+= 1
            start = index
            current = residual
        }
        runValues[runs] = current
        runLengths[runs] = Int64(residualCount &- start &- 1)
        runs &+= 1
        sink.append(uvarint: UInt64(runs))
        sink.appendCounted { encode(runValues, count: runs, inner: true, into: &$0, scratch: &scratch) }
        encode(runLengths, count: runs, inner: true, into: &sink, scratch: &scratch)
    }

    /// Collects the distinct values and their indices into the scratch, as long as that promises less than `bits`. Returns how many, or 0.
    private static func dictionary(_ values: UnsafePointer<Int64>, _ count: Int, bits: Int, scratch: inout ColumnScratch) -> Int {
        let bitsPerRow = bits / count
        guard bitsPerRow >= 1 else { return 0 }
        // With more entries than that an index is as wide as what it stands for.
        let most = min(ColumnFormat.dictionaryMax, 1 &<< min(bitsPerRow &- 1, 8))
        // A quarter full at most, and no larger than needed, as it is cleared each time.
        let tableBits = ColumnFormat.width(of: UInt64(most)) &+ 1
        let tablePlaces = 1 &<< tableBits
        let table = scratch.table.reserve(tablePlaces)
        table.update(repeating: 0, count: tablePlaces)
        let entries = scratch.values.reserve(ColumnFormat.dictionaryMax)
        let indices = scratch.lengths.reserve(count)
        var found = 0
        for row in 0..<count {
            let value = values[row]
            let hash = UInt64(bitPattern: value) &* 0x9E37_79B9_7F4A_7C15
            var place = Int(truncatingIfNeeded: hash &>> UInt64(truncatingIfNeeded: 64 &- tableBits))
            while true {
                let entry = Int(truncatingIfNeeded: table[place])
                if entry == 0 {
                    guard found < most else { return 0 }
                    entries[found] = value
                    indices[row] = Int64(truncatingIfNeeded: found)
                    found &+= 1
                    table[place] = UInt32(truncatingIfNeeded: found)
                    break
                }
                if entries[entry &- 1] == value {
                    indices[row] = Int64(truncatingIfNeeded: entry &- 1)
                    break
                }
                place = (place &+ 1) & (tablePlaces &- 1)
            }
        }
        let cost = count &* ColumnFormat.width(of: UInt64(found &- 1)) &+ found &* (bitsPerRow &+ 1) &+ innerColumnBits
        return cost < bits ? found : 0
    }

    private static func appendDictionary(_ count: Int, _ entries: Int, into sink: inout ByteSink, scratch: inout ColumnScratch) {
        let values = scratch.values.reserve(entries)
        let indices = scratch.lengths.reserve(count)
        sink.append(UInt8(truncatingIfNeeded: entries &- 1))
        sink.appendCounted { encode(values, count: entries, inner: true, into: &$0, scratch: &scratch) }
        packed(indices, count, .none, 0, scratch.block.reserve(blockLanes), into: &sink)
    }

    /// Replaces `values` by their multiples of a common divisor from the first of them on, if that pays. Returns the divisor, or 1.
    private static func takeDivisor(
        _ values: inout UnsafePointer<Int64>, _ count: Int, changes: Int, scratch: inout ColumnScratch
    ) -> UInt64 {
        guard count >= 4 else { return 1 }
        let first = values[0]
        var divisor: UInt64 = 0
        let step = max(1, count / divisorProbes)
        var row = step
        while row < count {
            divisor = greatestCommonDivisor(divisor, (values[row] &- first).magnitude)
            if divisor == 1 { return 1 }
            row &+= step
        }
        let quotients = scratch.quotients.reserve(count)
        row = 0
        while row < count {
            guard divisor > 1, divisor < 1 &<< 62 else { return 1 }
            let signed = Int64(bitPattern: divisor)
            row = 0
            while row < count {
                let difference = values[row] &- first
                let quotient = difference / signed
                quotients[row] = quotient
                if quotient &* signed != difference {
                    divisor = greatestCommonDivisor(divisor, difference.magnitude)
                    break
                }
                row &+= 1
            }
        }
        let saved = changes &* (ColumnFormat.width(of: divisor) &- 1)
        let head = ColumnFormat.uvarintBytes(divisor) &+ ColumnFormat.uvarintBytes(ColumnFormat.zigzag(first))
        guard saved > head &* 8 else { return 1 }
        values = UnsafePointer(quotients)
        return divisor
    }

    private static func greatestCommonDivisor(_ one: UInt64, _ other: UInt64) -> UInt64 {
        var (larger, smaller) = (one, other)
        while smaller != 0 { (larger, smaller) = (smaller, larger % smaller) }
        return larger
    }
}
