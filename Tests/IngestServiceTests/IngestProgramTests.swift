import Foundation
import Identity
import Telemetry
import TestKit
import Testing

@testable import IngestService

/// The whole way: a foreign publisher, a real broker, the program, real databases.
@Suite(.serialized) struct IngestProgramTests {
    @Test(
        "scenario 08: killed and started again, with everything sent twice, each sample is in the database once",
        arguments: TestDatabase.Kind.allCases.filter(\.isInstalled))
    func exactlyOnce(_ kind: TestDatabase.Kind) async throws {
        let site = try await IngestProgram(kind)
        let first = try site.start()
        try await IngestProgram.connected(first)
        try await site.publish((1...300).map { IngestProgram.document($0) })
        // Wherever this hits: before, between or after writing and acknowledging.
        try await Task.sleep(for: .milliseconds(Int.random(in: 0...300)))
        await first.stop()
        try await site.publish((101...500).map { IngestProgram.document($0) })
        let summary = site.folder.path + "/summary.json"
        let second = try site.start(["--until-idle", "1.5", "--summary", summary])
        let counters = try await site.finish(second, summary: summary)
        #expect(counters["set_aside_messages"] == 0)
        #expect(counters["dropped_samples"] == 0)
        #expect(counters["samples"] == (counters["written_samples"] ?? 0) + (counters["known_samples"] ?? 0))
        let contents = try await site.database.contents()
        #expect(contents["count"]?.sorted() == (1...500).map { Double($0) })
        #expect(contents["half"]?.sorted() == (1...500).map { Double($0) / 2 })
    }

    @Test(
        "A database that goes away and comes back costs nothing but time",
        arguments: TestDatabase.Kind.allCases.filter(\.isInstalled))
    func databaseOutage(_ kind: TestDatabase.Kind) async throws {
        let site = try await IngestProgram(kind)
        let summary = site.folder.path + "/summary.json"
        let process = try site.start(["--status-interval", "1", "--summary", summary])
        try await IngestProgram.connected(process)
        try await site.publish((1...50).map { IngestProgram.document($0) })
        try await site.database.stop()
        try await site.publish((51...200).map { IngestProgram.document($0) })
        try await process.errorLine { $0.contains("the database does not take data") }
        try await site.database.start()
        let counters = try await site.finish(process, summary: summary, acknowledged: 200)
        #expect((counters["retries"] ?? 0) > 0)
        #expect(try await site.database.contents()["count"]?.sorted() == (1...200).map { Double($0) })
    }

