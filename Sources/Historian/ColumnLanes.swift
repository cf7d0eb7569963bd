internal import ChunkCodec
internal import Telemetry

/// The values of one tag, moved between the slots of rows and a column: lanes for numbers, byte ranges for strings.
///
/// Memory that is used again for every column; one per thread of work.
struct ColumnLanes: ~Copyable {
    private var scratch = ColumnScratch()
    private var lanes: [Int64] = []
    private var words: [UInt32] = []
    private var longs: [UInt64] = []
    private var ranges: [TextRange] = []

    /// Appends a column of integers, its byte count before it.
    mutating func append(_ integers: [Int64], to bytes: inout [UInt8]) {
        framed(&bytes) { column, scratch in
            integers.withUnsafeBufferPointer { ColumnCodec.encode(integers: $0, into: &column, scratch: &scratch) }
        }
    }

    /// Appends a column of 64-bit floats, its byte count before it.
    mutating func append(_ floats: [Double], to bytes: inout [UInt8]) {
        longs.removeAll(keepingCapacity: true)
        longs.append(contentsOf: floats.lazy.map(\.bitPattern))
        let longs = longs
        framed(&bytes) { column, scratch in
            longs.withUnsafeBufferPointer { ColumnCodec.encode(float64: $0, into: &column, scratch: &scratch) }
        }
    }

    private var column: [UInt8] = []

    private mutating func framed(_ bytes: inout [UInt8], _ encode: (inout [UInt8], inout ColumnScratch) -> Void) {
        column.removeAll(keepingCapacity: true)
        encode(&column, &scratch)
        bytes.append(uvarint: UInt64(column.count))
        bytes.append(contentsOf: column)
    }

    // MARK: - Slots to columns

    /// Appends the column of one tag, its byte count before it.
    ///
    /// `slots` holds rows of `stride` bytes; `rows` are those that the column has, `nil` for all of `count`.
    mutating func append(
        _ tag: Tag, at offset: Int, of slots: UnsafeRawBufferPointer, stride: Int, count: Int, rows: [Int32]?, to bytes: inout [UInt8]
    ) {
        let total = rows?.count ?? count
        column.removeAll(keepingCapacity: true)
        switch tag.dataType {
        case .string:
            ranges.removeAll(keepingCapacity: true)
            for index in 0..<total {
                let start = (rows.map { Int($0[index]) } ?? index) * stride + offset
                // A slot is kept as it is, whatever its count says: zeros at its end cost nothing.
                ranges.append(TextRange(offset: UInt32(start), count: UInt32(ColumnLanes.textBytes(slots, at: start, tag.slotWidth))))
            }
            ranges.withUnsafeBufferPointer { ColumnCodec.encode(texts: slots, ranges: $0, into: &column, scratch: &scratch) }
        case .float32:
            ColumnLanes.gather(slots, offset, stride, total, rows, into: &words)
            words.withUnsafeBufferPointer { ColumnCodec.encode(float32: $0, into: &column, scratch: &scratch) }
        case .float64:
            ColumnLanes.gather(slots, offset, stride, total, rows, into: &longs)
            longs.withUnsafeBufferPointer { ColumnCodec.encode(float64: $0, into: &column, scratch: &scratch) }
        case .bool, .uint8: integers(UInt8.self, slots, offset, stride, total, rows)
        case .int8: integers(Int8.self, slots, offset, stride, total, rows)
        case .uint16: integers(UInt16.self, slots, offset, stride, total, rows)
        case .int16: integers(Int16.self, slots, offset, stride, total, rows)
        case .uint32: integers(UInt32.self, slots, offset, stride, total, rows)
        case .int32: integers(Int32.self, slots, offset, stride, total, rows)
        case .uint64, .int64: integers(Int64.self, slots, offset, stride, total, rows)
        }
        bytes.append(uvarint: UInt64(column.count))
        bytes.append(contentsOf: column)
    }

