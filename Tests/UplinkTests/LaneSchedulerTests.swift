import GatewayCore
import Telemetry
import TestKit
import Testing

@testable import Uplink

private func at(_ seconds: Double) -> MonotonicInstant { MonotonicInstant(nanoseconds: 0).advanced(by: .seconds(seconds)) }
/// So long after midnight, UTC.
private func clock(_ hours: Int, _ minutes: Int = 0, day: Int64 = 19_000) -> Timestamp {
    Timestamp(nanoseconds: (day * 1440 + Int64(hours * 60 + minutes)) * 60_000_000_000)
}

@Suite struct LaneSchedulerTests {
    @Test func withoutRulesNothingWaits() {
        var scheduler = LaneScheduler(DeliveryRules())
        scheduler.sent(1 << 30, on: .backlog)
        #expect(scheduler.wait(for: .live, at: at(0), utc: clock(0)) == .zero)
        #expect(scheduler.wait(for: .backlog, at: at(0), utc: clock(0)) == .zero)
    }

    @Test func ratesHoldOverAnyMinuteAndABacklogPaysForItself() {
        var generator = SeededGenerator()
        for _ in 0..<20 {
            let rate = Int.random(in: 1000...100_000, using: &generator)
            let backlogRate = Int.random(in: 500...rate, using: &generator)
            var scheduler = LaneScheduler(DeliveryRules(bytesPerSecond: rate, backlogBytesPerSecond: backlogRate))
            var sent: [(at: Double, bytes: Int, lane: LogLane)] = []
            let largest = rate / 2
            var now = 0.0
            while now < 120 {
                for lane in [LogLane.live, .backlog] where scheduler.wait(for: lane, at: at(now), utc: clock(1)) == .zero {
                    let bytes = Int.random(in: 1...largest, using: &generator)
                    scheduler.sent(bytes, on: lane)
                    sent.append((now, bytes, lane))
                }
                now += Double.random(in: 0.001...0.2, using: &generator)
            }
            for begin in [0.0, 30, 60] {
                let minute = sent.filter { $0.at >= begin && $0.at < begin + 60 }
                let total = minute.reduce(0) { $0 + $1.bytes }
                let backlog = minute.reduce(0) { $1.lane == .backlog ? $0 + $1.bytes : $0 }
                #expect(total <= 61 * rate + largest)
                #expect(backlog <= 61 * backlogRate + largest)
                #expect(total > 30 * rate, "the limit is used")
            }
        }
    }

    @Test func aWaitThatIsWaitedForIsLongEnough() {
        var scheduler = LaneScheduler(DeliveryRules(bytesPerSecond: 1000))
        _ = scheduler.wait(for: .live, at: at(0), utc: clock(0))
        scheduler.sent(5000, on: .live)
        let wait = scheduler.wait(for: .live, at: at(0), utc: clock(0))
        #expect(wait > .seconds(3.9) && wait < .seconds(4.1))
        #expect(scheduler.wait(for: .live, at: at(wait.inSeconds + 0.001), utc: clock(0)) == .zero)
    }

    @Test func quietHoursHoldTheBacklogOrEverythingAlsoOverMidnight() {
        for allows in QuietHours.Allowance.allCases {
            var scheduler = LaneScheduler(DeliveryRules(quietHours: QuietHours(startMinute: 22 * 60, endMinute: 6 * 60, allows: allows)))
            func wait(_ lane: LogLane, _ time: Timestamp) -> Duration { scheduler.wait(for: lane, at: at(0), utc: time) }
            #expect(wait(.backlog, clock(21, 59)) == .zero)
            #expect(wait(.backlog, clock(22)) == .seconds(8 * 3600))
            #expect(wait(.backlog, clock(5, 59)) == .seconds(60))
            #expect(wait(.backlog, clock(6)) == .zero)
            #expect(wait(.live, clock(23)) == (allows == .live ? .zero : .seconds(7 * 3600)))
            #expect(wait(.live, clock(12)) == .zero)
        }
    }