    @Test(
        "scenario 07: two workers share the data; one is killed and comes back, nothing is lost or twice",
        arguments: TestDatabase.Kind.allCases.filter(\.isInstalled))
    func sharedWorkers(_ kind: TestDatabase.Kind) async throws {
        let site = try await IngestProgram(kind)
        let folder = site.folder.path
        let one = try site.start(["--share", "workers"], name: "worker-1")
        try await IngestProgram.connected(one)
        let two = try site.start(["--share", "workers", "--until-idle", "4", "--summary", folder + "/two.json"], name: "worker-2")
        try await IngestProgram.connected(two)
        try await site.publish((1...400).map { IngestProgram.document($0) })
        await one.stop()
        try await site.publish((401...600).map { IngestProgram.document($0) })
        // What the broker gave to the first and it had not acknowledged waits under its name.
        let again = try site.start(["--share", "workers", "--until-idle", "2", "--summary", folder + "/one.json"], name: "worker-1")
        _ = try await site.finish(again, summary: folder + "/one.json")
        let counters = try await site.finish(two, summary: folder + "/two.json")
        #expect((counters["samples"] ?? 0) > 0)
        #expect(try await site.database.contents()["count"]?.sorted() == (1...600).map { Double($0) })
        if kind == .postgresql { #expect(try await site.database.ask("SELECT count(*) FROM indusedge.batch") == "600") }
    }

    @Test("What a database refuses is set aside with its reason, and only that", .enabled(if: TestDatabase.Kind.influxdb.isInstalled))
    func refusedSamples() async throws {
        let site = try await IngestProgram(.influxdb)
        _ = try await site.database.request("/query", ["q": "CREATE DATABASE \(TestDatabase.database)"], method: "POST")
        // The field is a text there already: a number does not fit any more.
        let time = 1_767_268_800_000_000_000
        _ = try await site.database.request(
            "/write", ["db": TestDatabase.database], method: "POST", body: "other,tag=x value=\"text\" \(time)")
        let summary = site.folder.path + "/summary.json"
        let process = try site.start(["--measurement", "other", "--status-interval", "1", "--summary", summary])
        try await IngestProgram.connected(process)
        let mixed = (1...4).map { number in
            #"{"device":"d","group":"g","timestamp":\#(time / 1_000_000 + number),"epoch":1,"stream":1,"sequence":\#(number),"values":{"bad":\#(number),"good":"ok"}}"#
        }
        try await site.publish(mixed)
        let counters = try await site.finish(process, summary: summary, acknowledged: 4)
        #expect(counters["set_aside_samples"] == 4)
        #expect(counters["written_samples"] == 4)
        #expect(site.setAside.count == 4)
        #expect(site.setAside.allSatisfy { $0.contains("field type conflict") && $0.contains(#""tag":"bad""#) })
        #expect(try await site.database.ask("SELECT count(text) FROM other").contains("[\"1970-01-01T00:00:00Z\",4]"))
    }

    @Test(
        "What a rule of the table refuses is set aside with its batch, and only that",
        .enabled(if: TestDatabase.Kind.postgresql.isInstalled))
    func refusedBatches() async throws {
        let site = try await IngestProgram(.postgresql)
        let summary = site.folder.path + "/summary.json"
        let process = try site.start(["--status-interval", "1", "--summary", summary])
        try await IngestProgram.connected(process)
        _ = try await site.database.ask("ALTER TABLE indusedge.sample ADD CONSTRAINT small CHECK (value < 100)")
        try await site.publish((90...110).map { IngestProgram.document($0) })
        let counters = try await site.finish(process, summary: summary, acknowledged: 21)
        #expect(counters["set_aside_samples"] == 22)
        #expect(counters["written_samples"] == 20)
        #expect(site.setAside.allSatisfy { $0.contains("violates check constraint") })
        #expect(try await site.database.contents()["count"] == (90...99).map { Double($0) })
    }

    @Test("A database that takes its time holds back the acknowledgements", .enabled(if: TestDatabase.Kind.postgresql.isInstalled))
    func slowDatabase() async throws {
        let site = try await IngestProgram(.postgresql)
        let summary = site.folder.path + "/summary.json"
        let process = try site.start(["--status-interval", "1", "--summary", summary])
        try await IngestProgram.connected(process)
        let holder = try ForeignProcess(
            "psql",
            [
                site.database.url, "-c", "BEGIN", "-c", "LOCK TABLE indusedge.sample IN ACCESS EXCLUSIVE MODE", "-c",
                "SELECT pg_sleep(4)", "-c", "COMMIT",
            ])
        let locks =
            "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND relation = 'indusedge.sample'::regclass"
        while try await site.database.ask(locks) != "1" { try await Task.sleep(for: .milliseconds(20)) }
        try await site.publish((1...30).map { IngestProgram.document($0) })
        try await process.errorLine {
            $0.contains(" messages=30 ") && $0.contains(" acknowledgements=0 ") && $0.contains(" written_samples=0")
        }
        let counters = try await site.finish(process, summary: summary, acknowledged: 30)
        #expect(counters["written_samples"] == 60)
        #expect(try await site.database.contents()["count"] == (1...30).map { Double($0) })
        _ = try await holder.waitForExit()
    }

    @Test(
        "What VictoriaMetrics would drop without a word is set aside, and only that",
        .enabled(if: TestDatabase.Kind.victoriametrics.isInstalled))
    func outOfTime() async throws {
        let site = try await IngestProgram(.victoriametrics)
        let summary = site.folder.path + "/summary.json"
        let process = try site.start(["--status-interval", "1", "--summary", summary])
        try await IngestProgram.connected(process)
        let now = SystemClockForTests.now.milliseconds
        let days = Int64(86_400_000)
        let long = String(repeating: "x", count: 20_000)
        let documents = [(now, "\"ok\""), (now - 36_600 * days, "1"), (now + 3 * days, "2"), (now, "\"\(long)\"")].enumerated().map {
            number, entry in
            #"{"device":"d","group":"g","timestamp":\#(entry.0),"epoch":1,"stream":1,"sequence":\#(number),"values":{"a":\#(entry.1),"b":5}}"#
        }
        try await site.publish(documents)
        let counters = try await site.finish(process, summary: summary, acknowledged: 4)
        #expect(counters["set_aside_samples"] == 5)
        #expect(counters["written_samples"] == 3)
        #expect(site.setAside.count == 3)
        for reason in ["-retentionPeriod", "ahead of the time", "longer than the 16384 bytes"] {
            #expect(site.setAside.contains { $0.contains(reason) })
        }
        // Of those that it says it has, it dropped none.
        #expect(try await site.database.request("/metrics", [:]).contains(#"vm_rows_ignored_total{reason="big_timestamp"} 0"#))
    }

    @Test(
        "Over TLS with certificates on both sides; what is no message of ours is kept aside",
        .enabled(if: TestDatabase.Kind.victoriametrics.isInstalled))
    func encrypted() async throws {
        let identity = try TemporaryFolder()
        _ = try DevelopmentIdentity.create(in: identity.path, at: SystemClockForTests.now)
        var site = try await IngestProgram(.victoriametrics, transport: .tls(folder: identity.path))
        site.brokerArguments = [
            "--broker", "mqtts://127.0.0.1:\(site.broker.port)", "--ca", identity.path + "/ca.crt", "--certificate",
            identity.path + "/subscriber.crt", "--key", identity.path + "/subscriber.key",
        ]
        let summary = site.folder.path + "/summary.json"
        let process = try site.start(["--status-interval", "1", "--summary", summary])
        try await IngestProgram.connected(process)
        try await site.publish(
            (1...20).map { IngestProgram.document($0) } + ["garbage"],
            options: "--cafile \(identity.path)/ca.crt --cert \(identity.path)/gateway.crt --key \(identity.path)/gateway.key")
        let counters = try await site.finish(process, summary: summary, acknowledged: 21)
        #expect(counters["set_aside_messages"] == 1)
        #expect(site.setAside.first?.contains("an object is expected at byte 0") == true)
        #expect(try await site.database.contents()["count"] == (1...20).map { Double($0) })
    }

    @Test(
        "A command line that would leak or cannot work is refused",
        arguments: [
            ["--database", "postgresql", "--url", "postgresql://u:secret@h/db"],
            ["--database", "postgresql", "--url", "host=h password=secret"],
            ["--database", "influxdb", "--url", "http://h:8086?PASSWORD=x"], ["--database", "oracle", "--url", "x"],
            ["--database", "influxdb", "--url", "http://h", "--json-topic", "a/{device}"],
            ["--database", "influxdb", "--url", "http://h", "--broker", "mqtts://h:8883"],
            ["--database", "influxdb", "--url", "http://h", "--broker", "mqtt://u:p@h:8883"],
            ["--database", "influxdb", "--url", "http://h", "--broker", "tcp://h:8883"],
            ["--database", "influxdb", "--url", "http://h", "--database-password-file", "/nonexistent"],
            ["--database", "influxdb", "--url", "http://h", "--envelope-key", "/k"],
            ["--database", "influxdb", "--url", "http://h", "--allow-plain"],
            ["--database", "influxdb", "--url", "http://h", "--envelope-key", "/k", "--cluster", "c", "--gateway-keys", "/nonexistent"],
        ])
    func refusedCommandLines(_ arguments: [String]) async throws {
        let brokers = arguments.contains("--broker") ? [] : ["--broker", "mqtt://127.0.0.1:1"]
        let process = try ForeignProcess(IngestProgram.program, ["ingest", "--set-aside", "/tmp"] + brokers + arguments)
        let status = try await process.waitForExit()
        try await process.drained()
        #expect(status != 0)
        #expect(!process.errorText.isEmpty)
        #expect(!process.errorText.contains("secret"))
    }
}
