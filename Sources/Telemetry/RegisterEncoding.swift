/// How 16-bit registers hold a value, where that is more than the bytes of its type in some order.
package enum RegisterEncoding: Sendable, Hashable {
    /// The bytes of the type itself: two's complement, IEEE 754, or text that ends at the first NUL.
    case plain
    /// An integer of `width` bits within one register (8 for half a register); signed types extend the sign.
    case bitField(width: Int)
    /// IEEE 754 binary16; widened to `float32`, which loses nothing.
    case half
    /// Packed BCD: four decimal digits per register, the most significant first.
    case decimal
    /// Text of 7-bit ASCII or of UTF-8, padded at its end with `fill` beside NUL and space.
    case text(isASCII: Bool, fill: UInt8?)

    /// How many registers hold a value of `type`; strings have as many as their capacity needs.
    package func registerCount(of type: DataType, stringCapacity: Int = 0) -> Int {
        switch self {
        case .bitField, .half: 1
        case .text: (stringCapacity + 1) / 2
        case .plain where type == .string: (stringCapacity + 1) / 2
        case .plain, .decimal: max(1, type.width / 2)
        }
    }
}
