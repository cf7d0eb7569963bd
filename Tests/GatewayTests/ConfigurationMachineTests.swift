import Definitions
import Foundation
import GatewayCore
import Telemetry
import TestKit
import Testing

@testable import Gateway

/// Documents of a site with some devices, loaded from texts that no file has.
private enum Documents {
    static func load(_ devices: [String: Int], comment: String = "", spec: String = "") -> LoadedConfiguration {
        let list = devices.sorted { $0.key < $1.key }.map {
            "    - {name: \($0.key), definition: plc, connection: {modbusTCP: {host: h, port: \($0.value)}}}"
        }
        let text = """
            # \(comment)
            apiVersion: edge.indusedge.io/v1
            kind: ProtocolDefinition
            metadata: {name: plc, version: 1.0.0}
            spec:
              protocol: modbus
              scanGroups: {fast: 1s}
              tags: [{name: a, address: "holding:1", type: uint16}, {name: b, address: "holding:2", type: uint16}]
            ---
            apiVersion: edge.indusedge.io/v1
            kind: Site
            metadata: {name: plant}
            spec:
              healthGate: {within: 10s, goodTagsDropMax: 20%}
              devices:
            \(list.joined(separator: "\n"))
            \(spec)
            """
        return ConfigurationLoader().load(
            ConfigurationBundle(given: ["site.yaml"], files: [.init(path: "site.yaml", text: text)]), environment: [:])
    }

    static func configuration(_ loaded: LoadedConfiguration) throws -> Configuration {
        Configuration(site: try #require(loaded.site, "\(loaded.diagnostics)"), bundle: loaded.bundle)
    }
}

private func quality(_ good: [String: Set<String>], all: Set<String> = ["a", "b"]) -> TagQuality {
    TagQuality(devices: good.mapValues { TagQuality.Device(all: all, good: $0) })
}

@Suite("Configuration machine")
struct ConfigurationMachineTests {
    private let both: Set<String> = ["a", "b"]
    private let start = MonotonicInstant(nanoseconds: 0)

    private func machine(_ devices: [String: Int] = ["p": 1, "q": 1]) throws -> ConfigurationMachine {
        ConfigurationMachine(running: try Documents.configuration(Documents.load(devices)))
    }

    /// Takes a document that is to be applied, and applies it.
    private func apply(
        _ loaded: LoadedConfiguration, to machine: inout ConfigurationMachine, before: TagQuality, at now: MonotonicInstant
    ) throws -> ConfigurationMachine.Action {
        let action = machine.take(loaded)
        guard case .apply(_, let next) = action else {
            Issue.record("not applied: \(action)")
            return action
        }
        return machine.didApply(next, before: before, at: now)
    }

    @Test("a good change is accepted when its time is over, not before, and is the last known good one then")
    func accepted() throws {
        var machine = try machine()
        let first = machine.running
        let changed = Documents.load(["p": 1, "q": 2])
        #expect(try apply(changed, to: &machine, before: quality(["p": both, "q": both]), at: start) == .none)
        #expect(machine.lastKnownGood == first && machine.running != first)
        // Right after the change the device is being connected to.
        #expect(machine.tick(at: start.advanced(by: .seconds(9)), tags: quality(["p": both, "q": []])) == .none)
        let action = machine.tick(at: start.advanced(by: .seconds(10)), tags: quality(["p": both, "q": both]))
        #expect(action == .accept(try Documents.configuration(changed), remarks: []))
        #expect(machine.lastKnownGood == machine.running && machine.gate == nil)
        #expect(machine.tick(at: start.advanced(by: .seconds(99)), tags: quality(["p": [], "q": []])) == .none)
    }

    @Test("a change that loses tags is taken back with the reason, and not tried again before its content changes")
    func rolledBack() throws {
        var machine = try machine()
        let good = machine.running
        let bad = Documents.load(["p": 1, "q": 2])
        _ = try apply(bad, to: &machine, before: quality(["p": both, "q": both]), at: start)
        let action = machine.tick(at: start.advanced(by: .seconds(10)), tags: quality(["p": both, "q": ["a"]]))
        guard case .rollBack(let difference, let target, let reason) = action else { throw CancellationError() }
        #expect(target == good && difference.devices.map(\.name) == ["q"])
        #expect(reason.contains("of 4 tags that were good before the change, 3 are good") && reason.contains("q lost 1 of 2"), "\(reason)")
        machine.didRollBack(to: good)
        #expect(machine.take(bad) == .none)
        guard case .apply = machine.take(Documents.load(["p": 1, "q": 2], comment: "again")) else { throw CancellationError() }
    }

