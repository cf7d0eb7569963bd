import Foundation
import TestKit
import Testing

@testable import Definitions

@Suite struct ScalarTests {
    @Test(arguments: [
        ("1", 1.0), ("-0.5", -0.5), ("1e3", 1000), ("0x10", 16), ("0o17", 15), ("+7", 7), (".5", 0.5),
    ])
    func numbers(_ text: String, _ value: Double) { #expect(parseNumber(text) == value) }

    @Test(arguments: ["", "nan", ".nan", ".inf", "inf", "0x", "0x-1", "1_000", "1 ", " 1", "e", "-", "0x1p3", "١", "1e999", "--1"])
    func notNumbers(_ text: String) { #expect(parseNumber(text) == nil) }

    @Test(arguments: [
        ("100ms", Duration.milliseconds(100)), ("1s", .seconds(1)), ("1.5s", .milliseconds(1500)), ("1m", .seconds(60)),
        ("2min", .seconds(120)),
        ("1h", .seconds(3600)), ("1d", .seconds(86_400)), ("5us", .microseconds(5)), ("7ns", .nanoseconds(7)), ("0s", .zero),
    ])
    func durations(_ text: String, _ value: Duration) {
        #expect(QuantitySyntax.duration(text) == value)
        #expect(QuantitySyntax.duration(QuantitySyntax.text(value)) == value)
    }

    @Test(arguments: ["", "s", "1", "1 s", "-1s", "1y", "1.s", ".5s", "1..5s", "1e3s", "999999999999999999999d", "1S"])
    func notDurations(_ text: String) { #expect(QuantitySyntax.duration(text) == nil) }

    @Test(arguments: [("1GiB", Int64(1) << 30), ("8MiB", 8 << 20), ("1.5KiB", 1536), ("2GB", 2_000_000_000), ("10B", 10)])
    func sizes(_ text: String, _ value: Int64) {
        #expect(QuantitySyntax.bytes(text) == value)
        #expect(QuantitySyntax.bytes(QuantitySyntax.text(bytes: value)) == value)
    }

    @Test(arguments: ["", "1", "1gib", "GiB", "-1GiB", "99999999TiB"])
    func notSizes(_ text: String) { #expect(QuantitySyntax.bytes(text) == nil) }

    @Test(arguments: [
        ("", ""), ("a", "a"), ("$", "$"), ("a$b", "a$b"), ("${A}", "1"), ("x${A}y${B}", "x1y"), ("${B:-d}", "d"), ("${C:-}", ""),
        ("${C:-a:b}", "a:b"),
        ("$${A}", "${A}"), ("${D}", "${A}"),
    ])
    func expansions(_ text: String, _ value: String) {
        #expect(EnvironmentExpansion(environment: ["A": "1", "B": "", "D": "${A}"]).expand(text) == .text(value))
    }

    @Test(arguments: ["${C}", "${", "${}", "${1A}", "${A B}", "${A:d}", "${Ä}"])
    func notExpansions(_ text: String) {
        guard case .failure = EnvironmentExpansion(environment: ["A": "1"]).expand(text) else {
            Issue.record("'\(text)' was expanded")
            return
        }
    }

    @Test(
        arguments: [
            ("prot", ["port", "host"], "port"), ("unitt", ["unit"], "unit"), ("Scale", ["scale"], "scale"), ("xyz", ["host"], nil),
            ("", ["a"], nil), ("ab", ["ba"], "ba"),
        ] as [(String, [String], String?)])
    func nearest(_ name: String, _ names: [String], _ expected: String?) { #expect(nearestName(to: name, among: names) == expected) }

    /// The regular expressions of the JSON Schema and the loader's own tests are written apart and must agree.
    @Test func textFormatsAndTheirPatternsAgree() throws {
        let formats: [TextFormat] = [
            .name, .tagName, .tagReference, .semanticVersion, .address, .brokerURL, .topicLevel, .topicTemplate, .hostName, .clientID,
            .filePath("a"),
        ]
        var random = SeededGenerator()
        for format in formats {
            let expression = try NSRegularExpression(pattern: try #require(format.pattern))
            #expect(format.accepts(format.example))
            for _ in 0..<3000 {
                let text = random.mutated(format.example, alphabet: "aZ09_-./:#+@?[] {}$é\u{1}~")
                let range = NSRange(text.startIndex..., in: text)
                let matches = expression.firstMatch(in: text, range: range)?.range == range
                #expect(format.accepts(text) == matches, "'\(text)' as \(format.description), seed \(random.seed)")
            }
        }
    }

    @Test func quantitiesAndTheirPatternsAgree() throws {
        let duration = try NSRegularExpression(pattern: QuantitySyntax.durationPattern)
        let size = try NSRegularExpression(pattern: QuantitySyntax.sizePattern)
        var random = SeededGenerator()
        for _ in 0..<5000 {
            let text = random.mutated(
                "1.5min 2GiB 3us 4kB".split(separator: " ").map(String.init)[Int(random.next() % 4)], alphabet: "0.9smhdinuKGTB k")
            let range = NSRange(text.startIndex..., in: text)
            #expect(
                (QuantitySyntax.duration(text) != nil) == (duration.firstMatch(in: text, range: range) != nil),
                "'\(text)', seed \(random.seed)")
            #expect(
                (QuantitySyntax.bytes(text) != nil) == (size.firstMatch(in: text, range: range) != nil), "'\(text)', seed \(random.seed)")
        }
    }
}
