package import Telemetry

/// How many samples of one stream, tag by tag, at the price of one number for batches that have all tags.
package struct Tally: Sendable, Hashable {
    /// Batches with every tag.
    package var whole: UInt64 = 0
    /// Batches with some of the tags.
    package var partial: UInt64 = 0
    /// Of the partial batches, how many have tag `i`; empty while there was none.
    package var present: [UInt64] = []

    package init() {}

    package var isEmpty: Bool { whole == 0 && partial == 0 }

    /// Samples of one tag.
    package subscript(tag: Int) -> UInt64 { whole &+ (tag < present.count ? present[tag] : 0) }

    /// Samples of all tags of a stream of `tagCount`.
    package func samples(of tagCount: Int) -> UInt64 { present.reduce(whole &* UInt64(tagCount), &+) }

    /// Counts one batch. Bits of `presence` beyond the tags are not looked at.
    package mutating func add(presence: [UInt64], tagCount: Int) {
        if presence.isEmpty {
            whole &+= 1
            return
        }
        partial &+= 1
        if present.count < tagCount { present.append(contentsOf: repeatElement(0, count: tagCount - present.count)) }
        present.withUnsafeMutableBufferPointer { present in
            for (word, bits) in presence.enumerated() {
                let first = word &* 64
                let count = min(64, min(tagCount, present.count) - first)
                guard count > 0 else { break }
                for bit in 0..<count { present[first &+ bit] &+= bits &>> UInt64(truncatingIfNeeded: bit) & 1 }
            }
        }
    }

    package static func += (left: inout Tally, right: Tally) {
        left.whole &+= right.whole
        left.partial &+= right.partial
        if left.present.count < right.present.count {
            left.present.append(contentsOf: repeatElement(0, count: right.present.count - left.present.count))
        }
        for (tag, count) in right.present.enumerated() { left.present[tag] &+= count }
    }

    /// What is in `self` and not in `other`; never below zero.
    package func subtracting(_ other: Tally) -> Tally {
        var rest = self
        rest.whole = whole >= other.whole ? whole - other.whole : 0
        rest.partial = partial >= other.partial ? partial - other.partial : 0
        for tag in rest.present.indices {
            let taken = tag < other.present.count ? other.present[tag] : 0
            rest.present[tag] = rest.present[tag] >= taken ? rest.present[tag] - taken : 0
        }
        return rest
    }
}

/// Samples by stream.
package typealias StreamTallies = [StreamID: Tally]

extension StreamTallies {
    /// Counts all of another one's samples too.
    static func += (left: inout StreamTallies, right: StreamTallies) {
        for (stream, tally) in right { left[stream, default: Tally()] += tally }
    }

    /// Both together.
    func adding(_ other: StreamTallies) -> StreamTallies {
        var sum = self
        sum += other
        return sum
    }

    /// What is in `self` and not in `other`.
    func subtracting(_ other: StreamTallies) -> StreamTallies {
        var rest = StreamTallies()
        for (stream, tally) in self {
            let left = tally.subtracting(other[stream] ?? Tally())
            if !left.isEmpty || left.present.contains(where: { $0 > 0 }) { rest[stream] = left }
        }
        return rest
    }
}

/// Everything the ledger knows of one stream by counting: the polls, what of them was suppressed, and what was stored.
package struct StreamCounts: Sendable, Hashable {
    /// Polls, whatever became of them.
    package var polls: UInt64 = 0
    /// Polls of which nothing was stored, because deadbands suppressed every tag.
    package var suppressedPolls: UInt64 = 0
    /// Samples taken into the log.
    package var stored = Tally()

    package init() {}

    /// Counts a batch, and the suppressed polls that it tells of.
    package mutating func add(_ batch: SampleBatch, tagCount: Int) {
        polls &+= 1 &+ UInt64(batch.suppressedPolls)
        suppressedPolls &+= UInt64(batch.suppressedPolls)
        stored.add(presence: batch.presence, tagCount: tagCount)
    }

    package static func += (left: inout StreamCounts, right: StreamCounts) {
        left.polls &+= right.polls
        left.suppressedPolls &+= right.suppressedPolls
        left.stored += right.stored
    }
}

extension Tally {
    /// Appends whole, partial and the number of tags (32 bits), then a number per tag.
    func encode(into bytes: inout [UInt8]) {
        bytes.append(littleEndian: whole)
        bytes.append(littleEndian: partial)
        bytes.append(littleEndian: UInt32(present.count))
        for count in present { bytes.append(littleEndian: count) }
    }

    init?(from reader: inout ByteReader) {
        guard let whole = reader.integer(UInt64.self), let partial = reader.integer(UInt64.self),
            let tags = reader.count(ofWidth: 8), tags <= StreamDescriptor.tagsMax
        else { return nil }
        self.whole = whole
        self.partial = partial
        present.reserveCapacity(tags)
        for _ in 0..<tags {
            guard let count = reader.integer(UInt64.self) else { return nil }
            present.append(count)
        }
    }
}

extension StreamCounts {
    /// Appends polls and suppressed polls, then the tally.
    func encode(into bytes: inout [UInt8]) {
        bytes.append(littleEndian: polls)
        bytes.append(littleEndian: suppressedPolls)
        stored.encode(into: &bytes)
    }

    init?(from reader: inout ByteReader) {
        guard let polls = reader.integer(UInt64.self), let suppressed = reader.integer(UInt64.self),
            let stored = Tally(from: &reader)
        else { return nil }
        self.polls = polls
        suppressedPolls = suppressed
        self.stored = stored
    }
}
