import GatewayCore
import Telemetry
import TestKit
import Testing

@testable import Uplink

private let start = MonotonicInstant(nanoseconds: 0)
private func at(_ seconds: Double) -> MonotonicInstant { start.advanced(by: .seconds(seconds)) }

@Suite struct ClusterHealthTests {
    @Test func twoProbesInARowDegradeAndOneSuccessHeals() {
        var health = ClusterHealth()
        #expect(health.state == .down && health.rank == nil)
        health.didConnect(at: at(0))
        #expect(health.state == .healthy, "the first connection is trusted")
        health.didNotAnswer(at: at(10))
        #expect(health.state == .healthy)
        health.didAnswer(at: at(11))
        health.didNotAnswer(at: at(20))
        #expect(health.state == .healthy, "failures count in a row only")
        health.didNotAnswer(at: at(30))
        #expect(health.state == .degraded)
        health.didAnswer(at: at(31))
        #expect(health.state == .healthy)
    }

    @Test func aLostClusterIsTrustedAgainOnlyAfterTheRecoveryTimeout() {
        var health = ClusterHealth()
        health.didConnect(at: at(0))
        health.didLoseConnection(at: at(1000))
        #expect(health.state == .down)
        health.didConnect(at: at(1010))
        #expect(health.state == .recovering && health.rank == 1)
        health.didAnswer(at: at(1039))
        #expect(health.state == .recovering)
        health.elapse(to: at(1040))
        #expect(health.state == .healthy && health.rank == 0)
    }

    @Test func aFlappingClusterMustStandLongerEachTime() {
        var health = ClusterHealth()
        var holds: [Duration] = []
        for round in 0..<8 {
            health.didConnect(at: at(Double(round) * 60))
            holds.append(health.holdTime)
            health.didLoseConnection(at: at(Double(round) * 60 + 5))
        }
        #expect(holds.prefix(4) == [.seconds(30), .seconds(30), .seconds(60), .seconds(120)])
        #expect(holds.last == .seconds(480), "but not for ever longer")
        health.didConnect(at: at(1000))
        health.didLoseConnection(at: at(2000))
        #expect(health.holdTime == .seconds(30), "who stood long is forgiven")
    }

    @Test func aProbeThatFailsWhileRecoveringDegradesAtOnce() {
        var health = ClusterHealth()
        health.didConnect(at: at(0))
        health.didLoseConnection(at: at(1))
        health.didConnect(at: at(2))
        health.didNotAnswer(at: at(3))
        #expect(health.state == .degraded)
    }

    @Test func theOnlyClusterIsDroppedLaterThanOneOfSeveral() {
        var health = ClusterHealth()
        health.didConnect(at: at(0))
        for number in 1...3 {
            health.didNotAnswer(at: at(Double(number)))
            #expect(health.isToBeDropped(hasAlternative: true) == (number >= 2))
            #expect(health.isToBeDropped(hasAlternative: false) == (number >= 3))
        }
    }

    @Test func manyFailuresOrALastingReasonAreAFailure() {
        var health = ClusterHealth()
        for number in 1...10 {
            health.didFailToConnect(isLasting: false)
            #expect(health.state == (number < 10 ? .down : .failed))
        }
        var lasting = ClusterHealth()
        lasting.didFailToConnect(isLasting: true)
        #expect(lasting.state == .failed)
        lasting.didConnect(at: at(5))
        #expect(lasting.state == .healthy)
    }
}

@Suite struct PlacementTests {
    private let devices = (0..<20_000).map { "device-\($0)" }

    private func shares(_ placement: Placement) -> [Int: Int] {
        devices.reduce(into: [:]) { $0[placement.cluster(of: $1) ?? -1, default: 0] += 1 }
    }

    @Test func sharesFollowTheWeights() {
        var generator = SeededGenerator()
        for round in 0..<20 {
            let weights = (0..<Int.random(in: 2...6, using: &generator)).map { _ in Int.random(in: 1...100, using: &generator) }
            let clusters = weights.enumerated().map { (index: $0.offset, name: "cluster-\(round)-\($0.offset)", weight: $0.element) }
            let shares = shares(Placement(clusters))
            let total = Double(weights.reduce(0, +))
            for (index, weight) in weights.enumerated() {
                let expected = Double(weight) / total
                // Five standard deviations of the binomial distribution.
                let bound = 5 * (expected * (1 - expected) * Double(devices.count)).squareRoot() + 1
                let found = Double(shares[index] ?? 0)
                #expect(abs(found - expected * Double(devices.count)) <= bound, "\(weights): \(shares)")
            }
        }
    }

