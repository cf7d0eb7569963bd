import Telemetry
import Testing

@Suite("Timestamp")
struct TimestampTests {
    @Test(
        "RFC 3339 both ways",
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"), (951_782_400_000_000_000, "2000-02-29T00:00:00.000Z"),
            (1_772_352_131_250_000_000, "2026-03-01T08:02:11.250Z"), (-1_000_000, "1969-12-31T23:59:59.999Z"),
            (4_107_542_399_999_000_000, "2100-02-28T23:59:59.999Z"),
        ] as [(Int64, String)])
    func text(nanoseconds: Int64, text: String) {
        #expect(Timestamp(nanoseconds: nanoseconds).description == text)
        #expect(Timestamp(text)?.nanoseconds == nanoseconds)
    }

    @Test("offsets and nanoseconds are read")
    func offsets() {
        #expect(Timestamp("2026-03-01T09:02:11.25+01:00") == Timestamp("2026-03-01T08:02:11.250Z"))
        #expect(Timestamp("1970-01-01T00:00:00.123456789Z")?.nanoseconds == 123_456_789)
    }

    @Test(
        "anything else is refused",
        arguments: [
            "", "2026", "2026-13-01T00:00:00Z", "2026-02-29T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:00:00",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00.1234567890Z", "9999-01-01T00:00:00Z", "2026-01-01T00:00:00ZZ", "２026-01-01T00:00:00Z",
        ])
    func refused(text: String) { #expect(Timestamp(text) == nil) }

    @Test("milliseconds round down, before 1970 too")
    func milliseconds() {
        #expect(Timestamp(nanoseconds: 1_999_999).milliseconds == 1)
        #expect(Timestamp(nanoseconds: -1).milliseconds == -1)
        #expect(Timestamp(nanoseconds: -1_000_000).milliseconds == -1)
    }

    @Test("a duration beyond 64 bits of nanoseconds saturates")
    func saturation() {
        #expect(Duration.seconds(Int64.max).nanoseconds == .max)
        #expect(Duration.seconds(-10_000_000_000).nanoseconds == .min)
        #expect(Duration.milliseconds(1500).inSeconds == 1.5)
    }
}
