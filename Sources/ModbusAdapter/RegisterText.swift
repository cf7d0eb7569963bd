internal import GatewayCore
internal import Telemetry

/// Text in registers, two bytes each.
struct RegisterText: Sendable, Equatable {
    /// How many bytes the text may have.
    let capacity: Int
    /// The low byte of each register comes first.
    let isSwapped: Bool
    let isASCII: Bool
    /// What pads the text at its end, beside NUL and space.
    let fill: UInt8?

    init(_ field: ReadField, capacity: Int) {
        self.capacity = min(capacity, field.count * 2)
        isSwapped = field.byteOrder.bytesSwapped
        if case .text(let isASCII, let fill) = field.encoding {
            self.isASCII = isASCII
            self.fill = fill
        } else {
            isASCII = false
            fill = nil
        }
    }

    /// Writes the text up to the first NUL, without what pads it, unless its bytes are not text.
    func decode(
        _ registers: UnsafeBufferPointer<UInt16>, at source: Int, into values: UnsafeMutableRawBufferPointer, at target: Int
    ) -> ValueFlaw.Kind? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(capacity)
        for index in 0..<capacity {
            let register = registers[source + index / 2]
            let byte = UInt8(truncatingIfNeeded: (index % 2 == 0) != isSwapped ? register >> 8 : register)
            if byte == 0 { break }
            bytes.append(byte)
        }
        while let last = bytes.last, last == UInt8(ascii: " ") || last == fill { bytes.removeLast() }
        if isASCII, bytes.contains(where: { $0 > 127 }) { return .notASCII }
        guard String(validating: bytes, as: UTF8.self) != nil else { return .notUTF8 }
        values.storeLittleEndian(UInt16(bytes.count), at: target)
        for (index, byte) in bytes.enumerated() { values[target + 2 + index] = byte }
        return nil
    }

    /// The registers that hold a text; `nil` if it does not fit.
    func registers(of text: String, count: Int) -> [UInt16]? {
        let bytes = Array(text.utf8)
        guard bytes.count <= capacity, !isASCII || bytes.allSatisfy({ $0 < 128 }) else { return nil }
        let padding = fill ?? 0
        return (0..<count).map { index in
            let first = UInt16(2 * index < bytes.count ? bytes[2 * index] : padding)
            let second = UInt16(2 * index + 1 < bytes.count ? bytes[2 * index + 1] : padding)
            return isSwapped ? second << 8 | first : first << 8 | second
        }
    }
}
