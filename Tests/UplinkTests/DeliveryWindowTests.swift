import GatewayCore
import Telemetry
import TestKit
import Testing

@testable import Uplink

private let now = MonotonicInstant(nanoseconds: 0)

/// A window over entries that know their number, device and position.
private struct Bench {
    var window: DeliveryWindow
    var next: UInt64 = 1

    init(clusters: Int = 1, messages: Int = 8, bytes: Int = 1 << 20, share: Int = 50) {
        window = DeliveryWindow(clusterCount: clusters, limits: .init(messagesMax: messages, bytesMax: bytes, backlogSharePercent: share))
    }

    @discardableResult
    mutating func append(
        device: Int = 0, cluster: Int = 0, on lane: LogLane = .backlog, isAlarm: Bool = false, bytes: Int = 10
    ) -> UInt64 {
        defer { next += 1 }
        var batch = SampleBatch(
            stream: StreamID(rawValue: UInt32(device)), time: Timestamp(nanoseconds: 0), quality: [],
            values: [UInt8](repeating: 0, count: bytes))
        batch.sequence = next
        window.append(
            batch, at: LogPosition(rawValue: next), isFromDisk: false, samples: next, device: device, isAlarm: isAlarm, cluster: cluster,
            on: lane)
        return next
    }

    mutating func send(to cluster: Int = 0, atMost limit: Int = 100, backlog: Bool = true) -> [DeliveryWindow.Item] {
        let items = window.take(for: cluster, atMost: limit, at: now) { $0 ? backlog : true }
        for item in items {
            _ = window.sending(item.ticket, by: cluster, messages: 1, bytes: item.batch.values.count, at: now)
        }
        return items
    }

    mutating func acknowledge(_ ticket: UInt64, by cluster: Int = 0) -> DeliveryWindow.Progress? {
        window.acknowledge(ticket, by: cluster, at: now)?.progress
    }
}

private func numbers(_ items: [DeliveryWindow.Item]) -> [UInt64] { items.map { $0.batch.sequence } }

@Suite struct DeliveryWindowTests {
    @Test func movesOnlyOverAContiguousPrefix() {
        var bench = Bench()
        for _ in 0..<3 { bench.append() }
        let items = bench.send()
        #expect(bench.acknowledge(items[2].ticket) == nil)
        #expect(bench.acknowledge(items[1].ticket) == nil)
        let all = bench.acknowledge(items[0].ticket)
        #expect(all == .init(lane: .backlog, through: LogPosition(rawValue: 3), entries: 3, samples: 6))
        let again = bench.acknowledge(items[0].ticket)
        #expect(again == nil)
        #expect(bench.window.messages == 0)
    }

    @Test func entriesWithoutMessagesFollowWhatIsBeforeThem() {
        var bench = Bench()
        bench.append()
        let early = bench.window.pass(over: LogPosition(rawValue: 2), on: .backlog)
        #expect(early == nil)
        let items = bench.send()
        #expect(bench.acknowledge(items[0].ticket)?.through == LogPosition(rawValue: 2))
        let late = bench.window.pass(over: LogPosition(rawValue: 3), on: .backlog)
        #expect(late?.through == LogPosition(rawValue: 3))
    }

    @Test func isFullByCountAndByBytesAndTakesOneLargeEntry() {
        var count = Bench(messages: 2)
        for _ in 0..<3 { count.append() }
        #expect(numbers(count.send()) == [1, 2])
        #expect(count.send().isEmpty)
        var bytes = Bench(messages: 100, bytes: 1000)
        bytes.append(bytes: 5000)
        bytes.append(bytes: 1)
        let first = bytes.send()
        #expect(numbers(first) == [1])
        #expect(bytes.send().isEmpty)
        _ = bytes.acknowledge(first[0].ticket)
        #expect(numbers(bytes.send()) == [2])
    }

