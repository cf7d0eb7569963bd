/// Knows which batches came before, in bounded memory.
///
/// A stream's sequence numbers lie in pages of 1,024 bits. Pages that were not touched for long are forgotten: a duplicate that comes later than that is
/// left to the database, whose own key removes it.
package struct DuplicateFilter: Sendable {
    /// The most pages of each of the two generations: about 20 MiB in all.
    package static let pagesMax = 65_536

    private struct PageID: Hashable {
        var gateway: Int32
        var epoch: UInt32
        var stream: UInt32
        var page: UInt64
    }

    private typealias Page = InlineArray<16, UInt64>

    private let pagesMax: Int
    private var young: [PageID: Page] = [:]
    /// Pages that were not touched since they were young.
    private var old: [PageID: Page] = [:]

    package init(pagesMax: Int = DuplicateFilter.pagesMax) { self.pagesMax = max(1, pagesMax) }

    /// Whether the batch came before.
    package func contains(_ key: BatchKey) -> Bool {
        let id = Self.page(of: key)
        guard let page = young[id] ?? old[id] else { return false }
        return page[Self.word(of: key)] & Self.bit(of: key) != 0
    }

    /// Takes note of a batch.
    package mutating func insert(_ key: BatchKey) {
        let id = Self.page(of: key)
        if young[id] == nil {
            if young.count >= pagesMax {
                old = young
                young = [:]
            }
            young[id] = old.removeValue(forKey: id) ?? Page(repeating: 0)
        }
        young[id]?[Self.word(of: key)] |= Self.bit(of: key)
    }

    private static func page(of key: BatchKey) -> PageID {
        PageID(gateway: key.gateway, epoch: key.epoch, stream: key.stream, page: key.sequence >> 10)
    }

    private static func word(of key: BatchKey) -> Int { Int(key.sequence >> 6 & 15) }
    private static func bit(of key: BatchKey) -> UInt64 { 1 << (key.sequence & 63) }
}
