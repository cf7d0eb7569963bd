import Testing

@testable import Gateway

@Suite("When devices are polled")
struct PhaseTests {
    @Test("devices are spread over the period, a few at once, and never beyond it")
    func grid() {
        for (count, period) in [(500, 1000), (40, 100), (3, 1000), (1, 20), (7, 15), (100, 5), (1000, 3_600_000)] {
            let period = Duration.milliseconds(period)
            let phases = (0..<count).map { SiteBuilder.phase(ofDevice: $0, of: count, period: period) }
            #expect(phases.allSatisfy { $0 > .zero && $0 <= period })
            #expect(phases.allSatisfy { $0 == period || $0 % .milliseconds(10) == .zero }, "\(count) in \(period)")
            // Every moment of the grid has its share, and nobody is far from where an even spread would have him.
            let busiest = Dictionary(grouping: phases, by: \.self).values.map(\.count).max() ?? 0
            let slots = max(1, Int(period / .milliseconds(10)))
            #expect(busiest <= (count + slots - 1) / slots + 1, "\(count) in \(period): \(busiest) at once")
        }
    }
}

extension Duration {
    fileprivate static func % (left: Duration, right: Duration) -> Duration {
        let times = (left / right).rounded(.down)
        return left - .nanoseconds(Int64(times) * (right.components.attoseconds / 1_000_000_000))
    }
}
