import ChunkCodec
import TestKit
import Testing

/// A column of any kind.
enum Column: Hashable {
    case integers([Int64])
    case float64([UInt64])
    case float32([UInt32])
    case texts([[UInt8]])

    var count: Int {
        switch self {
        case .integers(let values): values.count
        case .float64(let patterns): patterns.count
        case .float32(let patterns): patterns.count
        case .texts(let texts): texts.count
        }
    }

    func prefix(_ count: Int) -> Column {
        switch self {
        case .integers(let values): .integers(Array(values.prefix(count)))
        case .float64(let patterns): .float64(Array(patterns.prefix(count)))
        case .float32(let patterns): .float32(Array(patterns.prefix(count)))
        case .texts(let texts): .texts(Array(texts.prefix(count)))
        }
    }

    /// The column's kind without rows: what a decoder is asked for.
    var kind: Kind {
        switch self {
        case .integers: .integers
        case .float64: .float64
        case .float32: .float32
        case .texts: .texts
        }
    }

    enum Kind: String, CaseIterable {
        case integers
        case float64
        case float32
        case texts
    }

    func encoded(_ scratch: inout ColumnScratch) -> [UInt8] {
        var bytes: [UInt8] = []
        switch self {
        case .integers(let values):
            values.withUnsafeBufferPointer { ColumnCodec.encode(integers: $0, into: &bytes, scratch: &scratch) }
        case .float64(let patterns):
            patterns.withUnsafeBufferPointer { ColumnCodec.encode(float64: $0, into: &bytes, scratch: &scratch) }
        case .float32(let patterns):
            patterns.withUnsafeBufferPointer { ColumnCodec.encode(float32: $0, into: &bytes, scratch: &scratch) }
        case .texts(let texts):
            var ranges: [TextRange] = []
            var all: [UInt8] = []
            for text in texts {
                ranges.append(TextRange(offset: UInt32(all.count), count: UInt32(text.count)))
                all += text
            }
            all.withUnsafeBytes { all in
                ranges.withUnsafeBufferPointer { ColumnCodec.encode(texts: all, ranges: $0, into: &bytes, scratch: &scratch) }
            }
        }
        return bytes
    }

    func encoded() -> [UInt8] {
        var scratch = ColumnScratch()
        return encoded(&scratch)
    }

    /// Decodes `bytes` out of memory that ends with them.
    init(_ kind: Kind, rows: Int, from bytes: [UInt8], _ scratch: inout ColumnScratch) throws(ColumnError) {
        // A copy of its own, so that a sanitizer sees every byte that is read behind the end.
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
        defer { memory.deallocate() }
        memory.copyBytes(from: bytes)
        let source = UnsafeRawBufferPointer(memory)
        switch kind {
        case .integers:
            let values = UnsafeMutableBufferPointer<Int64>.allocate(capacity: rows)
            defer { values.deallocate() }
            values.initialize(repeating: 0x5A5A)
            try ColumnCodec.decode(integers: source, into: values, scratch: &scratch)
            self = .integers(Array(values))
        case .float64:
            let patterns = UnsafeMutableBufferPointer<UInt64>.allocate(capacity: rows)
            defer { patterns.deallocate() }
            patterns.initialize(repeating: 0x5A5A)
            try ColumnCodec.decode(float64: source, into: patterns, scratch: &scratch)
            self = .float64(Array(patterns))
        case .float32:
            let patterns = UnsafeMutableBufferPointer<UInt32>.allocate(capacity: rows)
            defer { patterns.deallocate() }
            patterns.initialize(repeating: 0x5A5A)
            try ColumnCodec.decode(float32: source, into: patterns, scratch: &scratch)
            self = .float32(Array(patterns))
        case .texts:
            let ranges = UnsafeMutableBufferPointer<TextRange>.allocate(capacity: rows)
            defer { ranges.deallocate() }
            ranges.initialize(repeating: TextRange(offset: 0, count: 0))
            try ColumnCodec.decode(texts: source, into: ranges, scratch: &scratch)
            self = .texts(ranges.map { Array(bytes[Int($0.offset)..<Int($0.offset) + Int($0.count)]) })
        }
    }

    init(_ kind: Kind, rows: Int, from bytes: [UInt8]) throws(ColumnError) {
        var scratch = ColumnScratch()
        try self.init(kind, rows: rows, from: bytes, &scratch)
    }
}

/// Encoding byte of a column that must have one.
func encodingByte(_ bytes: [UInt8]) -> UInt8 { bytes.first ?? 0 }
