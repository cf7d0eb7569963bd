import Foundation
import GatewayCore
import Historian
import Logging
import Telemetry
import TestKit
import Testing

import struct Telemetry.Tag

@Suite("query and export")
struct QueryCommandTests {
    private static let start = Timestamp(milliseconds: 1_700_000_000_000)

    /// A stopped gateway's store: ten minutes of a pump at 1 Hz with a Bad sample each minute, and of a fan each ten seconds.
    private static func store(in folder: TemporaryFolder) async throws -> String {
        let path = folder.path + "/log"
        let log = try Historian(
            configuration: HistorianConfiguration(folder: path, diskLimit: 8 << 20), time: SystemTime(),
            logger: Logger(label: "query-tests") { _ in SwiftLogNoOpLogHandler() })
        let pump = StreamDescriptor(
            device: "pump-1", group: "fast",
            tags: [Telemetry.Tag("temperature", .int16, scaling: Scaling(scale: 0.1), unit: "Cel"), Telemetry.Tag("isRunning", .bool)])
        let fan = StreamDescriptor(device: "fan", group: "slow", tags: [Telemetry.Tag("label", .string, stringCapacity: 16)])
        let streams = [try log.register(pump), try log.register(fan)]
        for second in 0..<600 {
            let time = start.advanced(by: .seconds(second))
            var batch = SampleBatch(stream: streams[0], descriptor: pump, time: time, status: .good)
            if second % 60 == 59 {
                batch = SampleBatch(stream: streams[0], descriptor: pump, time: time, status: .badTimeout)
            } else {
                batch.set(.int(Int64(200 + second % 60)), tag: 0, in: pump)
                batch.set(.bool(second % 2 == 1), tag: 1, in: pump)
            }
            log.append(batch)
            guard second % 10 == 0 else { continue }
            var label = SampleBatch(stream: streams[1], descriptor: fan, time: time, status: .good)
            label.set(.string("a, \"\(second)\""), tag: 0, in: fan)
            log.append(label)
        }
        try await log.flush()
        try await log.close()
        return path
    }

