import Interlock
import Telemetry
import TestKit
import Testing

private let now = Timestamp(nanoseconds: 1_700_000_000_000_000_000)
private let ageMax = Duration.seconds(5)

private func value(_ value: Variant?, _ status: StatusCode = .good, age: Duration = .zero, reason: String? = nil) -> DataValue {
    DataValue(value: value, status: status, time: now.advanced(by: .zero - age), reason: reason)
}

private func tag(_ text: String) throws -> TagReference { try #require(TagReference(text)) }

private func verdict(_ text: String, _ values: [String: Variant]) throws -> Bool {
    let interlock = try Interlock(text)
    var readings: [TagReference: DataValue] = [:]
    for (name, content) in values { readings[try tag(name)] = value(content) }
    return interlock.verdict(readings, at: now, ageMax: ageMax) == .permits
}

@Suite struct InterlockTests {
    @Test(arguments: [
        ("p.speed < 50", true), ("p.speed < 10", false), ("p.speed <= 10", true), ("p.speed >= 10", true), ("p.speed > 10", false),
        ("p.speed == 10", true), ("p.speed != 10", false), ("10 == p.speed", true), ("p.on", true), ("!p.on", false), ("not p.off", true),
        ("p.on == true", true), ("p.off == 0", true), ("p.on && p.off", false), ("p.on || p.off", true), ("p.on and not p.off", true),
        ("p.off or p.on", true), ("p.off && p.off || p.on", true), ("p.off && (p.off || p.on)", false), ("!(p.on && p.off)", true),
        ("p.speed > -5", true), ("p.speed < 1e+3", true), ("p.speed < 1e-3", false), ("p.a/b.c == 2.5", true), ("true", true),
        ("!!p.on", true),
    ])
    func conditions(_ text: String, _ expected: Bool) throws {
        let values: [String: Variant] = [
            "p.speed": .double(10), "p.on": .bool(true), "p.off": .bool(false), "p.a/b.c": .float(2.5),
        ]
        #expect(try verdict(text, values) == expected, "\(text)")
    }

    @Test(arguments: [
        ("", 1, "the end"), ("p.a <", 6, "the end"), ("p.a = 3", 5, "=="), ("p.a < 3 <  p.b", 9, "chained"), ("(p.a < 3", 9, "')'"),
        ("p.a < 3)", 8, "the end"), ("speed < 3", 1, "this.speed"), ("5", 1, "compare"), ("p.a & p.b", 5, "&&"),
        ("p.a < 3 p.b", 9, "here is 'p.b'"),
        ("p.a < $x", 7, "no place"), ("(p.a) < 3", 7, "parentheses"), ("p.a == inf", 8, "inf"), (".a < 3", 1, "neither"),
        ("p. < 3", 1, "neither"),
        ("p.a == 0x10", 8, "neither"), ("&& p.a", 1, "expected"),
    ])
    func `what is no condition is told with its place`(_ text: String, _ column: Int, _ part: String) throws {
        let error = try #require(throws: InterlockError.self) { try Interlock(text) }
        #expect(error.column == column, "\(error)")
        #expect(error.message.contains(part), "\(error)")
    }

    @Test func `a tag that is bad, uncertain, old, unknown or no number forbids, also where it would not matter`() throws {
        let interlock = try Interlock("p.ok || p.other > 3")
        let ok = try tag("p.ok")
        let other = try tag("p.other")
        func reason(_ reading: DataValue?) -> String {
            var readings = [ok: value(.bool(true))]
            readings[other] = reading
            guard case .forbids(let reason) = interlock.verdict(readings, at: now, ageMax: ageMax) else { return "permits" }
            return reason
        }
        #expect(reason(value(.double(1))) == "permits")
        #expect(reason(nil).contains("p.other is not known"))
        #expect(
            reason(value(nil, .badTimeout, reason: "no answer in time")) == "p.other is BadTimeout (no answer in time), but must be Good")
        #expect(reason(value(.double(9), .uncertain)).contains("must be Good"))
        #expect(reason(value(.double(9), age: .seconds(6))).contains("old"))
        #expect(reason(value(.double(9), age: .seconds(-6))).contains("old"))
        #expect(reason(value(.double(.nan))).contains("not a number"))
        #expect(reason(value(.string("9"))).contains("not a number"))
    }

    @Test func `a condition that does not hold says what is`() throws {
        let interlock = try Interlock("pump-1.speed < 50 && this.mode == 2").bound(to: "valve")
        #expect(interlock.references == [try tag("pump-1.speed"), try tag("valve.mode")])
        let readings = [try tag("pump-1.speed"): value(.double(62)), try tag("valve.mode"): value(.uint(2))]
        #expect(
            interlock.verdict(readings, at: now, ageMax: ageMax)
                == .forbids("'pump-1.speed < 50 && this.mode == 2' does not hold: pump-1.speed is 62.0, valve.mode is 2"))
    }

    @Test func `limits hold`() {
        let deep = String(repeating: "(", count: 33) + "a.b" + String(repeating: ")", count: 33)
        let wide = (0..<17).map { "d.t\($0)" }.joined(separator: " && ")
        for text in [deep, String(repeating: "!", count: 40) + "a.b", wide, String(repeating: " ", count: 1001)] {
            #expect(throws: InterlockError.self) { try Interlock(text) }
        }
    }

    /// A condition made at random, and what it gives by a way of its own.
    private func random(_ generator: inout SeededGenerator, depth: Int) -> (text: String, holds: Bool) {
        switch Int.random(in: 0..<(depth > 0 ? 6 : 3), using: &generator) {
        case 0:
            let index = Int.random(in: 0..<4, using: &generator)
            let number = Int.random(in: -3...3, using: &generator)
            let comparisons: [(String, (Int, Int) -> Bool)] = [
                ("<", { $0 < $1 }), ("<=", { $0 <= $1 }), ("==", { $0 == $1 }), ("!=", { $0 != $1 }),
            ]
            let (word, test) = comparisons[Int.random(in: 0..<comparisons.count, using: &generator)]
            return ("d.n\(index) \(word) \(number)", test(index - 2, number))
        case 1: return ("d.yes", true)
        case 2: return ("d.no", false)
        case 3:
            let inner = random(&generator, depth: depth - 1)
            return ("!(\(inner.text))", !inner.holds)
        case 4:
            let (left, right) = (random(&generator, depth: depth - 1), random(&generator, depth: depth - 1))
            return ("(\(left.text)) && (\(right.text))", left.holds && right.holds)
        default:
            let (left, right) = (random(&generator, depth: depth - 1), random(&generator, depth: depth - 1))
            return ("(\(left.text) || \(right.text))", left.holds || right.holds)
        }
    }

    private let values: [String: Variant] = [
        "d.n0": .int(-2), "d.n1": .int(-1), "d.n2": .int(0), "d.n3": .int(1), "d.yes": .bool(true), "d.no": .bool(false),
    ]

    @Test func `random conditions give what they mean`() throws {
        var generator = SeededGenerator()
        for _ in 0..<500 {
            let (text, holds) = random(&generator, depth: 4)
            guard text.utf8.count <= Interlock.textBytesMax else { continue }
            #expect(try verdict(text, values) == holds, "\(text)")
        }
    }

    @Test func `mutated conditions are read or refused, never more`() {
        var generator = SeededGenerator()
        let pieces = ["(", ")", "!", "&&", "||", "<", "=", "d.n1", "1e", "-", ".", " ", "\u{0}", "é", "not", "9999999999999999999"]
        for _ in 0..<3000 {
            var scalars = Array(random(&generator, depth: 3).text)
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let place = Int.random(in: 0...scalars.count, using: &generator)
                if Bool.random(using: &generator), place < scalars.count {
                    scalars.remove(at: place)
                } else {
                    scalars.insert(contentsOf: pieces[Int.random(in: 0..<pieces.count, using: &generator)], at: place)
                }
            }
            let text = String(scalars)
            do throws(InterlockError) {
                _ = try Interlock(text).verdict([:], at: now, ageMax: ageMax)
            } catch {
                #expect((1...text.unicodeScalars.count + 1).contains(error.column), "\(text): \(error)")
            }
        }
    }
}
