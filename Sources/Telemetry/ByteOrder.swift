/// The order of the bytes of a value of several registers, named as for 32 bits: `A` is the most significant byte.
package enum ByteOrder: String, Sendable, Hashable, CaseIterable {
    case abcd = "ABCD"
    case cdab = "CDAB"
    case badc = "BADC"
    case dcba = "DCBA"
    /// 64 bits only: two 32-bit halves in the standard's order, the least significant half first.
    case efghabcd = "EFGHABCD"
    /// 64 bits only: the most significant 32-bit half first, each half with its low register first.
    case cdabghef = "CDABGHEF"

    /// The orders that values of any width can have.
    package static let common: [ByteOrder] = [.abcd, .cdab, .badc, .dcba]

    /// Whether only a 64-bit value can have this order.
    package var isOf64BitsOnly: Bool { self == .efghabcd || self == .cdabghef }
    /// Whether the register with the least significant bits of a 32-bit value comes first.
    package var leastSignificantRegisterFirst: Bool { self == .cdab || self == .dcba }
    /// Whether the two bytes of each register are swapped.
    package var bytesSwapped: Bool { self == .badc || self == .dcba }

    /// Where the registers of a value of 1, 2 or 4 registers stand: the `n`-th most significant one is register
    /// `n ^ registerSwap(of: count)`.
    package func registerSwap(of count: Int) -> Int {
        switch (self, count) {
        case (.abcd, _), (.badc, _), (_, 1): 0
        case (.cdab, _), (.dcba, _): count - 1
        case (.efghabcd, _): 2
        case (.cdabghef, _): 1
        }
    }
}