    @Test("the same in other words is kept and changes nothing; the very same is not even kept")
    func identical() throws {
        var machine = try machine()
        #expect(machine.take(Documents.load(["p": 1, "q": 1])) == .none)
        let reworded = Documents.load(["p": 1, "q": 1], comment: "hello")
        #expect(machine.take(reworded) == .keep(try Documents.configuration(reworded)))
        #expect(machine.take(reworded) == .none)
    }

    @Test("a document with errors is refused once per content, and what was there before is nothing new")
    func refused() throws {
        var machine = try machine()
        let running = machine.running
        let broken = Documents.load(["p": 99_999])
        guard case .refuse(let reasons) = machine.take(broken) else { throw CancellationError() }
        #expect(reasons.count == 1 && reasons[0].hasPrefix("site.yaml:") && reasons[0].contains("99999"), "\(reasons)")
        #expect(machine.take(broken) == .none && machine.running == running)
        guard case .refuse = machine.take(Documents.load(["p": 99_999], comment: "x")) else { throw CancellationError() }
        #expect(machine.take(Documents.load(["p": 1, "q": 1])) == .none)
        // It came back: told again.
        guard case .refuse = machine.take(broken) else { throw CancellationError() }
    }

    @Test("what needs a restart is refused as a whole")
    func needsRestart() throws {
        var machine = try machine()
        guard case .refuse(let reasons) = machine.take(Documents.load(["p": 5], spec: "  log: {path: elsewhere}")) else {
            throw CancellationError()
        }
        #expect(reasons.count == 1 && reasons[0].hasPrefix("log.path data → elsewhere"))
    }

    @Test("a second change during a trial is measured from before the first, and both are taken back together")
    func secondChange() throws {
        var machine = try machine()
        let good = machine.running
        _ = try apply(Documents.load(["p": 1, "q": 2]), to: &machine, before: quality(["p": both, "q": both]), at: start)
        let later = start.advanced(by: .seconds(5))
        _ = try apply(Documents.load(["p": 1, "q": 3]), to: &machine, before: quality(["p": both, "q": []]), at: later)
        #expect(machine.tick(at: start.advanced(by: .seconds(10)), tags: quality(["p": both, "q": []])) == .none)
        guard case .rollBack(_, let target, _) = machine.tick(at: later.advanced(by: .seconds(10)), tags: quality(["p": both, "q": []]))
        else {
            throw CancellationError()
        }
        #expect(target == good)
    }

    @Test("back to the last known good document by hand: nothing is left to judge")
    func takenBackByHand() throws {
        var machine = try machine()
        let original = Documents.load(["p": 1, "q": 1])
        _ = try apply(Documents.load(["p": 1, "q": 2]), to: &machine, before: quality(["p": both, "q": both]), at: start)
        let action = try apply(original, to: &machine, before: quality(["p": both, "q": []]), at: start)
        #expect(action == .accept(try Documents.configuration(original), remarks: []) && machine.gate == nil)
    }

    @Test("a change of nothing that has tags is accepted at once")
    func routesOnly() throws {
        var machine = try machine()
        let changed = Documents.load(["p": 1, "q": 1], spec: "  scoring: {enabled: false}")
        #expect(
            try apply(changed, to: &machine, before: quality([:]), at: start) == .accept(try Documents.configuration(changed), remarks: []))
    }

    @Test("what cannot be carried out is not tried again before its content changes")
    func notApplied() throws {
        var machine = try machine()
        let changed = Documents.load(["p": 2, "q": 1])
        guard case .apply(_, let next) = machine.take(changed) else { throw CancellationError() }
        machine.didNotApply(next)
        #expect(machine.take(changed) == .none && machine.gate == nil)
    }
}

@Suite("Health gate")
struct HealthGateTests {
    private let over = MonotonicInstant(nanoseconds: 60_000_000_000)

    private func gate(_ before: TagQuality, dropMax: Double = 0.1) -> HealthGate {
        HealthGate(
            settings: HealthGateSettings(within: .seconds(60), goodTagsDropMax: dropMax), before: before,
            appliedAt: MonotonicInstant(nanoseconds: 0))
    }

    @Test("removed tags do not count, new ones count only as new")
    func comparable() {
        let gate = gate(quality(["p": ["a", "b"], "gone": ["a", "b"]]))
        var after = quality(["p": ["a"]], all: ["a"])
        after.devices["new"] = .init(all: ["x", "y"], good: ["x"])
        #expect(gate.verdict(on: after, at: over) == .accepted(remarks: ["1 of 2 new tags of device new are good"]))
        // A tag that is still there and bad is lost, even if a new one of the same device is good.
        let lost = TagQuality(devices: ["p": .init(all: ["a", "b", "c"], good: ["a", "c"])])
        guard case .refused(let reason)? = gate.verdict(on: lost, at: over) else {
            Issue.record("accepted")
            return
        }
        #expect(reason.contains("at most 10 % may be lost") && reason.contains("p lost 1 of 2"), "\(reason)")
    }

