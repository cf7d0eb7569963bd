import Foundation
import Sparkplug
import Telemetry
import TestKit
import Testing

/// Sparkplug through a real broker into a real database.
@Suite(.serialized) struct SparkplugProgramTests {
    private static let stream = StreamID(rawValue: 1)
    private static let tags = StreamDescriptor(
        device: "pump-1", group: "fast",
        tags: [Telemetry.Tag("temperature", .int16, scaling: Scaling(scale: 0.1)), Telemetry.Tag("speed", .uint16)])

    private static func batch(_ number: Int, epoch: UInt32) -> SampleBatch {
        var values: [UInt8] = []
        for value in [UInt16(number), UInt16(1000 + number)] { withUnsafeBytes(of: value.littleEndian) { values += Array($0) } }
        var batch = SampleBatch(
            stream: stream, time: Timestamp(milliseconds: 1_767_268_800_000 + Int64(number) * 1000),
            quality: [QualityRun(count: 2, status: .good)], values: values)
        batch.epoch = epoch
        batch.sequence = UInt64(number)
        return batch
    }

    private static func publish(_ messages: [SparkplugMessage], _ site: IngestProgram) async throws {
        for message in messages {
            let file = site.folder.path + "/payload"
            try Data(message.payload).write(to: URL(fileURLWithPath: file))
            let publisher = try ForeignProcess(
                "mosquitto_pub", ["-h", "127.0.0.1", "-p", "\(site.broker.port)", "-q", "1", "-t", message.topic, "-f", file])
            guard try await publisher.waitForExit() == 0 else { throw ForeignProcess.Failure(description: publisher.errorText) }
        }
    }

    @Test(
        "Two workers that missed the births ask for them, and read with them what came before",
        arguments: TestDatabase.Kind.allCases.filter(\.isInstalled))
    func missedBirths(_ kind: TestDatabase.Kind) async throws {
        let site = try await IngestProgram(kind)
        let files = ["one", "two"].map { site.folder.path + "/\($0).json" }
        var workers: [ForeignProcess] = []
        for (number, file) in files.enumerated() {
            workers.append(try site.start(["--share", "workers", "--until-idle", "2", "--summary", file], name: "worker-\(number)"))
            try await IngestProgram.connected(workers[number])
        }
        let commands = try ForeignProcess(
            "mosquitto_sub", ["-h", "127.0.0.1", "-p", "\(site.broker.port)", "-C", "2", "-t", "spBv1.0/plant/NCMD/line-1", "-F", "%t"])
        // Until its subscription stands.
        try await Task.sleep(for: .milliseconds(300))
        let noon = Timestamp(milliseconds: 1_767_268_800_000)
        var node = try EdgeNode(groupID: "plant", nodeID: "line-1", version: "1", epoch: 3)
        node.register(Self.stream, Self.tags)
        _ = node.connecting(at: noon)
        let births = node.births(at: noon)
        try await Self.publish((1...6).flatMap { node.data(Self.batch($0, epoch: 3), isHistorical: false, at: noon) }, site)
        // Each worker asks for itself.
        #expect(try await commands.waitForExit() == 0)
        try await Self.publish(births, site)
        var counters: [String: Int] = [:]
        for (worker, file) in zip(workers, files) {
            counters.merge(try await site.finish(worker, summary: file)) { $0 + $1 }
        }
        #expect(counters["set_aside_messages"] == 0)
        #expect(counters["held_messages"] == 0)
        #expect(counters["written_samples"] == 12)
        let contents = try await site.database.contents()
        #expect(contents["speed"]?.sorted() == (1...6).map { Double(1000 + $0) })
        #expect(contents["temperature"]?.sorted() == (1...6).map { Double($0) / 10 })
    }
}
