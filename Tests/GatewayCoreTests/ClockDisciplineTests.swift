import GatewayCore
import Telemetry
import TestKit
import Testing

private let second: Int64 = 1_000_000_000
/// 2026-03-01T00:00:00Z.
private let march = Timestamp(nanoseconds: 1_772_323_200 * second)

/// A box whose clocks a test moves: true time, and what is wrong with the wall clock.
private struct Box {
    var monotonic: Int64 = 100 * second
    var wall: Int64
    var isSynchronized: Bool
    var discipline: ClockDiscipline

    init(wall: Timestamp, isSynchronized: Bool, trust: ClockTrust = .synchronized) {
        self.wall = wall.nanoseconds
        self.isSynchronized = isSynchronized
        discipline = ClockDiscipline(trust: trust)
    }

    var instant: MonotonicInstant { MonotonicInstant(nanoseconds: monotonic) }
    var stamp: ClockStamp { discipline.stamp(at: instant) }

    mutating func pass(_ nanoseconds: Int64) {
        monotonic += nanoseconds
        wall += nanoseconds
    }

    mutating func look() -> [ClockDiscipline.Event] {
        discipline.take(
            ClockReading(monotonic: instant, wall: Timestamp(nanoseconds: wall), isSynchronized: isSynchronized))
    }
}