    @Test func freshDataGoesBeforeBacklogAndAlarmsBeforeBoth() {
        var bench = Bench()
        bench.window.didBeginLiveLane()
        bench.append(device: 1)
        bench.append(device: 2, isAlarm: true)
        bench.append(device: 1, on: .live)
        bench.append(device: 2, on: .live, isAlarm: true)
        #expect(numbers(bench.send()) == [4, 3, 2, 1])
    }

    @Test func backlogFillsNoMoreThanItsShareAndWaitsWhereItMust() {
        var bench = Bench(messages: 10, share: 30)
        bench.window.didBeginLiveLane()
        for _ in 0..<20 { bench.append() }
        #expect(bench.send(backlog: false).isEmpty)
        #expect(numbers(bench.send()) == [1, 2, 3])
        for _ in 0..<20 { bench.append(on: .live) }
        #expect(bench.send().count == 7)
    }

    @Test("scenario 07: whatever waits on one lane, the other may be read", arguments: [1, 4096])
    func lanesDoNotHoldUpEachOther(bytes: Int) {
        for full in LogLane.allCases {
            var bench = Bench()
            bench.window.didBeginLiveLane()
            while bench.window.room(on: full) > 0 { bench.append(on: full, bytes: bytes) }
            #expect(bench.window.waiting >= 1024)
            let other = full == .live ? LogLane.backlog : .live
            #expect(bench.window.room(on: other) > 0, "\(other) beside a full \(full)")
            for _ in 0..<3000 { for item in bench.send() { _ = bench.acknowledge(item.ticket) } }
            #expect(bench.window.waiting == 0 && bench.window.waitingBytes == 0 && bench.window.room(on: full) > 0)
        }
    }

    @Test func whatWasReadBeforeTheLiveLaneBeganStaysFreshAndBeforeIt() {
        var bench = Bench()
        bench.append()
        bench.append()
        bench.window.didBeginLiveLane()
        bench.append()
        bench.append(on: .live)
        #expect(numbers(bench.send()) == [1, 2, 4, 3])
    }

    @Test func aLiveLaneThatBeginsAnewForgetsWhatWaitsOnlyAfterWhatIsOnItsWayHasArrived() {
        var bench = Bench(messages: 1)
        bench.window.didBeginLiveLane()
        bench.append(on: .live)
        bench.append(on: .live)
        let sent = bench.send()
        let early = bench.window.endLiveLane()
        #expect(!early && sent.count == 1)
        #expect(bench.acknowledge(sent[0].ticket)?.through == LogPosition(rawValue: 1))
        #expect(bench.send().isEmpty)
        let late = bench.window.endLiveLane()
        #expect(late)
        bench.window.didBeginLiveLane()
        #expect(bench.window.waiting == 0)
        bench.append(on: .live)
        #expect(numbers(bench.send()) == [3])
    }

    @Test func whatWasOnItsWayToALostClusterGoesThroughTheOtherInOrder() {
        var bench = Bench(clusters: 2)
        for _ in 0..<3 { bench.append(device: 1, cluster: 0) }
        bench.append(device: 2, cluster: 1)
        let first = bench.send(to: 0, atMost: 2)
        let second = bench.send(to: 1)
        #expect(numbers(first) == [1, 2] && numbers(second) == [4])
        bench.window.reassign(leaving: 0) { _ in 1 }
        bench.append(device: 1, cluster: 1)
        #expect(bench.acknowledge(first[0].ticket, by: 0) == nil, "what a lost connection says late counts no more")
        let again = bench.send(to: 1)
        #expect(numbers(again) == [1, 2, 3, 5])
        for item in again { _ = bench.acknowledge(item.ticket, by: 1) }
        #expect(bench.acknowledge(second[0].ticket, by: 1)?.through == LogPosition(rawValue: 5))
        #expect(bench.window.messages == 0 && bench.window.waiting == 0 && bench.window.waitingBytes == 0)
    }