    /// Bytes of a string's slot without the zeros at its end, at least those of its count.
    private static func textBytes(_ slots: UnsafeRawBufferPointer, at start: Int, _ width: Int) -> Int {
        var count = width
        while count > 2, slots[start + count - 1] == 0 { count -= 1 }
        return count
    }

    private mutating func integers<Integer: FixedWidthInteger & BitwiseCopyable>(
        _: Integer.Type, _ slots: UnsafeRawBufferPointer, _ offset: Int, _ stride: Int, _ count: Int, _ rows: [Int32]?
    ) {
        lanes.resize(count)
        lanes.withUnsafeMutableBufferPointer { lanes in
            guard let lanes = lanes.baseAddress, let start = slots.baseAddress else { return }
            if let rows {
                for index in 0..<count {
                    let value = (start + (Int(rows[index]) &* stride &+ offset)).loadUnaligned(as: Integer.self)
                    lanes[index] = Int64(truncatingIfNeeded: Integer(littleEndian: value))
                }
            } else {
                var place = start + offset
                for index in 0..<count {
                    lanes[index] = Int64(truncatingIfNeeded: Integer(littleEndian: place.loadUnaligned(as: Integer.self)))
                    place += stride
                }
            }
        }
        lanes.withUnsafeBufferPointer { ColumnCodec.encode(integers: $0, into: &column, scratch: &scratch) }
    }

    private static func gather<Pattern: FixedWidthInteger & BitwiseCopyable>(
        _ slots: UnsafeRawBufferPointer, _ offset: Int, _ stride: Int, _ count: Int, _ rows: [Int32]?, into patterns: inout [Pattern]
    ) {
        patterns.resize(count)
        patterns.withUnsafeMutableBufferPointer { patterns in
            for index in 0..<count {
                patterns[index] = slots.littleEndian(Pattern.self, at: (rows.map { Int($0[index]) } ?? index) * stride + offset)
            }
        }
    }

    // MARK: - Columns to slots and values

    /// Decodes a column of `count` integers.
    mutating func integers(_ bytes: UnsafeRawBufferPointer, count: Int) -> [Int64]? {
        var values = [Int64](repeating: 0, count: count)
        let isWhole = values.withUnsafeMutableBufferPointer { values in
            (try? ColumnCodec.decode(integers: bytes, into: values, scratch: &scratch)) != nil
        }
        return isWhole ? values : nil
    }

    /// Decodes a column of `count` 64-bit floats.
    mutating func floats(_ bytes: UnsafeRawBufferPointer, count: Int) -> [Double]? {
        longs.resize(count)
        let isWhole = longs.withUnsafeMutableBufferPointer { values in
            (try? ColumnCodec.decode(float64: bytes, into: values, scratch: &scratch)) != nil
        }
        return isWhole ? longs.map { Double(bitPattern: $0) } : nil
    }

