/// Where a row's text lies.
package struct TextRange: Hashable, Sendable, BitwiseCopyable {
    /// Bytes before it.
    package var offset: UInt32
    /// Its bytes.
    package var count: UInt32

    package init(offset: UInt32, count: UInt32) {
        self.offset = offset
        self.count = count
    }
}

extension ColumnCodec {
    /// Appends a column of texts to `bytes`: row by row, `ranges` says where in `texts` each lies.
    ///
    /// At most ``rowsMax`` rows, whose distinct texts have at most ``textBytesMax`` bytes.
    package static func encode(
        texts: UnsafeRawBufferPointer, ranges: UnsafeBufferPointer<TextRange>, into bytes: inout [UInt8], scratch: inout ColumnScratch
    ) {
        guard ranges.count > 0 else { return }
        precondition(ranges.count <= rowsMax)
        precondition(ranges.allSatisfy { Int($0.offset) + Int($0.count) <= texts.count })
        let rows = ranges.count
        let distinct = TextEncoder.distinct(texts, ranges, scratch: &scratch)
        let lengths = scratch.patterns.reserve(rows)
        let indices = scratch.lanes.reserve(rows)
        let firstRows = scratch.places.reserve(rows)
        var total = 0
        for entry in 0..<distinct { total += Int(lengths[entry]) }
        precondition(total <= textBytesMax)
        var sink = ByteSink(next: scratch.output.reserve(2 * outputBytesMax(rows: rows)))
        sink.append(ColumnFormat.distinctTexts)
        sink.append(uvarint: UInt64(distinct))
        sink.appendCounted { IntegerEncoder.encode(lengths, count: distinct, into: &$0, scratch: &scratch) }
        sink.appendCounted { IntegerEncoder.encode(indices, count: rows, into: &$0, scratch: &scratch) }
        append(sink, to: &bytes, scratch: &scratch)
        bytes.reserveCapacity(bytes.count + total)
        for entry in 0..<distinct { bytes.append(contentsOf: texts[ranges[Int(firstRows[entry])]]) }
    }

    /// Decodes a column of as many texts as `ranges` has room for: where in `bytes` each row's text lies.
    package static func decode(
        texts bytes: UnsafeRawBufferPointer, into ranges: UnsafeMutableBufferPointer<TextRange>, scratch: inout ColumnScratch
    ) throws(ColumnError) {
        let rows = ranges.count
        guard var source = try source(bytes, rows: rows) else { return }
        let encoding = try source.byte()
        guard encoding == ColumnFormat.distinctTexts else { throw .unknownEncoding(encoding) }
        guard bytes.count <= Int(UInt32.max) else { throw .damaged }
        let distinct = try source.count(upTo: rows)
        let lengths = scratch.patterns.reserve(distinct)
        let offsets = scratch.places.reserve(distinct)
        let indices = scratch.lanes.reserve(rows)
        try IntegerDecoder.decode(try source.counted(), into: lengths, count: distinct, scratch: &scratch)
        try IntegerDecoder.decode(try source.counted(), into: indices, count: rows, scratch: &scratch)
        guard source.remaining <= textBytesMax else { throw .damaged }
        var offset = bytes.count - source.remaining
        for entry in 0..<distinct {
            guard lengths[entry] >= 0, lengths[entry] <= Int64(bytes.count - offset) else { throw .damaged }
            offsets[entry] = Int64(offset)
            offset += Int(lengths[entry])
        }
        guard offset == bytes.count else { throw .damaged }
        for row in 0..<rows {
            let index = indices[row]
            guard index >= 0, index < Int64(distinct) else { throw .damaged }
            // Both are below the number of the column's bytes.
            ranges[row] = TextRange(
                offset: UInt32(truncatingIfNeeded: offsets[Int(index)]), count: UInt32(truncatingIfNeeded: lengths[Int(index)]))
        }
    }
}

extension UnsafeRawBufferPointer {
    /// A row's bytes.
    subscript(range: TextRange) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: self[Int(range.offset)..<Int(range.offset) + Int(range.count)])
    }
}

/// Finds the distinct texts of a column.
enum TextEncoder {
    /// Places that are looked at for a text before it counts as new. Texts may come twice in a dictionary; ones that were chosen to
    /// collide shall not cost more than that.
    private static let probesMax = 64

    /// Fills the scratch: the lengths of the distinct texts (`patterns`), the first row of each (`places`), the index of each row's text
    /// (`lanes`). Returns how many there are.
    static func distinct(_ texts: UnsafeRawBufferPointer, _ ranges: UnsafeBufferPointer<TextRange>, scratch: inout ColumnScratch) -> Int {
        let rows = ranges.count
        let lengths = scratch.patterns.reserve(rows)
        let indices = scratch.lanes.reserve(rows)
        let firstRows = scratch.places.reserve(rows)
        var tablePlaces = 64
        while tablePlaces < 2 * rows { tablePlaces *= 2 }
        let table = scratch.table.reserve(tablePlaces)
        table.update(repeating: 0, count: tablePlaces)
        var found = 0
        for row in 0..<rows {
            let range = ranges[row]
            // Texts seldom change: the row before is the likeliest place.
            if row > 0 && isSame(texts[range], texts[ranges[row - 1]]) {
                indices[row] = indices[row - 1]
                continue
            }
            let text = texts[range]
            var place = hash(text) & (tablePlaces - 1)
            var probes = 0
            var index = found
            while table[place] != 0 && probes < probesMax {
                let entry = Int(table[place]) - 1
                if isSame(text, texts[ranges[Int(firstRows[entry])]]) {
                    index = entry
                    break
                }
                place = (place + 1) & (tablePlaces - 1)
                probes += 1
            }
            if index == found {
                lengths[found] = Int64(range.count)
                firstRows[found] = Int64(row)
                found += 1
                if table[place] == 0 { table[place] = UInt32(found) }
            }
            indices[row] = Int64(index)
        }
        return found
    }

    private static func isSame(_ one: UnsafeRawBufferPointer, _ other: UnsafeRawBufferPointer) -> Bool {
        guard one.count == other.count else { return false }
        for index in 0..<one.count where one[index] != other[index] { return false }
        return true
    }

    /// FNV-1a (G. Fowler, L. C. Noll, K.-P. Vo, draft-eastlake-fnv), with the high bits folded in.
    private static func hash(_ text: UnsafeRawBufferPointer) -> Int {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in text { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
        return Int(truncatingIfNeeded: (hash ^ (hash &>> 32)) & 0x7FFF_FFFF)
    }
}
