#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// Spreads devices over clusters by weight, the same way on every start and machine.
///
/// Weighted rendezvous hashing: each cluster draws a number for each device, and the highest one has it. A cluster that leaves takes only its
/// own devices from their place, one that joins takes from each only its share.
/// Source: C. Schindelhauer, G. Schomaker, "Weighted distributed hash tables", SPAA 2005 (logarithmic method).
struct Placement: Sendable, Hashable {
    private struct Member: Hashable {
        var index: Int
        var hash: UInt64
        var weight: Double
    }
    private let members: [Member]

    /// - Parameter clusters: index, name and weight of those that can take devices. A weight of 0 takes none as long as another can.
    init(_ clusters: [(index: Int, name: String, weight: Int)]) {
        let hasWeight = clusters.contains { $0.weight > 0 }
        members = clusters.filter { $0.weight > 0 || !hasWeight }.map {
            Member(index: $0.index, hash: Self.hash(of: $0.name), weight: Double(max($0.weight, 1)))
        }
    }

    /// The index of the cluster that has the device; `nil` where there is no cluster.
    func cluster(of device: String) -> Int? {
        guard members.count > 1 else { return members.first?.index }
        let device = Self.hash(of: device)
        var best: (index: Int, score: Double)?
        for member in members {
            // In (0, 1), with all 53 bits of a double's fraction.
            let draw = (Double(Self.mix(device ^ Self.mix(member.hash)) >> 11) + 0.5) / Double(1 << 53)
            let score = -member.weight / log(draw)
            if best.map({ score > $0.score }) ?? true { best = (member.index, score) }
        }
        return best?.index
    }

    /// FNV-1a with 64 bits, over UTF-8.
    private static func hash(of text: String) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return hash
    }

    /// The finalizer of SplitMix64: spreads what differs in few bits.
    private static func mix(_ value: UInt64) -> UInt64 {
        var value = value &+ 0x9E37_79B9_7F4A_7C15
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}
