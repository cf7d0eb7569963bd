package import Telemetry

/// What can go wrong in a simulated machine; the raw value is the name used in fault scripts.
package enum FaultKind: String, CaseIterable, Sendable {
    case bearingWear
    case cavitation
    case coolantLoss
    case oilLoss
    case valveLeak
}

/// A fault whose severity goes from one level to another over some time and stays there.
package struct ScriptedFault: Sendable, Hashable {
    package var machine: MachineKind
    package var kind: FaultKind
    /// Seconds after the machine's start.
    package var start: Double
    /// How long the change takes, in seconds.
    package var duration: Double
    /// Severity at the start: 0 for none to 1 for grave.
    package var from: Double
    /// Severity at the end and from then on.
    package var to: Double

    package init(machine: MachineKind, kind: FaultKind, start: Double, duration: Double, from: Double, to: Double) {
        self.machine = machine
        self.kind = kind
        self.start = start
        self.duration = duration
        self.from = from
        self.to = to
    }
}

extension [ScriptedFault] {
    /// The severity of one fault at a time in seconds: that of the line that started last, 0 before the first.
    func severity(of kind: FaultKind, at elapsed: Double) -> Double {
        var latest: ScriptedFault?
        for fault in self where fault.kind == kind && elapsed >= fault.start && fault.start >= (latest?.start ?? 0) { latest = fault }
        guard let latest else { return 0 }
        guard latest.duration > 0 else { return latest.to }
        return latest.from + (latest.to - latest.from) * Swift.min((elapsed - latest.start) / latest.duration, 1)
    }
}

/// A timetable of faults, one a line: `10s feed-pump bearingWear 0..1 over 60s`.
///
/// A line is: when it begins, the machine, the fault, the severity from..to (0 for none to 1 for grave) and, after `over`, how long the
/// change takes (left out: at once). Times are numbers with `s`, `m` or `h`. Empty lines and what follows a `#` are comments.
package struct FaultScript: Sendable, Hashable {
    package var faults: [ScriptedFault]

    /// The most characters of a script.
    package static let lengthMax = 64 * 1024

    package init(faults: [ScriptedFault]) { self.faults = faults }

    /// The demonstration: the feed pump's bearing begins to wear after eight seconds and is gravely worn after twenty.
    package static let demo = FaultScript(faults: [
        ScriptedFault(machine: .feedPump, kind: .bearingWear, start: 8, duration: 12, from: 0, to: 1)
    ])

    /// The faults of one kind of machine.
    package func faults(of machine: MachineKind) -> [ScriptedFault] { faults.filter { $0.machine == machine } }

    /// Reads a script; throws `configurationInvalid` with the line's number, what stands there and what is allowed.
    package init(parsing text: String) throws(GatewayError) {
        guard text.utf8.count <= FaultScript.lengthMax else {
            throw GatewayError(
                .limitExceeded, resource: "fault script", operation: "parse",
                "the script has \(text.utf8.count) bytes, at most \(FaultScript.lengthMax) are allowed")
        }
        var faults: [ScriptedFault] = []
        var number = 0
        for line in text.split(omittingEmptySubsequences: false, whereSeparator: { $0.isNewline }) {
            number += 1
            let words = line.prefix { $0 != "#" }.split { $0.isWhitespace }.map(String.init)
            if words.isEmpty { continue }
            faults.append(try FaultScript.fault(of: words, line: number))
        }
        self.init(faults: faults)
    }

    private static func fault(of words: [String], line: Int) throws(GatewayError) -> ScriptedFault {
        func invalid(_ message: String) -> GatewayError {
            GatewayError(.configurationInvalid, resource: "fault script, line \(line)", operation: "parse", message)
        }
        guard words.count == 4 || words.count == 6 else {
            throw invalid("\(words.count) words, but a line is like \"10s feed-pump bearingWear 0..1 over 60s\"")
        }
        guard let start = seconds(words[0]) else {
            throw invalid("the start is \"\(words[0])\", allowed is a number with s, m or h, for example 10s")
        }
        guard let machine = MachineKind(rawValue: words[1]) else {
            let allowed = MachineKind.allCases.map(\.rawValue).joined(separator: ", ")
            throw invalid("the machine is \"\(words[1])\", allowed are \(allowed)")
        }
        guard let kind = FaultKind(rawValue: words[2]), machine.faultKinds.contains(kind) else {
            let allowed = machine.faultKinds.map(\.rawValue).joined(separator: ", ")
            throw invalid("the fault is \"\(words[2])\", allowed for \(machine.rawValue) are \(allowed)")
        }
        guard let (from, to) = severities(words[3]) else {
            throw invalid("the severity is \"\(words[3])\", allowed are two numbers from 0 to 1, for example 0..1")
        }
        var duration = 0.0
        if words.count == 6 {
            guard words[4] == "over" else { throw invalid("the fifth word is \"\(words[4])\", allowed is \"over\"") }
            guard let length = seconds(words[5]) else {
                throw invalid("the duration is \"\(words[5])\", allowed is a number with s, m or h, for example 60s")
            }
            duration = length
        }
        return ScriptedFault(machine: machine, kind: kind, start: start, duration: duration, from: from, to: to)
    }

    /// A time such as `10s`, `1.5m` or `2h`, in seconds; `nil` for anything else, negative and non-finite times included.
    private static func seconds(_ text: String) -> Double? {
        let factor: Double
        switch text.last {
        case "s": factor = 1
        case "m": factor = 60
        case "h": factor = 3600
        default: return nil
        }
        guard let number = Double(text.dropLast()), number >= 0, (number * factor).isFinite else { return nil }
        return number * factor
    }

    private static func severities(_ text: String) -> (from: Double, to: Double)? {
        // The two dots are searched for as a pair: "0.2..1" has a dot of its own.
        let characters = Array(text)
        guard characters.count >= 4 else { return nil }
        for index in 1..<(characters.count - 2) where characters[index] == "." && characters[index + 1] == "." {
            guard let from = Double(String(characters[..<index])), let to = Double(String(characters[(index + 2)...])),
                (0...1).contains(from), (0...1).contains(to)
            else { return nil }
            return (from, to)
        }
        return nil
    }
}