    @Test func whatHoldsALaneBackIsTold() {
        let quiet = QuietHours(startMinute: 22 * 60, endMinute: 6 * 60, allows: .live)
        var scheduler = LaneScheduler(DeliveryRules(bytesPerSecond: 1000, quietHours: quiet, bytesPerDay: 1000))
        func hold(_ lane: LogLane, _ time: Timestamp) -> LaneHold.Reason? { scheduler.hold(on: lane, utc: time)?.reason }
        #expect(hold(.live, clock(12)) == nil && hold(.backlog, clock(12)) == nil)
        #expect(hold(.live, clock(23)) == nil && hold(.backlog, clock(23)) == .quietHours)
        scheduler.sent(1000, on: .live)
        #expect(hold(.live, clock(23)) == .dailyLimit)
        // The quiet hours go on when the new day brings its volume.
        #expect(hold(.backlog, clock(23)) == .quietHours)
        #expect(scheduler.hold(on: .backlog, utc: clock(23))?.rest == .seconds(7 * 3600))
    }

    @Test func theVolumeOfTheDayIsKnownAfterARestartAndAnotherDaysIsNot() {
        let former = DailyVolume(day: 19_000, bytes: 900, backlogBytes: 500)
        var scheduler = LaneScheduler(DeliveryRules(bytesPerDay: 1000), former: former)
        #expect(scheduler.wait(for: .live, at: at(0), utc: clock(8)) == .zero)
        #expect(scheduler.wait(for: .backlog, at: at(0), utc: clock(8)) == .seconds(16 * 3600))
        scheduler.sent(100, on: .live)
        #expect(scheduler.wait(for: .live, at: at(0), utc: clock(8)) == .seconds(16 * 3600))
        #expect(scheduler.wait(for: .live, at: at(0), utc: clock(8, day: 19_001)) == .zero && scheduler.volume.bytes == 0)
    }

    @Test func aDailyLimitLeavesHalfToLiveDataAndEndsAtMidnight() {
        var scheduler = LaneScheduler(DeliveryRules(bytesPerDay: 1000))
        _ = scheduler.wait(for: .backlog, at: at(0), utc: clock(8))
        scheduler.sent(500, on: .backlog)
        #expect(scheduler.wait(for: .backlog, at: at(0), utc: clock(8)) == .seconds(16 * 3600))
        #expect(scheduler.wait(for: .live, at: at(0), utc: clock(8)) == .zero)
        scheduler.sent(500, on: .live)
        #expect(scheduler.wait(for: .live, at: at(0), utc: clock(9)) == .seconds(15 * 3600))
        #expect(scheduler.wait(for: .live, at: at(0), utc: clock(0, day: 19_001)) == .zero)
    }
}

@Suite struct DelayWindowTests {
    /// A link of so many bytes per second, a queue without end, and a sender that fills the window.
    private func delay(bytesPerSecond: Double, base: Double, messageBytes: Int, seconds: Double) -> (rate: Double, delay: Double) {
        var window = DelayWindow(bytesMax: 4 << 20)
        var now = 0.0
        var linkFree = 0.0
        var onTheWay: [(sent: Double, arrives: Double)] = []
        var arrived = 0
        var delays: [Double] = []
        while now < seconds {
            while (onTheWay.count + 1) * messageBytes <= window.bytes || onTheWay.isEmpty {
                linkFree = max(linkFree, now) + Double(messageBytes) / bytesPerSecond
                onTheWay.append((now, linkFree + base))
            }
            let first = onTheWay.removeFirst()
            now = max(now, first.arrives)
            window.acknowledged(
                messageBytes, after: .seconds(now - first.sent), inFlight: (onTheWay.count + 1) * messageBytes, at: at(now))
            if now > seconds / 2 {
                delays.append(now - first.sent)
                arrived += messageBytes
            }
        }
        return (Double(arrived) / (seconds / 2), delays.reduce(0, +) / Double(max(delays.count, 1)))
    }

    @Test func aFastLinkIsFilled() {
        let result = delay(bytesPerSecond: 50e6, base: 0.02, messageBytes: 8000, seconds: 20)
        #expect(result.rate > 40e6, "\(result)")
    }

    @Test func aSlowLinkIsNotFlooded() {
        let result = delay(bytesPerSecond: 8000, base: 0.05, messageBytes: 2000, seconds: 300)
        #expect(result.rate > 7000, "\(result)")
        #expect(result.delay < 4, "4 MiB would wait for nine minutes: \(result)")
    }
}
