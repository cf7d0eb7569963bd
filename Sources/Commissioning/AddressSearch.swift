/// Finds which addresses of one area a device answers, with few requests.
///
/// A block can be read exactly if each of its addresses can, so that the end of a range is found by bisection. Where a block begins with an
/// address that cannot be read, every `sampleStep`-th address is tried alone: a shorter range between two of them is not found.
package struct AddressSearch: Sendable {
    /// What a device says to one request.
    package enum Answer: Sendable, Hashable {
        case readable
        /// The addresses, or their number, are not to its liking.
        case refused
        /// It does not know the function: there is no such area.
        case noSuchArea
        /// Nothing came, or nothing that makes sense.
        case silent
    }

    private enum Phase: Hashable {
        /// A whole block from `start` on.
        case block
        /// `low` addresses from `start` can be read, `high` cannot.
        case bisect(low: Int, high: Int)
        /// Whether what follows `count` readable addresses is a hole or only too much for one request.
        case beyond(count: Int)
        /// A single address after the unreadable `start`.
        case sample(Int)
        /// `low` addresses up to and with `sample` can be read, `high` cannot.
        case grow(sample: Int, low: Int, high: Int)
    }

    /// The ranges found, ascending, neighbours joined.
    package private(set) var ranges: [Range<Int>] = []
    /// The most addresses the device answers at once, as far as it is known.
    package private(set) var blockMax: Int
    package private(set) var requests = 0
    /// Why the search ended before its end; `nil` while it goes on and when it came there.
    package private(set) var abortReason: String?
    private let end: Int
    private var start: Int
    private var phase = Phase.block
    private var silentInARow = 0

    /// How far apart single addresses are tried.
    package static let sampleStep = 8
    /// After so many requests in a row without an answer the search ends.
    package static let silentMax = 5

    /// Searches `span`; `blockMax` is what one request may carry.
    package init(span: Range<Int>, blockMax: Int) {
        start = span.lowerBound
        end = span.upperBound
        self.blockMax = max(1, blockMax)
    }

    /// The next addresses to ask for; `nil` when the search is over. The same ones until `record` is called.
    package var next: Range<Int>? {
        guard abortReason == nil, start < end else { return nil }
        switch phase {
        case .block: return start..<min(start + blockMax, end)
        case .bisect(let low, let high): return start..<start + (low + high) / 2
        case .beyond(let count): return start + count..<start + count + 1
        case .sample(let address): return address..<address + 1
        case .grow(let sample, let low, let high): return sample + 1 - (low + high) / 2..<sample + 1
        }
    }

    /// Takes the answer to `next`.
    package mutating func record(_ answer: Answer) {
        guard let asked = next else { return }
        requests += 1
        silentInARow = answer == .silent ? silentInARow + 1 : 0
        if answer == .noSuchArea {
            abortReason = "the device does not know the function"
            return
        }
        if silentInARow >= AddressSearch.silentMax {
            abortReason = "no answer to \(silentInARow) requests in a row"
            return
        }
        let isReadable = answer == .readable
        switch phase {
        case .block:
            if isReadable {
                add(asked)
                advance(to: asked.upperBound)
            } else if asked.count == 1 {
                seek(after: start)
            } else {
                bisect(low: 0, high: asked.count)
            }
        case .bisect(let low, let high):
            let middle = (low + high) / 2
            bisect(low: isReadable ? middle : low, high: isReadable ? high : middle)
        case .beyond(let count):
            add(start..<start + count)
            if isReadable {
                blockMax = count
                advance(to: start + count)
            } else {
                start += count
                seek(after: start)
            }
        case .sample(let address):
            if isReadable {
                grow(sample: address, low: 1, high: address - start + 1)
            } else {
                seek(after: address)
            }
        case .grow(let sample, let low, let high):
            let middle = (low + high) / 2
            grow(sample: sample, low: isReadable ? middle : low, high: isReadable ? high : middle)
        }
    }

    private mutating func bisect(low: Int, high: Int) {
        if high - low > 1 {
            phase = .bisect(low: low, high: high)
        } else if low == 0 {
            seek(after: start)
        } else {
            phase = .beyond(count: low)
        }
    }

    /// The last address known to be unreadable is `address`; the search for the next readable one goes on behind it.
    private mutating func seek(after address: Int) {
        start = address
        let following = (address / AddressSearch.sampleStep + 1) * AddressSearch.sampleStep
        // A step may hide what begins right behind a hole, where ranges often do.
        let candidate = address + 1 < following && !isInSampling ? address + 1 : following
        guard candidate < end else {
            start = end
            return
        }
        phase = .sample(candidate)
    }

    private var isInSampling: Bool {
        if case .sample = phase { true } else { false }
    }

    private mutating func grow(sample: Int, low: Int, high: Int) {
        if high - low > 1, low < blockMax {
            phase = .grow(sample: sample, low: low, high: min(high, blockMax + 1))
        } else {
            advance(to: sample + 1 - low)
        }
    }

    private mutating func advance(to address: Int) {
        start = address
        phase = .block
    }

    private mutating func add(_ range: Range<Int>) {
        if let last = ranges.last, last.upperBound >= range.lowerBound {
            ranges[ranges.count - 1] = last.lowerBound..<max(last.upperBound, range.upperBound)
        } else {
            ranges.append(range)
        }
    }
}