    @Test("nothing was good before: nothing can be lost; 100% takes nothing back")
    func nothingToLose() {
        #expect(gate(quality(["p": []])).verdict(on: quality(["p": []]), at: over) == .accepted(remarks: []))
        #expect(gate(quality(["p": ["a", "b"]]), dropMax: 1).verdict(on: quality(["p": []]), at: over) == .accepted(remarks: []))
        #expect(gate(quality(["p": ["a", "b"]]), dropMax: 0).verdict(on: quality(["p": ["a", "b"]]), at: over) == .accepted(remarks: []))
    }

    @Test("any tags, any limit: refused exactly when more than the share of what was good is lost")
    func property() {
        var random = SeededGenerator()
        for _ in 0..<2000 {
            let count = Int.random(in: 1...40, using: &random)
            let all = Set((0..<count).map { "t\($0)" })
            let before = all.filter { _ in Bool.random(using: &random) }
            let after = all.filter { _ in Bool.random(using: &random) }
            let limit = Double(Int.random(in: 0...10, using: &random)) / 10
            let verdict = gate(quality(["p": before], all: all), dropMax: limit).verdict(on: quality(["p": after], all: all), at: over)
            let isLost = Double(before.count - after.count) > Double(before.count) * limit
            if isLost {
                guard case .refused? = verdict else {
                    Issue.record(
                        "seed \(random.seed): \(before.count) → \(after.count) of \(count) at \(limit): \(String(describing: verdict))")
                    return
                }
            } else {
                #expect(verdict == .accepted(remarks: []), "seed \(random.seed)")
            }
        }
    }
}

@Suite("File watch")
struct FileWatchTests {
    private func stamps(_ size: Int64, _ seconds: Int64 = 0) -> [String: FileStamp?] {
        ["f": FileStamp(size: size, seconds: seconds)]
    }

    @Test("files are read when they changed and have come to rest, once")
    func rest() {
        var watch = FileWatch()
        watch.willRead(stamps(1))
        let looks = [stamps(1), stamps(2), stamps(3), stamps(3), stamps(3), stamps(3, 1), stamps(3, 1)].map { watch.look($0) }
        #expect(looks == [false, false, false, true, false, false, true])
    }

    @Test("a file that goes or comes is a change, and so is another list of files")
    func comingAndGoing() {
        var watch = FileWatch()
        watch.willRead(stamps(1))
        let gone: [String: FileStamp?] = ["f": FileStamp?.none]
        #expect([gone, gone, stamps(1), stamps(1)].map { watch.look($0) } == [false, true, false, true])
        var more = stamps(1)
        more["g"] = FileStamp(size: 1, seconds: 1)
        #expect([more, more, more].map { watch.look($0) } == [false, true, false])
    }

    @Test("a real file: written, replaced, touched, removed")
    func realFile() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/f"
        #expect(FileStamp(of: path) == nil)
        try "a".write(toFile: path, atomically: true, encoding: .utf8)
        let first = try #require(FileStamp(of: path))
        #expect(FileStamp(of: path) == first)
        try "b".write(toFile: path, atomically: true, encoding: .utf8)
        #expect(FileStamp(of: path) != first)
    }
}

@Suite("Kept configuration")
struct ConfigurationStoreTests {
    private let bundle = ConfigurationBundle(given: ["site.yaml"], files: [.init(path: "site.yaml", text: "ä\n\"x\"\u{0}")])

    @Test("what was kept is read again; any damage is noticed and taken for nothing")
    func damage() throws {
        var random = SeededGenerator()
        let folder = try TemporaryFolder()
        let store = ConfigurationStore(logPath: folder.path)
        #expect(store.lastKnownGood() == nil && store.status() == nil)
        try store.save(bundle, at: Timestamp(nanoseconds: 1_700_000_000_000_000_000))
        #expect(store.lastKnownGood()?.bundle == bundle)
        let path = folder.path + "/configuration/last-known-good.json"
        let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: path)))
        for _ in 0..<300 {
            var damaged = bytes
            if Bool.random(using: &random) {
                damaged.removeLast(Int.random(in: 1...damaged.count, using: &random))
            } else {
                damaged[Int.random(in: 0..<damaged.count, using: &random)] ^= UInt8(1 << Int.random(in: 0..<8, using: &random))
            }
            try Data(damaged).write(to: URL(fileURLWithPath: path))
            if let kept = store.lastKnownGood() { #expect(kept.bundle == bundle, "seed \(random.seed)") }
        }
        // What stands in the way of writing is an error with its path, not a crash.
        try FileManager.default.removeItem(atPath: folder.path + "/configuration")
        try Data().write(to: URL(fileURLWithPath: folder.path + "/configuration"))
        let error = #expect(throws: GatewayError.self) { try store.save(bundle, at: Timestamp(nanoseconds: 0)) }
        #expect(error?.code == .storageFailed && error?.cause != nil)
    }
}