    @Test func devicesThatMoveWaitForWhatIsOnItsWay() {
        var bench = Bench(clusters: 2)
        bench.append(device: 1, cluster: 0)
        let sent = bench.send(to: 0)
        bench.append(device: 1, cluster: 0)
        bench.append(device: 2, cluster: 0)
        let isFree = bench.window.hold([1])
        #expect(!isFree)
        #expect(numbers(bench.send(to: 0)) == [3])
        _ = bench.acknowledge(sent[0].ticket)
        let isFreeNow = bench.window.hold([1])
        #expect(isFreeNow)
        bench.window.reassign(leaving: nil) { $0 == 1 ? 1 : 0 }
        #expect(bench.send(to: 0).isEmpty)
        #expect(numbers(bench.send(to: 1)) == [2])
    }

    /// Any mix of lanes, clusters, losses and orders of acknowledgement: every entry is acknowledged once and per device in order of sending.
    @Test func agreesWithASimpleModel() {
        var generator = SeededGenerator()
        for _ in 0..<60 {
            var bench = Bench(clusters: 3, messages: 6)
            if Bool.random(using: &generator) { bench.window.didBeginLiveLane() }
            var open = bench.window.hasLiveLane ? [LogLane.backlog, .live] : [.backlog]
            var placed = [0, 1, 2, 0, 1]
            var onTheWay: [(item: DeliveryWindow.Item, cluster: Int)] = []
            var done: Set<UInt64> = []
            var appended: [LogLane: [UInt64]] = [:]
            var through: [LogLane: UInt64] = [:]
            var lastSent: [String: UInt64] = [:]
            for step in 0..<600 {
                switch Int.random(in: 0..<10, using: &generator) {
                case 0...3 where step < 400:
                    let device = Int.random(in: 0..<5, using: &generator)
                    let lane = open.randomElement(using: &generator) ?? .backlog
                    appended[lane, default: []].append(bench.append(device: device, cluster: placed[device], on: lane))
                case 4, 5, 6:
                    let cluster = Int.random(in: 0..<3, using: &generator)
                    for item in bench.send(to: cluster, atMost: Int.random(in: 1...4, using: &generator)) {
                        let key = "\(item.batch.stream.rawValue) \(item.ticket & 1)"
                        #expect(item.batch.sequence > lastSent[key] ?? 0, "device and lane \(key)")
                        lastSent[key] = item.batch.sequence
                        onTheWay.append((item, cluster))
                    }
                case 7 where Int.random(in: 0..<8, using: &generator) == 0:
                    let lost = Int.random(in: 0..<3, using: &generator)
                    let other = (lost + 1) % 3
                    placed = placed.map { $0 == lost ? other : $0 }
                    let target = placed
                    // Only what was on its way to the lost one may be sent again.
                    for sent in onTheWay where sent.cluster == lost {
                        let key = "\(sent.item.batch.stream.rawValue) \(sent.item.ticket & 1)"
                        lastSent[key] = min(lastSent[key] ?? 0, sent.item.batch.sequence - 1)
                    }
                    onTheWay.removeAll { $0.cluster == lost }
                    bench.window.reassign(leaving: lost) { target[$0] }
                default:
                    guard let index = onTheWay.indices.randomElement(using: &generator) else { continue }
                    let sent = onTheWay.remove(at: index)
                    let isNew = done.insert(sent.item.batch.sequence).inserted
                    #expect(isNew)
                    if let progress = bench.acknowledge(sent.item.ticket, by: sent.cluster) {
                        #expect(progress.through.rawValue > through[progress.lane] ?? 0)
                        through[progress.lane] = progress.through.rawValue
                    }
                }
                for lane in LogLane.allCases {
                    let prefix = (appended[lane] ?? []).prefix { done.contains($0) }
                    #expect(through[lane] == prefix.last)
                }
                open = bench.window.hasLiveLane ? [.backlog, .live] : [.backlog]
            }
            #expect(bench.window.messages == onTheWay.count)
        }
    }
}