    /// Decodes a column into the slots of one tag; `false` for a column that is not of this shape.
    mutating func scatter(
        _ bytes: UnsafeRawBufferPointer, tag: Tag, at offset: Int, into slots: UnsafeMutableRawBufferPointer, stride: Int, count: Int,
        rows: [Int32]?
    ) -> Bool {
        let total = rows?.count ?? count
        func place(_ index: Int) -> Int { (rows.map { Int($0[index]) } ?? index) * stride + offset }
        switch tag.dataType {
        case .string:
            ranges = Array(repeating: TextRange(offset: 0, count: 0), count: total)
            let isWhole = ranges.withUnsafeMutableBufferPointer { ranges in
                (try? ColumnCodec.decode(texts: bytes, into: ranges, scratch: &scratch)) != nil
            }
            guard isWhole, ranges.allSatisfy({ Int($0.count) <= tag.slotWidth }) else { return false }
            for (index, range) in ranges.enumerated() {
                let start = place(index)
                UnsafeMutableRawBufferPointer(rebasing: slots[start..<(start + Int(range.count))])
                    .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[Int(range.offset)..<(Int(range.offset) + Int(range.count))]))
            }
            return true
        case .float32:
            words.resize(total)
            let isWhole = words.withUnsafeMutableBufferPointer { values in
                (try? ColumnCodec.decode(float32: bytes, into: values, scratch: &scratch)) != nil
            }
            guard isWhole else { return false }
            for index in 0..<total { slots.storeLittleEndian(words[index], at: place(index)) }
            return true
        case .float64:
            longs.resize(total)
            let isWhole = longs.withUnsafeMutableBufferPointer { values in
                (try? ColumnCodec.decode(float64: bytes, into: values, scratch: &scratch)) != nil
            }
            guard isWhole else { return false }
            for index in 0..<total { slots.storeLittleEndian(longs[index], at: place(index)) }
            return true
        default:
            lanes.resize(total)
            let isWhole = lanes.withUnsafeMutableBufferPointer { lanes in
                (try? ColumnCodec.decode(integers: bytes, into: lanes, scratch: &scratch)) != nil
            }
            guard isWhole else { return false }
            switch tag.slotWidth {
            case 1: store(UInt8.self, into: slots, offset, stride, total, rows)
            case 2: store(UInt16.self, into: slots, offset, stride, total, rows)
            case 4: store(UInt32.self, into: slots, offset, stride, total, rows)
            default: store(UInt64.self, into: slots, offset, stride, total, rows)
            }
            return true
        }
    }

    private func store<Integer: FixedWidthInteger & BitwiseCopyable>(
        _: Integer.Type, into slots: UnsafeMutableRawBufferPointer, _ offset: Int, _ stride: Int, _ count: Int, _ rows: [Int32]?
    ) {
        lanes.withUnsafeBufferPointer { lanes in
            guard let start = slots.baseAddress else { return }
            for index in 0..<count {
                let row = rows.map { Int($0[index]) } ?? index
                (start + (row &* stride &+ offset)).storeBytes(of: Integer(truncatingIfNeeded: lanes[index]).littleEndian, as: Integer.self)
            }
        }
    }

    /// Decodes a column of texts; what is not UTF-8 is mended.
    mutating func texts(_ bytes: UnsafeRawBufferPointer, count: Int, capacity: Int) -> [String]? {
        ranges = Array(repeating: TextRange(offset: 0, count: 0), count: count)
        let isWhole = ranges.withUnsafeMutableBufferPointer { ranges in
            (try? ColumnCodec.decode(texts: bytes, into: ranges, scratch: &scratch)) != nil
        }
        guard isWhole else { return nil }
        return ranges.map { range in
            let slot = bytes[Int(range.offset)..<(Int(range.offset) + Int(range.count))]
            guard slot.count >= 2 else { return "" }
            let length = min(capacity, Int(UnsafeRawBufferPointer(rebasing: slot).littleEndian(UInt16.self, at: 0)))
            let text = slot.dropFirst(2).prefix(length)
            // Zeros at the end of a slot are not in the column, even those that the count includes.
            if text.count < length {
                return String(decoding: Array(text) + [UInt8](repeating: 0, count: length - text.count), as: UTF8.self)
            }
            return String(decoding: text, as: UTF8.self)
        }
    }

    /// Decodes a column of 32-bit floats.
    mutating func floats32(_ bytes: UnsafeRawBufferPointer, count: Int) -> [Double]? {
        words.resize(count)
        let isWhole = words.withUnsafeMutableBufferPointer { values in
            (try? ColumnCodec.decode(float32: bytes, into: values, scratch: &scratch)) != nil
        }
        return isWhole ? words.map { Double(Float(bitPattern: $0)) } : nil
    }
}

extension Array where Element: FixedWidthInteger {
    /// Makes the array this long; what is new in it is zero.
    fileprivate mutating func resize(_ count: Int) {
        if self.count > count { removeLast(self.count - count) }
        if self.count < count { append(contentsOf: repeatElement(0, count: count - self.count)) }
    }
}