@Suite("Start of a gateway")
struct GatewayStartTests {
    /// A folder with a site document and what was kept beside its log.
    private final class Place {
        let folder: TemporaryFolder
        let source: ConfigurationSource
        let store: ConfigurationStore

        init() throws {
            folder = try TemporaryFolder()
            source = ConfigurationSource(files: [folder.path + "/site.yaml"], environment: [:])
            store = ConfigurationStore(logPath: folder.path + "/kept")
        }

        /// Writes the document, with a comment that makes it another one.
        func write(_ comment: String, spec: String = "") throws {
            let text = Documents.load(["p": 1], comment: comment, spec: "  log: {path: kept}\n" + spec).bundle.files.first?.text
            try text?.write(toFile: source.files[0], atomically: true, encoding: .utf8)
        }

        func keep() throws { try store.save(GatewayStart.choose(source).loaded.bundle, at: Timestamp(nanoseconds: 0)) }

        func note(_ state: ConfigurationStatus.State) throws {
            try store.save(
                ConfigurationStatus(
                    state: state, since: "", digest: GatewayStart.choose(source).loaded.bundle.digest, runningDigest: "", changes: [],
                    reasons: ["the reason"]))
        }

        func comment() throws -> String? {
            GatewayStart.choose(source).start?.configuration.bundle.files.first?.text.flatMap {
                $0.split(separator: "\n").first.map(String.init)
            }
        }
    }

    @Test("a document that is valid and was not taken back is what runs")
    func present() throws {
        let place = try Place()
        try place.write("first")
        try place.keep()
        try place.write("second")
        #expect(try place.comment() == "# second")
        try place.note(.accepted)
        #expect(try place.comment() == "# second")
        try place.note(.refused)
        #expect(try place.comment() == "# second")
    }

    @Test("a document that was taken back is not tried again; one with other content is")
    func rolledBack() throws {
        let place = try Place()
        try place.write("first")
        try place.keep()
        try place.write("second")
        try place.note(.rolledBack)
        let start = try #require(GatewayStart.choose(place.source).start)
        #expect(try place.comment() == "# first")
        #expect(start.refusal?.wasRolledBack == true && start.refusal?.reasons == ["the reason"] && !start.isTrialInterrupted)
        try place.write("third")
        #expect(try place.comment() == "# third")
    }

    @Test("a trial that was interrupted begins anew from the last known good document")
    func interrupted() throws {
        let place = try Place()
        try place.write("first")
        try place.keep()
        try place.write("second")
        try place.note(.onTrial)
        let start = try #require(GatewayStart.choose(place.source).start)
        #expect(try place.comment() == "# first")
        #expect(start.refusal == nil && start.isTrialInterrupted)
        // It was found good, and the gateway ended before it could note that.
        try place.store.save(GatewayStart.choose(place.source).loaded.bundle, at: Timestamp(nanoseconds: 0))
        #expect(GatewayStart.choose(place.source).start?.isTrialInterrupted == false)
        try place.write("first")
        try place.keep()
        try place.write("second")
        // A second time it is taken for the cause.
        var status = try #require(place.store.status())
        status.interruptions = 1
        try place.store.save(status)
        let second = try #require(GatewayStart.choose(place.source).start)
        #expect(
            second.refusal?.wasRolledBack == true && second.refusal?.reasons.first?.contains("twice") == true && !second.isTrialInterrupted)
    }

    @Test("a broken document: what was kept runs, if it was kept for the same files", arguments: ["  devises: []", "]]]]", "\u{1}"])
    func broken(_ spec: String) throws {
        let place = try Place()
        try place.write("first")
        try place.keep()
        try place.write("second", spec: spec)
        let start = try #require(GatewayStart.choose(place.source).start)
        #expect(try place.comment() == "# first")
        #expect(start.refusal?.wasRolledBack == false && start.refusal?.reasons.first?.contains("site.yaml:") == true)
        var other = place.source
        other.files.append(place.folder.path + "/more.yaml")
        #expect(GatewayStart.choose(other).start == nil)
        try FileManager.default.removeItem(atPath: place.store.folder)
        #expect(GatewayStart.choose(place.source).start == nil)
    }
}
