// Compiled in one module with the kernels. Input: golden columns, each as kind (u8), rows (u32), byte count (u32), bytes; little-endian.

/// Prints what the kernels make of the input and of generated columns.
@_cdecl("runner_main")
public func runnerMain() {
    var output = Output()
    output.line("crc32c 123456789", UInt64(crc(Array("123456789".utf8))))
    output.line(
        "crc32c by instruction 123456789", UInt64(~Array("123456789".utf8).withUnsafeBytes { csystem_crc32c(~0, $0.baseAddress, $0.count) })
    )
    golden(readAll(), &output)
    generated(&output)
    modbus(&output)
    output.flush()
}

/// Collects lines.
struct Output {
    private var bytes: [UInt8] = []

    mutating func line(_ label: StaticString, _ numbers: UInt64...) {
        label.withUTF8Buffer { bytes.append(contentsOf: $0) }
        for number in numbers {
            bytes.append(UInt8(ascii: " "))
            for shift in stride(from: 60, through: 0, by: -4) {
                let digit = UInt8(truncatingIfNeeded: number >> UInt64(shift) & 15)
                bytes.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
            }
        }
        bytes.append(UInt8(ascii: "\n"))
    }

    mutating func flush() {
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { bytes in
                let rest = UnsafeRawBufferPointer(rebasing: bytes[written...])
                return platform_write(rest.baseAddress, UInt(rest.count))
            }
            guard count > 0 else { return }
            written += Int(count)
        }
        bytes.removeAll()
    }
}

func readAll() -> [UInt8] {
    var all: [UInt8] = []
    var part = [UInt8](repeating: 0, count: 1 << 16)
    while true {
        let count = part.withUnsafeMutableBytes { platform_read($0.baseAddress, UInt($0.count)) }
        guard count > 0 else { return all }
        all.append(contentsOf: part[..<Int(count)])
    }
}

func crc(_ bytes: [UInt8]) -> UInt32 { bytes.withUnsafeBytes { CRC32C.checksum($0) } }

/// Decodes every golden column, encodes what came out, and prints the checksums of both.
func golden(_ input: [UInt8], _ output: inout Output) {
    func word(_ place: Int) -> Int { (0..<4).reduce(0) { $0 | Int(input[place + $1]) << ($1 * 8) } }
    var place = 0
    while place + 9 <= input.count {
        let (kind, rows, count) = (input[place], word(place + 1), word(place + 5))
        let bytes = Array(input[(place + 9)..<(place + 9 + count)])
        place += 9 + count
        column(kind, rows, bytes, &output)
    }
}

func column(_ kind: UInt8, _ rows: Int, _ bytes: [UInt8], _ output: inout Output) {
    var scratch = ColumnScratch()
    var again: [UInt8] = []
    var values: [UInt8] = []
    do throws(ColumnError) {
        switch kind {
        case 0:
            let lanes = UnsafeMutableBufferPointer<Int64>.allocate(capacity: rows)
            try ColumnCodec.decode(integers: view(bytes), into: lanes, scratch: &scratch)
            values.append(contentsOf: UnsafeRawBufferPointer(lanes))
            ColumnCodec.encode(integers: UnsafeBufferPointer(lanes), into: &again, scratch: &scratch)
        case 1:
            let lanes = UnsafeMutableBufferPointer<UInt64>.allocate(capacity: rows)
            try ColumnCodec.decode(float64: view(bytes), into: lanes, scratch: &scratch)
            values.append(contentsOf: UnsafeRawBufferPointer(lanes))
            ColumnCodec.encode(float64: UnsafeBufferPointer(lanes), into: &again, scratch: &scratch)
        case 2:
            let lanes = UnsafeMutableBufferPointer<UInt32>.allocate(capacity: rows)
            try ColumnCodec.decode(float32: view(bytes), into: lanes, scratch: &scratch)
            values.append(contentsOf: UnsafeRawBufferPointer(lanes))
            ColumnCodec.encode(float32: UnsafeBufferPointer(lanes), into: &again, scratch: &scratch)
        default:
            let ranges = UnsafeMutableBufferPointer<TextRange>.allocate(capacity: rows)
            try ColumnCodec.decode(texts: view(bytes), into: ranges, scratch: &scratch)
            values.append(contentsOf: UnsafeRawBufferPointer(ranges))
            ColumnCodec.encode(texts: view(bytes), ranges: UnsafeBufferPointer(ranges), into: &again, scratch: &scratch)
        }
        output.line("golden", UInt64(kind), UInt64(rows), UInt64(crc(bytes)), UInt64(crc(values)), UInt64(crc(again)))
        if crc(again) != crc(bytes) { output.line("other bytes") }
    } catch {
        switch error {
        case .damaged: output.line("refused damaged", UInt64(kind), UInt64(rows), UInt64(crc(bytes)))
        case .unknownEncoding(let byte): output.line("refused unknown", UInt64(kind), UInt64(rows), UInt64(byte))
        case .tooManyRows(let rows): output.line("refused rows", UInt64(kind), UInt64(rows))
        }
    }
}

