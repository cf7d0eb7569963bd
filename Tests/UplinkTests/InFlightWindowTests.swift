import GatewayCore
import Telemetry
import TestKit
import Testing

@testable import Uplink

private let now = MonotonicInstant(nanoseconds: 0)

@Suite struct InFlightWindowTests {
    private func position(_ number: UInt64) -> LogPosition { LogPosition(rawValue: number) }

    @Test func movesOnlyOverAContiguousPrefix() {
        var window = InFlightWindow(messagesMax: 8, bytesMax: 1000)
        let first = window.append(position(10), samples: 1, messages: 1, bytes: 5, at: now).ticket
        let second = window.append(position(20), samples: 2, messages: 2, bytes: 5, at: now).ticket
        let third = window.append(position(30), samples: 4, messages: 1, bytes: 5, at: now).ticket
        #expect(window.acknowledge(third, at: now)?.progress == nil)
        #expect(window.acknowledge(second, at: now)?.progress == nil)
        #expect(window.acknowledge(first, at: now)?.progress == .init(through: position(10), entries: 1, samples: 1))
        #expect(window.acknowledge(second, at: now)?.progress == .init(through: position(30), entries: 2, samples: 6))
        #expect(window.isEmpty && window.bytes == 0 && window.messages == 0)
    }

    @Test func entriesWithoutMessagesFollowWhatIsBeforeThem() {
        var window = InFlightWindow(messagesMax: 8, bytesMax: 1000)
        let first = window.append(position(1), samples: 1, messages: 1, bytes: 5, at: now).ticket
        #expect(window.append(position(2), samples: 0, messages: 0, bytes: 0, at: now).progress == nil)
        #expect(window.acknowledge(first, at: now)?.progress?.through == position(2))
        #expect(window.append(position(3), samples: 0, messages: 0, bytes: 0, at: now).progress?.through == position(3))
    }

    @Test func ignoresTicketsItDoesNotHave() {
        var window = InFlightWindow(messagesMax: 8, bytesMax: 1000)
        let ticket = window.append(position(1), samples: 1, messages: 1, bytes: 5, at: now).ticket
        #expect(window.acknowledge(ticket + 1, at: now) == nil)
        #expect(window.acknowledge(ticket, at: now) != nil)
        #expect(window.acknowledge(ticket, at: now) == nil)
    }

    @Test func isFullByCountAndByBytesAndTakesOneLargeEntry() {
        var count = InFlightWindow(messagesMax: 2, bytesMax: 1000)
        _ = count.append(position(1), samples: 1, messages: 1, bytes: 1, at: now)
        #expect(count.hasRoom)
        _ = count.append(position(2), samples: 1, messages: 1, bytes: 1, at: now)
        #expect(!count.hasRoom)
        var bytes = InFlightWindow(messagesMax: 100, bytesMax: 1000)
        #expect(bytes.hasRoom)
        _ = bytes.append(position(1), samples: 1, messages: 1, bytes: 5000, at: now)
        #expect(!bytes.hasRoom)
    }

    @Test func agreesWithASimpleModelForAnyOrderOfAcknowledgements() {
        var generator = SeededGenerator()
        for _ in 0..<200 {
            var window = InFlightWindow(messagesMax: 16, bytesMax: 500)
            var model: [(position: UInt64, ticket: UInt64, left: Int, samples: UInt64, bytes: Int)] = []
            var next: UInt64 = 1
            for _ in 0..<200 {
                if window.hasRoom, Bool.random(using: &generator) {
                    let messages = Int.random(in: 0...3, using: &generator)
                    let bytes = Int.random(in: 0...100, using: &generator)
                    let (ticket, progress) = window.append(position(next), samples: next, messages: messages, bytes: bytes, at: now)
                    model.append((next, ticket, messages, next, bytes))
                    check(progress, &model)
                    next += UInt64.random(in: 1...5, using: &generator)
                } else if let index = model.indices.filter({ model[$0].left > 0 }).randomElement(using: &generator) {
                    model[index].left -= 1
                    check(window.acknowledge(model[index].ticket, at: now)?.progress, &model)
                }
                #expect(window.messages == model.reduce(0) { $0 + $1.left })
                #expect(window.bytes == model.reduce(0) { $0 + $1.bytes })
            }
        }
        func check(
            _ progress: InFlightWindow.Progress?,
            _ model: inout [(position: UInt64, ticket: UInt64, left: Int, samples: UInt64, bytes: Int)]
        ) {
            let done = model.prefix { $0.left == 0 }
            #expect(progress?.through.rawValue == done.last?.position)
            #expect(progress?.samples ?? 0 == done.reduce(0) { $0 + $1.samples })
            model.removeFirst(done.count)
        }
    }
}

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
