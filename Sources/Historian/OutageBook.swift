package import Telemetry

/// One time without a connection of one cursor's reader, and what became of the samples that had to wait for its end.
///
/// Samples are told by their *ordinal*, the number of samples that the log stored before them. A cursor settles samples in the order of
/// the log, so that a range of ordinals names the samples of an outage for ever, whatever is read, sent again or evicted later.
package struct Outage: Sendable, Hashable {
    /// Grows by one with each outage of a cursor.
    package var number: UInt64
    /// When the connection was found to be lost.
    package var start: Timestamp
    /// When it stood again; `nil` while it does not.
    package var end: Timestamp?
    /// The run of the process in which it began, and in which it ended.
    package var startEpoch: UInt32
    package var endEpoch: UInt32?
    /// How often the connection was lost; more than once where neighbouring outages were put together.
    package var losses: UInt64 = 1
    /// The ordinal of the first sample that was pending at the start.
    package var first: UInt64
    /// The ordinal after the last sample that was stored before the end; `nil` while it goes on.
    package var last: UInt64?
    /// Of its samples: acknowledged since its start.
    package var delivered: UInt64 = 0
    /// Of its samples: evicted, or never brought to disk, before they were acknowledged.
    package var lost: UInt64 = 0
    /// Of its samples: such as can never be delivered, for example because their message would be too large.
    package var refused: UInt64 = 0

    /// How many samples had to wait, where the log has stored `stored` samples by now.
    package func samples(stored: UInt64) -> UInt64 { (last ?? max(first, stored)) - first }

    var settled: UInt64 { delivered &+ lost &+ refused }
}

/// Outages that are over and done with, added up.
package struct OutageSum: Sendable, Hashable, Codable {
    package var outages: UInt64 = 0
    /// Samples that had to wait; one that waited through two outages counts in both.
    package var samples: UInt64 = 0
    package var delivered: UInt64 = 0
    package var lost: UInt64 = 0
    package var refused: UInt64 = 0
    /// The start of the oldest and the end of the newest.
    package var from: Timestamp?
    package var through: Timestamp?

    package init() {}
}

/// The outages of one cursor: the newest in detail, the older added up.
///
/// Driven by what the cursor settles, in the order of the log: each sample is counted into every outage that it waited through.
package struct OutageBook: Sendable, Hashable {
    /// What becomes of a sample in the end.
    enum Verdict {
        case delivered
        case lost
        case refused
    }

    /// Oldest first: neither start nor end ever decreases.
    package private(set) var outages: [Outage] = []
    package private(set) var earlier = OutageSum()
    /// The ordinal of the first sample that is not settled.
    private(set) var settled: UInt64
    /// The first outage that has samples which are not settled, or is not over.
    private var firstUnsettled = 0

    /// How many outages are kept in detail.
    package static let outagesMax = 256

    init(settled: UInt64) { self.settled = settled }

    /// A book as it was saved. `settled` is how many samples the cursor had settled then.
    init(outages: [Outage], earlier: OutageSum, settled: UInt64) {
        self.earlier = earlier
        self.settled = settled
        self.outages = outages
        keepWithinLimit()
        passSettled()
    }

    /// The book of a cursor that has settled `settled` of the `stored` samples of a log: what was not on disk when the process died
    /// is part of no outage.
    func recovered(settled: UInt64, stored: UInt64) -> OutageBook {
        let outages = outages.map { outage in
            var outage = outage
            outage.first = min(outage.first, stored)
            outage.last = outage.last.map { max(outage.first, min($0, stored)) }
            return outage
        }
        return OutageBook(outages: outages, earlier: earlier, settled: settled)
    }

    /// Whether the connection is lost.
    var isOpen: Bool { outages.last.map { $0.end == nil } ?? false }

    /// The connection is lost: `settled` samples of the log are done with by now, whether the disk knows of it already or not.
    mutating func begin(at time: Timestamp, epoch: UInt32, settled: UInt64) {
        guard !isOpen else { return }
        outages.append(
            Outage(
                number: (outages.last?.number ?? 0) + 1, start: time, startEpoch: epoch, first: max(settled, outages.last?.first ?? 0)))
        keepWithinLimit()
    }

    /// The connection stands again; the log has stored `stored` samples by now.
    mutating func end(at time: Timestamp, epoch: UInt32, stored: UInt64) {
        guard isOpen else { return }
        let index = outages.count - 1
        outages[index].end = time
        outages[index].endEpoch = epoch
        outages[index].last = max(outages[index].first, stored)
        passSettled()
    }

    /// The next `count` samples in the order of the log are settled.
    mutating func settle(_ count: UInt64, _ verdict: Verdict) {
        let range = settled..<(settled &+ count)
        settled = range.upperBound
        guard firstUnsettled < outages.count, outages[firstUnsettled].first < range.upperBound else { return }
        for index in firstUnsettled..<outages.count {
            let lower = max(range.lowerBound, outages[index].first)
            guard lower < range.upperBound else { break }
            let upper = min(range.upperBound, outages[index].last ?? .max)
            guard lower < upper else { continue }
            switch verdict {
            case .delivered: outages[index].delivered &+= upper - lower
            case .lost: outages[index].lost &+= upper - lower
            case .refused: outages[index].refused &+= upper - lower
            }
        }
        passSettled()
    }

    private mutating func passSettled() {
        while firstUnsettled < outages.count, let last = outages[firstUnsettled].last, last <= settled { firstUnsettled += 1 }
    }

    /// Adds up, or puts together, the oldest until the others fit.
    private mutating func keepWithinLimit() {
        while outages.count > OutageBook.outagesMax {
            let oldest = outages.removeFirst()
            if let last = oldest.last, last <= settled {
                earlier.add(oldest)
                firstUnsettled = max(0, firstUnsettled - 1)
            } else {
                // Nothing that was stored after it is settled either: what is settled of the two is in the counts of the older one.
                outages[0] = oldest.joined(with: outages[0])
            }
        }
    }
}

extension Outage {
    /// This outage and the next as one, with what was stored between the two; samples of this one must still be waiting.
    fileprivate func joined(with next: Outage) -> Outage {
        var joined = self
        joined.end = next.end
        joined.endEpoch = next.endEpoch
        joined.last = next.last
        joined.losses &+= next.losses
        return joined
    }
}

extension OutageSum {
    fileprivate mutating func add(_ outage: Outage) {
        outages &+= outage.losses
        samples &+= (outage.last ?? outage.first) - outage.first
        delivered &+= outage.delivered
        lost &+= outage.lost
        refused &+= outage.refused
        from = from ?? outage.start
        through = outage.end ?? through
    }
}
