/// The order of the bytes of a value of several registers, named as for 32 bits: `A` is the most significant byte.
package enum ByteOrder: String, Sendable, Hashable, CaseIterable {
    case abcd = "ABCD"
    case cdab = "CDAB"
    case badc = "BADC"
    case dcba = "DCBA"

    /// Whether the register with the least significant bits comes first.
    package var leastSignificantRegisterFirst: Bool { self == .cdab || self == .dcba }
    /// Whether the two bytes of each register are swapped.
    package var bytesSwapped: Bool { self == .badc || self == .dcba }
}