@Suite("Clock discipline")
struct ClockDisciplineTests {
    @Test("a synchronized clock is certain from the start, and follows steps forward at once")
    func certain() {
        var box = Box(wall: march, isSynchronized: true)
        #expect(
            box.look() == [
                .mapped(ClockMapping(number: 1, offset: march.nanoseconds - 100 * second, isCertain: true))
            ])
        box.pass(second)
        #expect(box.look() == [])
        #expect(box.stamp == ClockStamp(time: march.advanced(by: .seconds(1))))
        box.wall += 3600 * second
        #expect(box.look() == [.steppedForward(by: .seconds(3600))])
        #expect(box.stamp == ClockStamp(time: march.advanced(by: .seconds(3601))))
    }

    @Test("a step back is slewed at half speed, uncertain while more than half a second is missing")
    func slew() {
        var box = Box(wall: march, isSynchronized: true)
        _ = box.look()
        box.wall -= 10 * second
        #expect(box.look() == [.slewing(by: .seconds(-10))])
        #expect(box.stamp == ClockStamp(time: march, isUncertain: true))
        box.pass(10 * second)
        #expect(box.look() == [])
        #expect(box.stamp == ClockStamp(time: march.advanced(by: .seconds(5)), isUncertain: true))
        box.pass(9 * second)
        #expect(box.stamp == ClockStamp(time: march.advanced(by: .milliseconds(9500)), isUncertain: false))
        box.pass(2 * second)
        #expect(box.look() == [])
        #expect(box.stamp == ClockStamp(time: Timestamp(nanoseconds: box.wall)))
    }

    @Test("before it is synchronized every step corrects the past, and the synchronization ends that")
    func uncertain() {
        var box = Box(wall: Timestamp(nanoseconds: 30 * second), isSynchronized: false)
        #expect(
            box.look() == [.mapped(ClockMapping(number: 1, offset: -70 * second, isCertain: false)), .uncertain])
        #expect(box.stamp == ClockStamp(time: Timestamp(nanoseconds: 30 * second), isUncertain: true, mapping: 1))
        box.pass(600 * second)
        let by = march.nanoseconds - box.wall
        box.wall = march.nanoseconds
        #expect(
            box.look() == [
                .mapped(ClockMapping(number: 2, offset: march.nanoseconds - box.monotonic, isCertain: false)),
                .corrected(by: .nanoseconds(by)),
            ])
        #expect(box.stamp == ClockStamp(time: march, isUncertain: true, mapping: 2))
        // Back to 1970 though we know better: not followed.
        box.wall = 0
        #expect(box.look() == [.disbelieved(by: .nanoseconds(-march.nanoseconds))])
        #expect(box.look() == [])
        box.wall = march.nanoseconds + second
        box.isSynchronized = true
        #expect(
            box.look() == [
                .mapped(ClockMapping(number: 3, offset: box.wall - box.monotonic, isCertain: true)),
                .synchronized(correctedBy: .seconds(1)),
            ])
        #expect(box.stamp == ClockStamp(time: march.advanced(by: .seconds(1))))
    }

    @Test(
        "a step that nothing vouches for is not followed, and told once",
        arguments: [-march.nanoseconds, -3600 * second, 86_400 * second])
    func disbelieved(step: Int64) {
        var box = Box(wall: march, isSynchronized: true)
        _ = box.look()
        // The kernel loses its synchronization with every step that is not NTP's.
        box.wall += step
        box.isSynchronized = false
        #expect(box.look() == [.disbelieved(by: .nanoseconds(step))])
        for _ in 0..<5 {
            box.pass(second)
            #expect(box.look() == [])
        }
        #expect(box.stamp == ClockStamp(time: march.advanced(by: .seconds(5)), isUncertain: true))
        box.wall -= step
        box.isSynchronized = true
        #expect(box.look() == [.believed])
        #expect(box.stamp == ClockStamp(time: march.advanced(by: .seconds(5))))
    }

    @Test("a kernel that lost its time server keeps good time")
    func holdover() {
        var box = Box(wall: march, isSynchronized: true)
        _ = box.look()
        box.isSynchronized = false
        box.pass(86_400 * second)
        #expect(box.look() == [])
        #expect(!box.stamp.isUncertain)
    }

    @Test("a step back of hours beyond the slewing limit is followed and told")
    func steppedBack() {
        var box = Box(wall: march, isSynchronized: true)
        _ = box.look()
        box.wall -= 86_400 * second
        #expect(box.look() == [.steppedBack(by: .seconds(-86_400))])
        #expect(box.stamp == ClockStamp(time: Timestamp(nanoseconds: box.wall)))
    }

    @Test("a plant without a time server trusts the clock as soon as it is possible")
    func trustSystem() {
        var box = Box(wall: march, isSynchronized: false, trust: .system)
        _ = box.look()
        #expect(!box.stamp.isUncertain)
        box.wall += 3600 * second
        #expect(box.look() == [.steppedForward(by: .seconds(3600))])
        box.wall = 5 * second
        #expect(box.look().count == 1)
        #expect(box.stamp == ClockStamp(time: march.advanced(by: .seconds(3600)), isUncertain: true))

        var flat = Box(wall: Timestamp(nanoseconds: 946_684_800 * second), isSynchronized: false, trust: .system)
        _ = flat.look()
        #expect(flat.stamp.isUncertain)
    }

    @Test("random clocks: corrected stamps never go back, certain ones are right, and every clock that is left alone is met")
    func property() {
        let seed = seedOfThisRun()
        var random = SeededGenerator(seed: seed)
        for round in 0..<400 {
            let trust: ClockTrust = Bool.random(using: &random) ? .synchronized : .system
            let begins = [Timestamp(nanoseconds: 0), Timestamp(nanoseconds: 946_684_800 * second), march]
            let begin = begins.randomElement(using: &random) ?? march
            var box = Box(wall: begin, isSynchronized: Bool.random(using: &random), trust: trust)
            var offset: Int64 = 0
            // The last stamp, as a log would show it now: uncertain ones move with the mapping.
            var last: (time: Int64, isCorrectable: Bool)?
            for turn in 0..<120 {
                if Int.random(in: 0..<12, using: &random) == 0 {
                    let steps: [Int64] = [
                        march.nanoseconds - box.wall, -box.wall, 3600 * second, -3600 * second, 10 * second, -10 * second,
                        Int64.random(in: -second...second, using: &random), 400 * 86_400 * second,
                    ]
                    box.wall += steps.randomElement(using: &random) ?? 0
                    if Bool.random(using: &random) { box.isSynchronized.toggle() }
                }
                let events = box.look()
                for event in events {
                    switch event {
                    case .mapped(let mapping):
                        if let former = last, former.isCorrectable {
                            last = (former.time + mapping.offset - offset, !mapping.isCertain)
                        }
                        offset = mapping.offset
                    case .steppedBack(let step):
                        #expect(step < .zero - ClockDiscipline.slewMax, "seed \(seed)")
                        last = nil
                    default: break
                    }
                }
                let stamp = box.stamp
                let time = stamp.time.nanoseconds
                if let last { #expect(time >= last.time, "seed \(seed), round \(round), turn \(turn): \(events)") }
                let isBelieved =
                    box.wall >= ClockDiscipline.plausibleFrom.nanoseconds && (trust == .system || box.isSynchronized)
                if isBelieved, !stamp.isUncertain {
                    #expect(abs(time - box.wall) <= 500_000_000 + 1_000_000, "seed \(seed), round \(round), turn \(turn)")
                }
                if stamp.isUncertain == false { #expect(stamp.mapping == 0, "seed \(seed)") }
                last = (time, stamp.mapping != 0)
                box.pass(Int64.random(in: 1...2 * second, using: &random))
                let next = box.stamp.time.nanoseconds
                #expect(next >= time, "seed \(seed), round \(round), turn \(turn)")
                last = (next, box.stamp.mapping != 0)
            }
            if box.wall < ClockDiscipline.plausibleFrom.nanoseconds { box.wall = march.nanoseconds }
            box.isSynchronized = true
            _ = box.look()
            box.pass(4 * 3600 * second + second)
            #expect(box.look().allSatisfy { $0 == .believed }, "seed \(seed), round \(round)")
            #expect(abs(box.stamp.time.nanoseconds - box.wall) <= 1_000_000, "seed \(seed), round \(round)")
            #expect(!box.stamp.isUncertain, "seed \(seed), round \(round)")
        }
    }

    @Test("the name of the boot is read, and nothing else is taken for one")
    func bootID() {
        #expect(BootID("a5658f5c-9cec-4cd6-8a7a-c0f703f0746b") == BootID(high: 0xA565_8F5C_9CEC_4CD6, low: 0x8A7A_C0F7_03F0_746B))
        let wrong = [
            "", "a5658f5c9cec4cd68a7ac0f703f0746b", "+5658f5c-9cec-4cd6-8a7a-c0f703f0746b", "g5658f5c-9cec-4cd6-8a7a-c0f703f0746b",
        ]
        for text in wrong {
            #expect(BootID(text) == nil)
        }
        #expect(BootID.current() == BootID.current())
        #expect(BootID.current(file: "/nonexistent") != BootID.current(file: "/nonexistent"))
    }

    @Test("a log knows of a mapping before the first stamp that it told, and corrects a batch that was on its way")
    func disciplinedTime() throws {
        let clock = ManualTime()
        clock.setSynchronized(false)
        clock.setWallClock(Timestamp(nanoseconds: 5 * second))
        let time = DisciplinedTime(clock: clock, trust: .synchronized)
        let log = MemoryLog()
        time.tell(log, time.firstEvents)
        let descriptor = StreamDescriptor(device: "d", group: "g", tags: [])
        func batch(_ stamp: ClockStamp) -> SampleBatch {
            var batch = SampleBatch(stream: log.register(descriptor), descriptor: descriptor, time: stamp.time, status: .good)
            batch.stamp = stamp
            return batch
        }
        log.append(batch(time.stamp))
        clock.advance(by: .seconds(1))
        let onItsWay = batch(time.stamp)
        clock.setWallClock(march)
        clock.setSynchronized(true)
        _ = time.update(log)
        log.append(onItsWay)
        log.append(batch(time.stamp))
        #expect(log.batches.map(\.time) == [march.advanced(by: .seconds(-1)), march, march])
        #expect(log.batches.allSatisfy { !$0.isTimeUncertain })
    }
}
