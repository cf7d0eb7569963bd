/// Finds out why a device refuses a request, and reads all that can be read of it on the way.
///
/// The request is halved, at holes first, since values are asked for on purpose and holes are not. Where both halves are answered and the whole
/// is not, the cause lies between them: the way over the cut is asked for alone. If that is refused, it is the cause; else the
/// whole is asked for once more, which shows a limit of its length, or that the refusal was a mood. A single value is asked for twice
/// before it is taken for refused.
package struct RefusalSearch: Sendable {
    /// What was found.
    package enum Finding: Sendable, Equatable {
        /// The span is refused as a whole.
        case refused(span: Range<Int>, kind: AddressKnowledge.Refusal.Kind, code: UInt8)
        /// Requests of so many units are too long.
        case tooLong(count: Int)
    }
    /// What came of a step.
    package enum Outcome: Sendable, Equatable {
        case read
        case refused(code: UInt8)
        /// No answer that tells anything.
        case failed
    }
    /// What is known of some fields when the search is over.
    package enum Verdict: Sendable, Equatable {
        /// Read in this poll.
        case read
        /// Refused for themselves.
        case refused(code: UInt8)
        /// Not found out in this poll: part of a refused request, with its reason.
        case open(code: UInt8)
    }

    private enum Phase { case left, right, way, whole, done }
    private struct Frame {
        var atoms: Range<Int>
        var cut: Int
        var phase: Phase
        var isLeftRead = false
        var isRightRead = false
        var code: UInt8
    }

    private let area: UInt8
    private let atoms: [ReadPlanner.Atom]
    private var verdicts: [Verdict?]
    private var stack: [Frame] = []
    private var budget: Int
    /// The longest request that was answered with data, by what was known and what was seen.
    package private(set) var longestRead: Int
    private var shortestTooLong: Int?
    private let code: UInt8
    /// What was found so far.
    package private(set) var findings: [Finding] = []
    /// Requests that were spent.
    package private(set) var steps = 0

    /// Most requests that a search may take as long as nothing is answered; by default, most at all. Enough to find a cause among 65,536 values; what is left is for the next poll.
    package static let stepsMax = 40
    /// A request of at most so many units that is refused with a code that may mean its length is not searched: no device is known to read fewer.
    package static let lengthMin = 16

    /// `request` was refused with `code`; `fields` are all of the plan, sorted; `longestRead`: the longest request of this area that was
    /// answered with data; `shortestTooLong`: the shortest that is known to be refused for its length.
    package init(
        _ request: ReadRequest, code: UInt8, fields: [ReadField], limits: ReadLimits, longestRead: Int, shortestTooLong: Int? = nil,
        stepsMax: Int = RefusalSearch.stepsMax
    ) {
        area = request.area
        atoms = ReadPlanner.atoms(of: fields, in: request.fields, limits: limits)
        verdicts = Array(repeating: nil, count: atoms.count)
        budget = stepsMax
        self.longestRead = longestRead
        self.shortestTooLong = shortestTooLong
        self.code = code
        if !atoms.isEmpty { push(0..<atoms.count, code: code) }
    }

    /// The next request; `nil` when the search is over.
    package mutating func next() -> ReadRequest? {
        while let frame = stack.last {
            if frame.phase == .done {
                stack.removeLast()
                continue
            }
            guard budget > 0, steps < RefusalSearch.stepsMax || hasRead else { return nil }
            let request = request(for: frame)
            if let shortestTooLong, request.count >= shortestTooLong {
                // Its length alone would have it refused.
                advance(.refused(code: frame.code), asked: request)
                continue
            }
            return request
        }
        return nil
    }

    /// Takes the one value of the request for refused without asking once more: it was refused in the poll before, too.
    mutating func confirmValue() {
        guard atoms.count == 1 else { return }
        stack = []
        verdicts[0] = .refused(code: code)
        findings = [.refused(span: atoms[0].span, kind: .value, code: code)]
    }

    /// Takes what came of the request that `next()` gave.
    package mutating func take(_ outcome: Outcome) {
        guard let frame = stack.last, frame.phase != .done else { return }
        budget -= 1
        steps += 1
        advance(outcome, asked: request(for: frame))
    }

    /// Whether anything was read on the way.
    package private(set) var hasRead = false

    /// What is to be said of the fields, in their order.
    package var results: [(fields: Range<Int>, verdict: Verdict)] {
        zip(atoms, verdicts).map { ($0.fields, $1 ?? .open(code: code)) }
    }

    private func request(for frame: Frame) -> ReadRequest {
        let range =
            switch frame.phase {
            case .left: frame.atoms.lowerBound..<frame.cut
            case .right: frame.cut..<frame.atoms.upperBound
            case .way: frame.cut - 1..<frame.cut + 1
            case .whole, .done: frame.atoms
            }
        let start = atoms[range.lowerBound].span.lowerBound
        return ReadRequest(
            area: area, start: start, count: atoms[range.upperBound - 1].span.upperBound - start,
            fields: atoms[range.lowerBound].fields.lowerBound..<atoms[range.upperBound - 1].fields.upperBound)
    }

    private mutating func advance(_ outcome: Outcome, asked: ReadRequest) {
        let top = stack.count - 1
        let frame = stack[top]
        let span = asked.start..<asked.start + asked.count
        if outcome == .read {
            hasRead = true
            longestRead = max(longestRead, asked.count)
        }
        switch frame.phase {
        case .left:
            stack[top].phase = .right
            stack[top].isLeftRead = outcome == .read
            settle(frame.atoms.lowerBound..<frame.cut, outcome)
        case .right:
            let isCut = frame.isLeftRead && outcome == .read
            stack[top].phase = isCut ? (isTooLong(frame) ? .done : .way) : .done
            settle(frame.cut..<frame.atoms.upperBound, outcome)
        case .way:
            stack[top].phase = .done
            if case .refused(let code) = outcome {
                findings.append(.refused(span: span, kind: .way, code: code))
            } else if outcome == .read, frame.atoms.count > 2 {
                stack[top].phase = .whole
            }
        case .whole:
            stack[top].phase = .done
            guard frame.atoms.count > 1 else {
                if case .refused(let code) = outcome { findings.append(.refused(span: span, kind: .value, code: code)) }
                verdicts[frame.atoms.lowerBound] = verdict(outcome)
                return
            }
            guard case .refused(let code) = outcome else { return }
            if asked.count > longestRead {
                shortestTooLong = asked.count
                findings.append(.tooLong(count: asked.count))
            } else {
                findings.append(.refused(span: span, kind: .way, code: code))
            }
        case .done: return
        }
    }

    private func isTooLong(_ frame: Frame) -> Bool {
        guard let shortestTooLong else { return false }
        return atoms[frame.atoms.upperBound - 1].span.upperBound - atoms[frame.atoms.lowerBound].span.lowerBound >= shortestTooLong
    }

    /// Takes note of a part that was asked for as a whole; a refused one is searched.
    private mutating func settle(_ range: Range<Int>, _ outcome: Outcome) {
        switch outcome {
        case .read: for index in range { verdicts[index] = .read }
        case .failed: break
        case .refused(let code):
            let count = atoms[range.upperBound - 1].span.upperBound - atoms[range.lowerBound].span.lowerBound
            if RefusalSearch.mayConcernAddress(code) || count > RefusalSearch.lengthMin { push(range, code: code) }
        }
    }

    private func verdict(_ outcome: Outcome) -> Verdict? {
        switch outcome {
        case .read: .read
        case .refused(let code): .refused(code: code)
        case .failed: nil
        }
    }

    private mutating func push(_ range: Range<Int>, code: UInt8) {
        stack.append(Frame(atoms: range, cut: cut(range), phase: range.count > 1 ? .left : .whole, code: code))
    }

    /// Where to cut: at the hole that leaves about as many units of holes on either side; in the middle where there are no holes.
    private func cut(_ range: Range<Int>) -> Int {
        let middle = range.lowerBound + range.count / 2
        func hole(before index: Int) -> Int { max(0, atoms[index].span.lowerBound - atoms[index - 1].span.upperBound) }
        let total = range.dropFirst().reduce(0) { $0 + hole(before: $1) }
        guard total > 0 else { return middle }
        var best = (index: middle, larger: Int.max, offCentre: Int.max)
        var left = 0
        for index in range.dropFirst() {
            let here = hole(before: index)
            guard here > 0 else { continue }
            let candidate = (index: index, larger: max(left, total - left - here), offCentre: abs(index - middle))
            if (candidate.larger, candidate.offCentre) < (best.larger, best.offCentre) { best = candidate }
            left += here
        }
        return best.index
    }

    /// Whether the code speaks of an address or a range (exceptions 02 and 03 of MODBUS Application Protocol V1.1b3, 7).
    package static func mayConcernAddress(_ code: UInt8) -> Bool { code == 2 || code == 3 }

    /// What some devices answer to requests that are too long for them, though it should say that they have failed (exception 04).
    static let failureCode: UInt8 = 4
}
