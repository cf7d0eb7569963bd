/// What was learned of reading a device, in the form that is kept between runs.
///
/// Times are kept as what is left of them, so that a clock that was wrong then or is wrong now does no harm.
package struct LearnedReads: Sendable, Equatable, Codable {
    package struct Refusal: Sendable, Equatable, Codable {
        package var area: UInt8
        package var start: Int
        package var count: Int
        package var kind: AddressKnowledge.Refusal.Kind
        package var code: UInt8
        package var failures: Int
        package var retrySeconds: Double
    }
    package struct Length: Sendable, Equatable, Codable {
        package var area: UInt8
        package var longestRead: Int
        package var shortestRefused: Int?
        package var retrySeconds: Double
    }
    /// What requests were measured to cost.
    package var model: LineCostModel
    /// How many requests were measured.
    package var observations: UInt64
    package var refusals: [Refusal]
    package var lengths: [Length]
    package var avoidsHoles: Bool

    /// Most refused spans of a device: every tag it can have, and every way that is remembered.
    static let refusalsMax = ReadLimits.addressEnd + AddressKnowledge.waysMax
    /// The longest time that something can be put off for.
    private static let retrySecondsMax = 86_400.0

    init(_ knowledge: AddressKnowledge, model: LineCostModel, observations: UInt64, at now: MonotonicInstant) {
        self.model = model
        self.observations = observations
        refusals = knowledge.refusals.map {
            Refusal(
                area: $0.area, start: $0.span.lowerBound, count: $0.span.count, kind: $0.kind, code: $0.code, failures: $0.failures,
                retrySeconds: LearnedReads.seconds(from: now, to: $0.nextTrial))
        }
        lengths = knowledge.lengths.sorted { $0.key < $1.key }.map {
            Length(
                area: $0.key, longestRead: $0.value.longestRead, shortestRefused: $0.value.shortestRefused,
                retrySeconds: LearnedReads.seconds(from: now, to: $0.value.nextTrial))
        }
        avoidsHoles = knowledge.avoidsHoles
    }

    /// The same as knowledge; `nil` when it says what cannot be, as a damaged file does: then all is learned anew.
    func knowledge(at now: MonotonicInstant) -> AddressKnowledge? {
        guard isPossible else { return nil }
        var knowledge = AddressKnowledge()
        knowledge.restore(
            refusals.map {
                AddressKnowledge.Refusal(
                    area: $0.area, span: $0.start..<$0.start + $0.count, kind: $0.kind, code: $0.code, failures: $0.failures,
                    lastRefused: now, nextTrial: now.advanced(by: .seconds($0.retrySeconds)))
            },
            lengths: Dictionary(
                lengths.map { length in
                    let trial =
                        length.shortestRefused == nil
                        ? MonotonicInstant(nanoseconds: .max) : now.advanced(by: .seconds(length.retrySeconds))
                    return (
                        length.area,
                        AddressKnowledge.Length(
                            longestRead: length.longestRead, shortestRefused: length.shortestRefused, nextTrial: trial)
                    )
                }, uniquingKeysWith: { first, _ in first }), avoidsHoles: avoidsHoles)
        return knowledge
    }

    /// Whether every number is one that could have been learned.
    package var isPossible: Bool {
        func isTime(_ seconds: Double) -> Bool { seconds.isFinite && seconds >= 0 && seconds <= LearnedReads.retrySecondsMax }
        let addresses = 0...ReadLimits.addressEnd
        return refusals.count <= LearnedReads.refusalsMax && lengths.count <= 256
            && model.requestSeconds.isFinite && (0...3600).contains(model.requestSeconds)
            && model.byteSeconds.isFinite && (0...3600).contains(model.byteSeconds)
            && refusals.allSatisfy {
                addresses.contains($0.start) && $0.count > 0 && addresses.contains($0.count) && $0.start + $0.count <= ReadLimits.addressEnd
                    && $0.failures >= 1 && $0.failures <= Int(Int32.max) && isTime($0.retrySeconds)
            }
            && lengths.allSatisfy {
                addresses.contains($0.longestRead) && $0.shortestRefused.map(addresses.contains) ?? true
                    && $0.shortestRefused ?? .max > $0.longestRead && isTime($0.retrySeconds)
            }
    }

    private static func seconds(from now: MonotonicInstant, to then: MonotonicInstant) -> Double {
        guard then.nanoseconds < .max else { return 0 }
        return min(max(0, Double(then.nanoseconds &- now.nanoseconds) / 1e9), retrySecondsMax)
    }
}