/// A copy that stays.
func view(_ bytes: [UInt8]) -> UnsafeRawBufferPointer {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 8)
    memory.copyBytes(from: bytes)
    return UnsafeRawBufferPointer(memory)
}

/// SplitMix64 (G. L. Steele, D. Lea, C. H. Flood, OOPSLA 2014).
struct Generator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// Columns of every width, step and length, as integers and as floats: checksums of their bytes, after they came back as they went in.
func generated(_ output: inout Output) {
    var generator = Generator(state: 20_260)
    for width in UInt64(0)...64 {
        for rows in [1, 60, 300, 1000] {
            let mask = width == 0 ? 0 : ~UInt64(0) >> (64 - width)
            let step = generator.next() % 5 == 0 ? Int64(bitPattern: generator.next()) : Int64(bitPattern: generator.next() % 100)
            let factor = generator.next() % 4 == 0 ? Int64(1000) : 1
            var integers: [Int64] = []
            var doubles: [UInt64] = []
            var singles: [UInt32] = []
            for row in 0..<rows {
                let noise = Int64(bitPattern: generator.next() & mask)
                integers.append((Int64(row) &* step &+ noise) &* factor)
                doubles.append(width < 40 ? (Double(noise) / 100).bitPattern : UInt64(bitPattern: noise))
                singles.append(width < 20 ? (Float(noise) / 10).bitPattern : UInt32(truncatingIfNeeded: noise))
            }
            output.line("generated", width, UInt64(rows), roundTrip(integers), roundTrip(doubles), roundTrip(singles))
        }
    }
}

/// Checksum of a column's bytes; all ones where it does not come back.
func roundTrip(_ values: [Int64]) -> UInt64 {
    var scratch = ColumnScratch()
    var bytes: [UInt8] = []
    values.withUnsafeBufferPointer { ColumnCodec.encode(integers: $0, into: &bytes, scratch: &scratch) }
    let decoded = UnsafeMutableBufferPointer<Int64>.allocate(capacity: values.count)
    defer { decoded.deallocate() }
    guard (try? ColumnCodec.decode(integers: view(bytes), into: decoded, scratch: &scratch)) != nil else { return ~0 }
    for row in 0..<values.count where decoded[row] != values[row] { return ~0 }
    return UInt64(crc(bytes))
}

func roundTrip(_ values: [UInt64]) -> UInt64 {
    var scratch = ColumnScratch()
    var bytes: [UInt8] = []
    values.withUnsafeBufferPointer { ColumnCodec.encode(float64: $0, into: &bytes, scratch: &scratch) }
    let decoded = UnsafeMutableBufferPointer<UInt64>.allocate(capacity: values.count)
    defer { decoded.deallocate() }
    guard (try? ColumnCodec.decode(float64: view(bytes), into: decoded, scratch: &scratch)) != nil else { return ~0 }
    for row in 0..<values.count where decoded[row] != values[row] { return ~0 }
    return UInt64(crc(bytes))
}

func roundTrip(_ values: [UInt32]) -> UInt64 {
    var scratch = ColumnScratch()
    var bytes: [UInt8] = []
    values.withUnsafeBufferPointer { ColumnCodec.encode(float32: $0, into: &bytes, scratch: &scratch) }
    let decoded = UnsafeMutableBufferPointer<UInt32>.allocate(capacity: values.count)
    defer { decoded.deallocate() }
    guard (try? ColumnCodec.decode(float32: view(bytes), into: decoded, scratch: &scratch)) != nil else { return ~0 }
    for row in 0..<values.count where decoded[row] != values[row] { return ~0 }
    return UInt64(crc(bytes))
}
