import Telemetry
import TestKit
import Testing

@testable import Historian

@Suite("Names and times in questions")
struct QueryNamesTests {
    private static let streams: [StreamID: StreamDescriptor] = [
        StreamID(rawValue: 1): StreamDescriptor(
            device: "pump-1", group: "fast", tags: [Tag("bearing/temperature", .int16), Tag("speed", .int16)]),
        StreamID(rawValue: 2): StreamDescriptor(device: "pump-2", group: "fast", tags: [Tag("speed", .int16)]),
        StreamID(rawValue: 3): StreamDescriptor(device: "pump-1", group: "health", tags: [Tag("score", .uint8)]),
        // The group of pump-2 was changed twice: once by a tag more, once by another scale.
        StreamID(rawValue: 4): StreamDescriptor(device: "pump-2", group: "slow", tags: [Tag("flow", .int16), Tag("speed", .int16)]),
        StreamID(rawValue: 5): StreamDescriptor(device: "pump-2", group: "slow", tags: [Tag("speed", .int16, scaling: Scaling(scale: 2))]),
    ]

    @Test func aSeriesIsATagThroughAllItsStreams() {
        let all = Series.all(in: Self.streams)
        #expect(
            all.map(\.name) == [
                "pump-1/bearing/temperature", "pump-1/speed", "pump-1/Health/score", "pump-2/flow", "pump-2/speed", "pump-2/speed (2)",
            ])
        #expect(all[4].members == [TagID(stream: StreamID(rawValue: 5), index: 0)])
        #expect(all[5].members == [TagID(stream: StreamID(rawValue: 4), index: 1), TagID(stream: StreamID(rawValue: 2), index: 0)])
    }

    @Test(arguments: [
        ("pump-1/speed", ["pump-1/speed"]), ("pump-1.speed", ["pump-1/speed"]),
        ("pump-2", ["pump-2/flow", "pump-2/speed", "pump-2/speed (2)"]),
        ("*/speed", ["pump-1/speed", "pump-2/speed", "pump-2/speed (2)"]), ("pump-?/f*", ["pump-2/flow"]),
        ("pump-1/*temp*", ["pump-1/bearing/temperature"]), ("pump-1/Health/score", ["pump-1/Health/score"]),
        ("*.score", ["pump-1/Health/score"]), ("score", []),
        ("", []),
        ("*", ["pump-1/bearing/temperature", "pump-1/speed", "pump-1/Health/score", "pump-2/flow", "pump-2/speed", "pump-2/speed (2)"]),
    ])
    func patterns(_ pattern: String, _ names: [String]) {
        let (chosen, unmatched) = TagPattern.choose([TagPattern(pattern)], from: Series.all(in: Self.streams))
        #expect(chosen.map(\.name) == names)
        #expect(unmatched.isEmpty == !names.isEmpty)
    }

    @Test func starsDoNotMakeTheWorkExplode() {
        let long = StreamDescriptor(device: "a", group: "g", tags: [Tag(String(repeating: "a", count: 5000), .int8)])
        let pattern = TagPattern("a/" + String(repeating: "a*", count: 500) + "b")
        let (chosen, _) = TagPattern.choose([pattern], from: Series.all(in: [StreamID(rawValue: 1): long]))
        #expect(chosen.isEmpty)
    }

    @Test(arguments: [
        ("now", 0), ("15m", -900), ("-1h", -3600), ("now-2d", -172_800), ("1h30m", -5400), ("1w", -604_800), ("0s", 0),
    ])
    func spansBeforeNow(_ text: String, _ seconds: Int64) throws {
        let now = Timestamp(milliseconds: 1_700_000_000_000)
        let time = try #require(TimeExpression(text)).timestamp(now: now)
        #expect(time == now.advanced(by: .seconds(seconds)))
    }

    @Test func wholeTimes() throws {
        let now = Timestamp(nanoseconds: 5)
        #expect(try #require(TimeExpression("1970-01-02")).timestamp(now: now).nanoseconds == 86_400_000_000_000)
        #expect(try #require(TimeExpression("1970-01-01T01:00:00+01:00")).timestamp(now: now).nanoseconds == 0)
        #expect(
            try #require(TimeExpression("15250w")).timestamp(now: Timestamp(nanoseconds: -9_000_000_000_000_000_000)).nanoseconds == .min)
    }

    @Test(arguments: [
        "", "-", "h", "1", "1x", "now-", "now+1h", "1m1h", "1h1h", "--1h", "1.5h", "1H", "9999999999999999999s", "106752d", "15251w",
        "1970-13-01",
        "1970-02-30", "1h ", " 1h", "١h", "now-now", "1970-01-01T00:00", "-now",
    ])
    func whatIsNoTime(_ text: String) { #expect(TimeExpression(text) == nil, "\(text)") }

    @Test func noTextCrashesAndWhatIsReadIsWhatIsMeant() {
        var generator = SeededGenerator()
        let pieces = [
            "1", "0", "9", "-", "h", "m", "s", "ms", "w", "d", "now", "T", "Z", ":", "2026-03-01", "+", " ", "ü", "9223372036854775807",
            ".",
        ]
        for _ in 0..<20_000 {
            let text = (0..<Int.random(in: 0...7, using: &generator)).map { _ in pieces.randomElement(using: &generator) ?? "" }.joined()
            _ = TimeExpression(text)?.timestamp(now: Timestamp(nanoseconds: Int64.random(in: .min ... .max, using: &generator)))
        }
        for _ in 0..<2000 {
            var rest = Int64.random(in: 0...9_000_000_000_000_000_000, using: &generator) >> Int64.random(in: 0...60, using: &generator)
            let span = rest
            var text = ""
            for (name, size) in [
                ("w", 604_800_000_000_000), ("d", 86_400_000_000_000), ("h", 3_600_000_000_000), ("m", 60_000_000_000),
                ("s", 1_000_000_000), ("ns", 1),
            ] as [(String, Int64)] {
                if rest >= size || (name == "ns" && text.isEmpty) { text += "\(rest / size)\(name)" }
                rest %= size
            }
            #expect(Duration(compact: text)?.nanoseconds == span, "\(text)")
        }
    }
}
