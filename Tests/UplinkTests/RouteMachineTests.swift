import GatewayCore
import Telemetry
import TestKit
import Testing

@testable import Uplink

@Suite struct RouteMachineTests {
    private var generator = SystemRandomNumberGenerator()

    @Test mutating func triesTheClustersInTheirOrderAndBacksOffAfterARound() {
        var machine = RouteMachine(clusterCount: 3, backoff: Backoff())
        #expect(machine.begin() == .connect(cluster: 0))
        #expect(machine.didFailToConnect(using: &generator) == .connect(cluster: 1))
        #expect(machine.didFailToConnect(using: &generator) == .connect(cluster: 2))
        guard case .wait = machine.didFailToConnect(using: &generator) else {
            Issue.record("no wait after a full round")
            return
        }
        #expect(machine.failures == 3)
        #expect(machine.begin() == .connect(cluster: 0))
    }

    @Test mutating func aClusterThatWasOfNoUseIsTriedLast() {
        for (duration, wasSilent) in [(Duration.seconds(1), false), (.seconds(60), true)] {
            var machine = RouteMachine(clusterCount: 3, backoff: Backoff())
            _ = machine.begin()
            _ = machine.didLoseConnection(after: duration, wasSilent: wasSilent, using: &generator)
            #expect(machine.begin() == .connect(cluster: 1))
            #expect(machine.didFailToConnect(using: &generator) == .connect(cluster: 2))
            #expect(machine.didFailToConnect(using: &generator) == .connect(cluster: 0), "the round goes on until all were tried")
            _ = machine.didFailToConnect(using: &generator)
            #expect(machine.begin() == .connect(cluster: 0))
            _ = machine.didFailToConnect(using: &generator)
            // The second stood for long: after it the first is preferred again.
            _ = machine.didLoseConnection(after: .seconds(60), using: &generator)
            #expect(machine.begin() == .connect(cluster: 0) && machine.failures == 1)
        }
    }

    @Test mutating func waitsLongerAfterEachRoundUpToItsBound() {
        var machine = RouteMachine(clusterCount: 1, backoff: Backoff(initial: .seconds(1), maximum: .seconds(8)))
        var waits: [Duration] = []
        for _ in 0..<50 {
            _ = machine.begin()
            if case .wait(let duration) = machine.didFailToConnect(using: &generator) { waits.append(duration) }
        }
        #expect(waits.count == 50)
        #expect(waits[0] <= .seconds(1) && waits[49] >= .seconds(4))
        #expect(waits.allSatisfy { $0 <= .seconds(8) })
    }

    @Test mutating func shortConnectionsDoNotResetTheBackoffAndGoodOnesDo() {
        var machine = RouteMachine(clusterCount: 1, backoff: Backoff(initial: .seconds(1), maximum: .seconds(64)))
        for _ in 0..<10 {
            _ = machine.begin()
            _ = machine.didLoseConnection(after: .seconds(1), using: &generator)
        }
        #expect(machine.failures == 10)
        guard case .wait(let long) = machine.didLoseConnection(after: .seconds(9), using: &generator),
            case .wait(let short) = machine.didLoseConnection(after: RouteMachine.goodAfter, using: &generator)
        else {
            Issue.record("a lost connection is followed by a wait")
            return
        }
        #expect(long >= .seconds(32) && short <= .seconds(1))
        #expect(machine.failures == 1)
    }

    @Test mutating func shortConnectionsOverWhichSomethingWentAreFollowedByShortWaits() {
        var machine = RouteMachine(clusterCount: 1, backoff: Backoff(initial: .milliseconds(500), maximum: .seconds(30)))
        func wait(_ action: RouteMachine.Action) -> Duration { if case .wait(let duration) = action { duration } else { .zero } }
        for _ in 0..<10 { _ = machine.didFailToConnect(using: &generator) }
        let wasSilent = wait(machine.didLoseConnection(after: .seconds(1), hasDelivered: true, wasSilent: true, using: &generator))
        #expect(wasSilent >= .seconds(15), "one that answers no more is as bad as none")
        for _ in 0..<10 {
            let next = wait(machine.didLoseConnection(after: .seconds(1), hasDelivered: true, using: &generator))
            #expect(next >= .seconds(2) && next <= RouteMachine.longestAfterDelivery, "two who push each other out must not do so at once")
        }
        #expect(wait(machine.didFailToConnect(using: &generator)) > .seconds(4), "and it grows again while none is reached")
    }
}

@Suite struct TopicTemplateTests {
    private let stream = StreamDescriptor(device: "pump/1+", group: "fast", tags: [])

    @Test func fillsItsPlaces() throws {
        let template = try TopicTemplate("plant/{site}/{device}/{group}/x", site: "a#b", resource: "route r")
        #expect(template.topic(for: stream) == "plant/a_b/pump_1_/fast/x")
    }

    @Test(arguments: ["", "a/{what}", "a/{site", "a/+/b", "a/#", String(repeating: "x", count: 70_000)])
    func refusesWhatGivesNoTopic(template: String) {
        #expect(throws: GatewayError.self) { try TopicTemplate(template, site: "s", resource: "route r") }
    }
}
