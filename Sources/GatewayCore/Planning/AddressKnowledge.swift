/// What a device has been seen to refuse and to answer, by address.
///
/// A refused span is one that was asked for as a whole, and refused. What refuses a span refuses every longer one around it, whatever
/// the cause: an address that is not there, a border between two blocks of the device. So a plan is possible when none of its requests
/// holds a refused span. How long requests may be is kept apart, since it concerns every address.
package struct AddressKnowledge: Sendable, Equatable {
    /// A span that was refused as a whole while its parts were not, or that cannot be divided.
    package struct Refusal: Sendable, Equatable {
        /// What the span is to us.
        package enum Kind: String, Sendable, Codable {
            /// From one value to the next, over addresses that nobody asks for: the values are read with separate requests.
            case way
            /// A value itself: it is Bad.
            case value
        }
        package var area: UInt8
        package var span: Range<Int>
        package var kind: Kind
        /// The protocol's number for the reason.
        package var code: UInt8
        /// How often in a row it was refused.
        package var failures: Int
        /// When it was refused last.
        package var lastRefused: MonotonicInstant
        /// When it is asked for again.
        package var nextTrial: MonotonicInstant

        /// A value that was refused in one poll: it may be a mood of the device, so it is asked for in the next poll too, alone.
        package var isSuspect: Bool { kind == .value && failures == 1 }
    }

    /// How long requests may be.
    package struct Length: Sendable, Equatable {
        /// The longest request that was answered with data.
        package var longestRead = 0
        /// The shortest request that was refused for its length; `nil` where none was.
        package var shortestRefused: Int?
        /// When the refused length is tried again.
        package var nextTrial = MonotonicInstant(nanoseconds: .max)
        /// Whether that time has come.
        package var isTrialDue = false

        /// The length to try next: halfway between what is known to work and what is known not to, until they meet; then, after a day,
        /// what did not work.
        package var candidate: Int? {
            guard let shortestRefused else { return nil }
            if isTrialDue { return shortestRefused }
            return shortestRefused - longestRead > 1 ? longestRead + (shortestRefused - longestRead) / 2 : nil
        }
    }

    /// Sorted by area and address; no span holds another.
    package private(set) var refusals: [Refusal] = []
    package private(set) var lengths: [UInt8: Length] = [:]
    /// Set when there are too many holes to remember them one by one: no request goes over holes any more.
    package private(set) var avoidsHoles = false
    /// Grows with every change that a plan may depend on.
    package private(set) var revision: UInt64 = 0

    /// Most refused ways that are remembered one by one.
    package static let waysMax = 2048
    /// A refused way is tried again after this long.
    package static let wayTrialInterval = Duration.seconds(86_400)
    /// A refused value is asked for again after this long, then after twice as long, and so on.
    package static let valueTrialIntervalMin = Duration.seconds(10)
    package static let valueTrialIntervalMax = Duration.seconds(3600)
    /// After a new connection, which may be to another device, nothing that was refused is tried again sooner than this after its last refusal.
    package static let reconnectTrialIntervalMin = Duration.seconds(600)

    package init() {}

    /// Nothing known, as a change of what was.
    init(after revision: UInt64) { self.revision = revision &+ 1 }

    /// Whether there is anything worth keeping.
    package var isEmpty: Bool { refusals.isEmpty && !avoidsHoles && lengths.values.allSatisfy { $0.shortestRefused == nil } }

    /// When the next thing is to be tried again; far in the future when nothing is.
    package var nextTrial: MonotonicInstant {
        let ways = refusals.map(\.nextTrial).min() ?? MonotonicInstant(nanoseconds: .max)
        return lengths.values.map(\.nextTrial).reduce(ways, min)
    }

    /// A request of that many units was answered with data.
    package mutating func noteRead(area: UInt8, count: Int) {
        var length = lengths[area] ?? Length()
        guard count > length.longestRead else { return }
        length.longestRead = count
        if let refused = length.shortestRefused {
            // A longer request than one that was refused: it was not the length.
            if count >= refused {
                length = Length(longestRead: count)
            }
            revision &+= 1
        }
        lengths[area] = length
    }

    /// The longest request of an area that was answered with data.
    package func longestRead(area: UInt8) -> Int { lengths[area]?.longestRead ?? 0 }

    /// A request was refused for its length.
    package mutating func noteTooLong(area: UInt8, count: Int, at now: MonotonicInstant) {
        var length = lengths[area] ?? Length()
        guard count > length.longestRead, count <= length.shortestRefused ?? .max else { return }
        length.shortestRefused = count
        length.isTrialDue = false
        length.nextTrial = now.advanced(by: AddressKnowledge.wayTrialInterval)
        lengths[area] = length
        revision &+= 1
    }

    /// A span was refused as a whole.
    package mutating func noteRefused(area: UInt8, span: Range<Int>, kind: Refusal.Kind, code: UInt8, at now: MonotonicInstant) {
        if let known = refusals.firstIndex(where: { $0.area == area && $0.span == span }) {
            refusals[known].failures += 1
            refusals[known].kind = kind
            refusals[known].code = code
            refusals[known].lastRefused = now
            refusals[known].nextTrial = now.advanced(by: AddressKnowledge.trialInterval(refusals[known]))
            revision &+= 1
            return
        }
        var refusal = Refusal(area: area, span: span, kind: kind, code: code, failures: 1, lastRefused: now, nextTrial: now)
        refusal.nextTrial = now.advanced(by: AddressKnowledge.trialInterval(refusal))
        // A longer span around this one says nothing more.
        refusals.removeAll { $0.area == area && $0.span.lowerBound <= span.lowerBound && $0.span.upperBound >= span.upperBound }
        insert(refusal)
        if refusals.count > AddressKnowledge.waysMax, refusals.count(where: { $0.kind == .way }) > AddressKnowledge.waysMax {
            avoidsHoles = true
            refusals.removeAll { $0.kind == .way }
        }
        revision &+= 1
    }

    /// What was refused was answered now: it and all refused spans within it are forgotten.
    package mutating func noteAnswered(area: UInt8, span: Range<Int>) {
        let before = refusals.count
        refusals.removeAll { $0.area == area && $0.span.lowerBound >= span.lowerBound && $0.span.upperBound <= span.upperBound }
        if refusals.count != before { revision &+= 1 }
    }

    /// What is refused was refused again; no code when nothing came that tells a reason.
    package mutating func noteRefusedAgain(area: UInt8, span: Range<Int>, code: UInt8?, at now: MonotonicInstant) {
        for index in refusals.indices where refusals[index].area == area && span.contains(refusals[index].span) {
            refusals[index].failures += 1
            refusals[index].code = code ?? refusals[index].code
            refusals[index].lastRefused = now
            refusals[index].nextTrial = now.advanced(by: AddressKnowledge.trialInterval(refusals[index]))
        }
    }

    /// A new connection: there may be another device, or another program in it. All is tried again, the latest refusals later.
    package mutating func noteConnected(at now: MonotonicInstant) {
        for index in refusals.indices {
            let soonest = refusals[index].lastRefused.advanced(by: AddressKnowledge.reconnectTrialIntervalMin)
            refusals[index].nextTrial = min(refusals[index].nextTrial, max(now, soonest))
        }
    }

    /// A value that had been refused is there again: others may be too.
    package mutating func hastenValues(at now: MonotonicInstant) {
        for index in refusals.indices where refusals[index].kind == .value {
            refusals[index].nextTrial = min(refusals[index].nextTrial, now)
        }
    }

    /// What is to be tried again, the longest waiting first.
    package func due(_ kind: Refusal.Kind, at now: MonotonicInstant, most: Int) -> [Refusal] {
        Array(refusals.filter { $0.kind == kind && $0.nextTrial <= now }.sorted { $0.nextTrial < $1.nextTrial }.prefix(most))
    }

    /// The refused spans within another.
    package func refusals(area: UInt8, within span: Range<Int>) -> [Refusal] {
        var low = 0
        var high = refusals.count
        while low < high {
            let middle = (low + high) / 2
            if (refusals[middle].area, refusals[middle].span.lowerBound) < (area, span.lowerBound) {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return refusals[low...].prefix { $0.area == area && $0.span.lowerBound < span.upperBound }.filter { span.contains($0.span) }
    }

    /// Marks refused lengths whose time has come: the next plan names a request to try them with.
    package mutating func markDueLengths(at now: MonotonicInstant) {
        for (area, length) in lengths where length.nextTrial <= now {
            lengths[area]?.isTrialDue = true
            lengths[area]?.nextTrial = MonotonicInstant(nanoseconds: .max)
            revision &+= 1
        }
    }

    /// Puts back what an earlier run knew.
    mutating func restore(_ refusals: [Refusal], lengths: [UInt8: Length], avoidsHoles: Bool) {
        for refusal in refusals { insert(refusal) }
        self.lengths = lengths
        self.avoidsHoles = avoidsHoles
        revision &+= 1
    }

    private mutating func insert(_ refusal: Refusal) {
        let place = refusals.firstIndex { ($0.area, $0.span.lowerBound) > (refusal.area, refusal.span.lowerBound) } ?? refusals.count
        refusals.insert(refusal, at: place)
    }

    /// How long after a refusal it is tried again.
    private static func trialInterval(_ refusal: Refusal) -> Duration {
        switch refusal.kind {
        case .way: return wayTrialInterval
        case .value:
            let doublings = min(max(0, refusal.failures - 2), 16)
            return min(valueTrialIntervalMin * (1 << doublings), valueTrialIntervalMax)
        }
    }
}

extension Range<Int> {
    /// Whether the other range lies within this one.
    func contains(_ other: Range<Int>) -> Bool { other.lowerBound >= lowerBound && other.upperBound <= upperBound }
}
