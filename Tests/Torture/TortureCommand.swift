internal import Foundation

/// `log-torture [--short] [--rounds N] [--seed S] [--round R] [--kind K] [--folder F]`: breaks logs and looks whether they hold.
///
/// Ends with 1 when a round failed; the folder of such a round is kept. `log-torture write PLAN` is the child.
@main
struct TortureCommand {
    private struct Tally {
        var passed = 0, skipped = 0, failed = 0, batches = 0, missing = 0, thinned: UInt64 = 0
    }

    static func main() async throws {
        var arguments = Array(CommandLine.arguments.dropFirst())
        if arguments.count == 2, arguments[0] == "write" {
            let plan = try JSONDecoder().decode(WriterPlan.self, from: Data(arguments[1].utf8))
            await TortureWriter(plan).run()
            return
        }
        let isShort = arguments.first == "--short"
        if isShort { arguments.removeFirst() }
        guard arguments.count % 2 == 0 else { return usage() }
        var options: [String: String] = [:]
        for index in stride(from: 0, to: arguments.count, by: 2) { options[arguments[index]] = arguments[index + 1] }
        guard Set(options.keys).isSubset(of: ["--rounds", "--seed", "--round", "--kind", "--folder"]) else { return usage() }
        let seed = options["--seed"].flatMap { UInt64($0) } ?? UInt64.random(in: 1...UInt64(UInt32.max))
        let first = options["--round"].flatMap { Int($0) }
        let rounds = options["--rounds"].flatMap { Int($0) } ?? (first == nil ? 20 : 1)
        let trouble = options["--kind"].flatMap { Trouble(rawValue: $0) }
        if options["--kind"] != nil, trouble == nil { return usage() }
        let failures = await torture(
            seed: seed, rounds: (first ?? 0)..<((first ?? 0) + rounds), trouble: trouble, isShort: isShort,
            folder: options["--folder"] ?? NSTemporaryDirectory())
        exit(failures == 0 ? 0 : 1)
    }

    /// Prints a line at once, also into a file or a pipe.
    private static func say(_ line: String) { FileHandle.standardOutput.write(Data((line + "\n").utf8)) }

    private static func usage() {
        say("usage: log-torture [--short] [--rounds N] [--seed S] [--round R] [--kind K] [--folder F]")
        say("kinds: " + Trouble.allCases.map(\.rawValue).joined(separator: " "))
        exit(64)
    }

    private static func torture(seed: UInt64, rounds: Range<Int>, trouble: Trouble?, isShort: Bool, folder: String) async -> Int {
        say("torture: SEED=\(seed), rounds \(rounds.lowerBound) to \(rounds.upperBound - 1)")
        var tallies: [Trouble: Tally] = [:]
        for number in rounds {
            let plan = TorturePlan(seed: seed, round: number, trouble: trouble, isShort: isShort)
            let base = folder + "/torture-\(getpid())-\(number)"
            var round = TortureRound(plan, folder: base)
            var tally = tallies[plan.trouble] ?? Tally()
            switch await round.run() {
            case .passed(let batches, let missing, let thinned, _):
                tally.passed += 1
                tally.batches += batches
                tally.missing += missing
                tally.thinned += thinned
                try? FileManager.default.removeItem(atPath: base)
            case .skipped(let reason):
                tally.skipped += 1
                if tally.skipped == 1 { say("skipped \(plan.trouble.rawValue): \(reason)") }
                try? FileManager.default.removeItem(atPath: base)
            case .failed(let reason, let notes):
                tally.failed += 1
                say("FAILED: SEED=\(seed) ROUND=\(number) KIND=\(plan.trouble.rawValue), kept in \(base)")
                for note in notes { say("  done: \(note)") }
                say("  \(reason)")
            }
            tallies[plan.trouble] = tally
        }
        say("kind                    passed  failed skipped     batches  gone and counted  thinned samples")
        for kind in Trouble.allCases {
            guard let tally = tallies[kind] else { continue }
            func column(_ number: some BinaryInteger, _ width: Int) -> String {
                String(repeating: " ", count: max(0, width - "\(number)".count)) + "\(number)"
            }
            say(
                kind.rawValue.padding(toLength: 22, withPad: " ", startingAt: 0) + column(tally.passed, 8) + column(tally.failed, 8)
                    + column(tally.skipped, 8) + column(tally.batches, 12) + column(tally.missing, 18) + column(tally.thinned, 17))
        }
        let failures = tallies.values.reduce(0) { $0 + $1.failed }
        say(failures == 0 ? "torture: passed" : "torture: \(failures) rounds FAILED")
        return failures
    }
}