    @Test("samples and statistics as table, JSON and CSV")
    func query() async throws {
        let folder = try TemporaryFolder()
        let store = try await Self.store(in: folder)
        let table = try await TestSite.command(["query", store, "pump-1/temperature", "--limit", "3"])
        #expect(table.status == 0 && table.output.count == 4, "\(table)")
        #expect(table.output[0].contains("pump-1/temperature [Cel]") && table.output[3].hasSuffix("20.2"))
        #expect(table.errors.contains("stopped after 3 lines"))
        let minutes = try await TestSite.command([
            "query", store, "pump-1.temperature", "--every", "1m", "--aggregate", "mean,min,max,count,bad,twmean,duration", "--csv",
            "--from", "2023-11-14T22:14:00Z", "--to", "2023-11-14T22:16:00Z",
        ])
        #expect(minutes.status == 0, "\(minutes.errors)")
        #expect(
            minutes.output[0]
                == "time,pump-1/temperature mean [Cel],pump-1/temperature min [Cel],pump-1/temperature max [Cel],pump-1/temperature count,"
                + "pump-1/temperature bad,pump-1/temperature twmean [Cel],pump-1/temperature duration [s],quality\r")
        // The clock minute from 22:14:00 has the seconds 40 to 59 of one cycle and 0 to 39 of the next; that at 59 is Bad.
        let cycle = Array(40..<59) + Array(0..<40)
        let mean = Double(cycle.reduce(0, +)) / 590 + 20
        let fields = minutes.output[1].split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        #expect(Array(fields[2...5]) == ["20.0", "25.8", "59", "1"], "\(minutes.output)")
        #expect(
            fields[0] == "2023-11-14T22:14:00.000Z" && fields[7] == "59.0" && fields[8] == "UncertainDataSubNormal\r", "\(minutes.output)")
        for field in [fields[1], fields[6]] {
            let number = try #require(Double(field))
            #expect(abs(number - mean) < 1e-9)
        }
        #expect(minutes.output.count == 3)
        let json = try await TestSite.command(["query", store, "fan", "--json", "--from", "2023-11-14T22:23:00Z"])
        #expect(json.output.count == 2 && json.output[0].contains("\"value\":\"a, \\\"580\\\"\""), "\(json)")
        let perTag = try await TestSite.command(["query", store, "*/*a*", "--by", "tag", "--csv", "--limit", "1000000"])
        let devices = perTag.output.dropFirst().map { $0.split(separator: ",").dropFirst().first ?? "" }
        #expect(devices.count == 60 + 600, "\(devices.count) \(perTag.output.prefix(3)) \(perTag.errors)")
        #expect(devices.prefix(60).allSatisfy { $0 == "fan" } && devices.last == "pump-1", "\(perTag.output.prefix(3))")
    }

    @Test("the newest value of each tag")
    func latest() async throws {
        let folder = try TemporaryFolder()
        let store = try await Self.store(in: folder)
        let now = try await TestSite.command(["query", store, "--latest", "--json"])
        #expect(now.status == 0 && now.output.count == 3, "\(now)")
        #expect(now.output[0].contains("\"a, \\\"590\\\"\"") && now.output[1].contains("BadTimeout") && !now.output[1].contains("value"))
        let then = try await TestSite.command(["query", store, "pump-1", "--latest", "--to", "2023-11-14T22:13:25Z", "--csv"])
        #expect(then.output.dropFirst().first == "2023-11-14T22:13:24.000Z,pump-1,fast,temperature,20.4,Cel,Good,,\r", "\(then)")
    }

    @Test("errors say what to do next")
    func errors() async throws {
        let folder = try TemporaryFolder()
        let store = try await Self.store(in: folder)
        let cases: [(arguments: [String], status: Int32, message: String)] = [
            (["pump-1/temprature"], 1, "did you mean pump-1/temperature?"), (["pmp-1"], 1, "did you mean pump-1?"),
            (["zzzzzzzz"], 1, "there are: fan, pump-1"), (["*/nothing*"], 1, "no tag matches"),
            (
                ["--from", "2020-01-01", "--to", "2020-01-02"], 0,
                "the log has samples from 2023-11-14T22:13:20.000Z to 2023-11-14T22:23:19.000Z"
            ),
            (["--from", "now", "--to", "-1h"], 1, "is not before"), (["--aggregate", "mean"], 64, "add --every"),
            (["--every", "0s"], 64, "longer than nothing"), (["--every", "1m", "--aggregate", "median"], 64, "--aggregate"),
            (["--from", "yesterdayish"], 64, "--from"), (["--every", "1ns", "--aggregate", "twmean", "pump-1"], 1, "wider buckets"),
        ]
        for (arguments, status, message) in cases {
            let outcome = try await TestSite.command(["query", store] + arguments)
            #expect(outcome.status == status && outcome.errors.contains(message), "\(arguments): \(outcome)")
        }
        let nowhere = try await TestSite.command(["query", folder.path, "pump-1"])
        #expect(nowhere.status == 1 && nowhere.errors.contains("the folder has no log"), "\(nowhere)")
    }

    @Test("a file gets its name when it is complete, and is not overwritten")
    func export() async throws {
        let folder = try TemporaryFolder()
        let store = try await Self.store(in: folder)
        let path = folder.path + "/out.csv"
        let first = try await TestSite.command(["export", store, "--output", path])
        #expect(first.status == 0 && first.errors.contains("660 rows"), "\(first)")
        let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        #expect(String(decoding: bytes, as: UTF8.self).split(separator: "\r\n").count == 661)
        let second = try await TestSite.command(["export", store, "pump-1", "--output", path])
        #expect(second.status == 1 && second.errors.contains("--force"), "\(second)")
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == bytes)
        let forced = try await TestSite.command(["export", store, "pump-1", "--format", "line", "--force", "--output", path])
        #expect(forced.status == 0 && forced.errors.contains("600 rows"), "\(forced)")
        let piped = try await TestSite.command(["export", store, "pump-1", "--format", "line"])
        #expect(
            piped.output.joined(separator: "\n") + "\n" == String(decoding: try Data(contentsOf: URL(fileURLWithPath: path)), as: UTF8.self)
        )
        #expect(
            piped.output[1]
                == "pump-1,group=fast temperature=20.1,temperature.quality=\"Good\",isRunning=true,isRunning.quality=\"Good\" 1700000001000000000"
        )
        let missing = try await TestSite.command(["export", store, "--output", folder.path + "/no/such/folder"])
        #expect(missing.status == 1 && missing.errors.contains("does its folder exist"), "\(missing)")
        // Nothing unfinished is left behind.
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() == ["log", "out.csv"])
    }
}