    @Test func onlyWhatMustMoveMoves() {
        var generator = SeededGenerator()
        for _ in 0..<20 {
            let clusters = (0..<Int.random(in: 3...6, using: &generator)).map {
                (index: $0, name: "c\($0)", weight: Int.random(in: 1...50, using: &generator))
            }
            let before = Placement(clusters)
            let lost = Int.random(in: 0..<clusters.count, using: &generator)
            let after = Placement(clusters.filter { $0.index != lost })
            var heavier = clusters
            heavier[lost].weight *= 2
            let grown = Placement(heavier)
            for device in devices.prefix(3000) {
                let former = before.cluster(of: device)
                if former != lost { #expect(after.cluster(of: device) == former, "others keep their devices when one leaves or joins") }
                let present = grown.cluster(of: device)
                #expect(present == former || present == lost, "a cluster that grows only takes")
            }
        }
    }

    @Test func doesNotDependOnTheOrderOrTheIndices() {
        let first = Placement([(0, "a", 3), (1, "b", 5), (2, "c", 2)])
        let second = Placement([(7, "c", 2), (8, "b", 5), (9, "a", 3)])
        let names = [0: "a", 1: "b", 2: "c", 7: "c", 8: "b", 9: "a"]
        for device in devices.prefix(2000) {
            #expect(first.cluster(of: device).flatMap { names[$0] } == second.cluster(of: device).flatMap { names[$0] })
        }
    }

    @Test func aClusterWithoutWeightIsTheLastResort() {
        #expect(Set(shares(Placement([(0, "a", 0), (1, "b", 1)])).keys) == [1])
        #expect(shares(Placement([(0, "a", 0), (1, "b", 0)])).count == 2)
        #expect(Placement([]).cluster(of: "x") == nil)
    }
}

@Suite struct LatencySelectorTests {
    @Test func takesTheFastestAndKeepsItUnlessAnotherIsClearlyFaster() {
        var selector = LatencySelector(weights: [1, 1])
        for _ in 0..<50 {
            selector.measured(.milliseconds(100), of: 0)
            selector.measured(.milliseconds(80), of: 1)
        }
        #expect(selector.select(among: [0], at: at(0)) == 0)
        #expect(selector.select(among: [0, 1], at: at(100)) == 0, "a fifth faster is not clearly faster")
        for _ in 0..<50 { selector.measured(.milliseconds(50), of: 1) }
        #expect(selector.select(among: [0, 1], at: at(101)) == 1)
        for _ in 0..<50 { selector.measured(.milliseconds(10), of: 0) }
        #expect(selector.select(among: [0, 1], at: at(110)) == 1, "a choice stands for a while")
        #expect(selector.select(among: [0, 1], at: at(132)) == 0)
        #expect(selector.select(among: [1], at: at(133)) == 1, "but not without its cluster")
        #expect(selector.select(among: [], at: at(134)) == nil)
    }

    @Test func aLighterClusterMustBeFasterInProportion() {
        var selector = LatencySelector(weights: [70, 35, 0])
        selector.measured(.milliseconds(100), of: 0)
        selector.measured(.milliseconds(51), of: 1)
        selector.measured(.milliseconds(1), of: 2)
        #expect(selector.select(among: [0, 1, 2], at: at(0)) == 0)
        #expect(selector.select(among: [1, 2], at: at(1)) == 1)
        #expect(selector.select(among: [2], at: at(2)) == 2, "without weight it is the last resort")
        var other = LatencySelector(weights: [70, 35, 0])
        other.measured(.milliseconds(100), of: 0)
        other.measured(.milliseconds(49), of: 1)
        #expect(other.select(among: [0, 1, 2], at: at(0)) == 1)
    }

    @Test func smallDifferencesOnAFastNetworkAreNoise() {
        var selector = LatencySelector(weights: [1, 1])
        selector.measured(.microseconds(900), of: 0)
        #expect(selector.select(among: [0], at: at(0)) == 0)
        selector.measured(.microseconds(300), of: 1)
        #expect(selector.select(among: [0, 1], at: at(1000)) == 0)
    }

    @Test func flappingCostsAndIsForgiven() {
        var selector = LatencySelector(weights: [1, 1])
        selector.measured(.milliseconds(100), of: 0)
        selector.measured(.milliseconds(40), of: 1)
        for second in 0..<3 { selector.lost(1, at: at(Double(second))) }
        #expect(selector.select(among: [0, 1], at: at(3)) == 0)
        #expect(selector.select(among: [0, 1], at: at(60)) == 0)
        #expect(selector.penalty(of: 1, at: at(0)) > selector.penalty(of: 1, at: at(240)))
        #expect(selector.select(among: [0, 1], at: at(1200)) == 1)
    }

    @Test func neverChangesMoreOftenThanItsDwellWhileBothCanBeUsed() {
        var generator = SeededGenerator()
        var selector = LatencySelector(weights: [1, 1, 1])
        var last: (cluster: Int, at: Int)?
        for second in 0..<5000 {
            for cluster in 0..<3 { selector.measured(.milliseconds(Int.random(in: 1...400, using: &generator)), of: cluster) }
            guard let chosen = selector.select(among: [0, 1, 2], at: at(Double(second))), chosen != last?.cluster else { continue }
            if let last { #expect(second - last.at >= 30) }
            last = (chosen, second)
        }
    }
}
