package import Telemetry

/// Why a value that a device gave is not to be believed, or only with doubt. Words are made of it only when somebody asks.
package struct ValueFlaw: Sendable, Hashable {
    package enum Kind: Sendable, Hashable {
        case notUTF8
        case notASCII
        /// A digit above 9; the value's bits.
        case notDecimal(UInt64, digits: Int)
        /// One of the marks of a missing value; the value's bits.
        case notAvailable(UInt64)
        /// A float that is NaN or infinite.
        case notFinite(Double)
        case outsideTable(Double, ClosedRange<Double>)
        case outsideRange(Double, ValueRules.ValidRange)
    }
    /// The tag's place in the stream's descriptor.
    package var tag: Int
    package var kind: Kind

    package init(tag: Int, kind: Kind) {
        self.tag = tag
        self.kind = kind
    }

    /// The status the value gets: Bad, or Uncertain where its definition says so.
    package var status: StatusCode {
        switch kind {
        case .notUTF8, .notASCII, .notDecimal: .badDecodingError
        case .notAvailable: .badNoData
        case .notFinite(let number): number.isNaN ? .badNoData : .badOutOfRange
        case .outsideTable: .badOutOfRange
        case .outsideRange(_, let range): range.statusOutside
        }
    }
}

extension ValueFlaw: CustomStringConvertible {
    package var description: String {
        switch kind {
        case .notUTF8: return "a string is not UTF-8"
        case .notASCII: return "a string is not ASCII"
        case .notDecimal(let bits, let digits): return "0x\(hexadecimal(bits, digits: digits)) is no BCD number: each digit must be 0…9"
        case .notAvailable(let bits): return "the device marks the value as not available (0x\(hexadecimal(bits, digits: 1)))"
        case .notFinite(let number): return "the value is \(number.isNaN ? "not a number (NaN)" : "infinite")"
        case .outsideTable(let raw, let range):
            return "raw value \(text(raw)) is outside of the table, \(text(range.lowerBound))…\(text(range.upperBound))"
        case .outsideRange(let number, let range):
            let what = range.isRaw ? "raw value" : "value"
            if number < range.minimum { return "\(what) \(text(number)) is below the valid minimum \(text(range.minimum))" }
            return "\(what) \(text(number)) is above the valid maximum \(text(range.maximum))"
        }
    }

    private func text(_ number: Double) -> String { Int64(exactly: number).map { String($0) } ?? "\(number)" }

    private func hexadecimal(_ bits: UInt64, digits: Int) -> String {
        let text = String(bits, radix: 16, uppercase: true)
        return String(repeating: "0", count: max(0, digits - text.count)) + text
    }
}

extension [ValueFlaw] {
    /// One sentence for people: how many values are concerned, and the first of them by name.
    package func summary(of descriptor: StreamDescriptor) -> String {
        let first = prefix(3).map { "\(descriptor.tags[$0.tag].name): \($0)" }.joined(separator: "; ")
        return count > 3 ? "\(count) unusable values, \(first); …" : first
    }
}
