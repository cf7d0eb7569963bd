import Foundation
import GatewayCore
import Ingest
import Logging
import Sparkplug
import Telemetry
import TestKit
import Testing

@testable import IngestService

@Suite("Births over a restart of the receiving end")
struct BirthFolderTests {
    private static let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    private static let broker = "mqtts://broker:8883"

    private static func message(_ topic: String, _ payload: SparkplugPayload, source: Int = 0) -> IngestMessage {
        IngestMessage(topic: topic, payload: payload.encoded(), token: MessageToken(connection: 1, number: 1), source: source)
    }

    private static func births(_ epoch: UInt32, alias: UInt64) -> [IngestMessage] {
        [
            message("spBv1.0/plant/NBIRTH/line-1", SparkplugPayload(timestamp: 1000, sequence: 0, uuid: "\(epoch)")),
            message(
                "spBv1.0/plant/DBIRTH/line-1/pump-1",
                SparkplugPayload(
                    timestamp: 1000,
                    metrics: [
                        SparkplugMetric(
                            name: "flow", alias: alias, timestamp: 999, datatype: SparkplugDataType.int32.rawValue,
                            properties: [SparkplugProperty(key: SparkplugProperty.unitKey, type: 12, value: .string("m3/h"))],
                            value: .int(4711))
                    ], sequence: 1, uuid: "\(epoch)")),
        ]
    }

    private static func data(_ epoch: UInt32, alias: UInt64) -> IngestMessage {
        message(
            "spBv1.0/plant/DDATA/line-1/pump-1",
            SparkplugPayload(
                timestamp: 2000, metrics: [SparkplugMetric(alias: alias, timestamp: 2000, value: .int(5))], sequence: 2,
                uuid: "\(epoch)-1-1"))
    }

    private static func decoder() throws -> IngestDecoder { IngestDecoder(pattern: try TopicPattern(TopicPattern.standard)) }

    private static func take(_ messages: [IngestMessage], _ decoder: inout IngestDecoder) -> (chunk: SampleChunk, effects: IngestEffects) {
        var chunk = SampleChunk()
        var effects = IngestEffects()
        let now = SystemTime().now
        for message in messages { decoder.receive(message, at: now, utc: Timestamp(milliseconds: 3000), into: &chunk, &effects) }
        return (chunk, effects)
    }

    @Test("scenario 02: data of a gateway that has ended is read with its births of before the restart")
    func dataOfAGatewayThatHasEndedIsRead() throws {
        let path = try TemporaryFolder().path + "/births"
        var before = try Self.decoder()
        let told = Self.take(Self.births(7, alias: 3), &before).effects.births
        #expect(told.map(\.birth.topic) == ["spBv1.0/plant/NBIRTH/line-1", "spBv1.0/plant/DBIRTH/line-1/pump-1"])
        let folder = try BirthFolder(path, logger: Self.quiet)
        for (birth, _) in told { folder.keep(birth, broker: Self.broker) }
        folder.synchronize()

        var without = try Self.decoder()
        let asked = Self.take([Self.data(7, alias: 3)], &without)
        #expect(asked.chunk.samples.isEmpty && asked.effects.publications.count == 1)

        var after = try Self.decoder()
        for birth in try BirthFolder(path, logger: Self.quiet).births(broker: Self.broker) { after.restore(birth, source: 0) }
        let read = Self.take([Self.data(7, alias: 3)], &after)
        #expect(read.chunk.samples.count == 1 && read.effects.publications.isEmpty)
        #expect(Double(bitPattern: read.chunk.samples.first?.bits ?? 0) == 5)
        // Another start, or another broker, is nobody's business here.
        #expect(Self.take([Self.data(8, alias: 3)], &after).chunk.samples.isEmpty)
        #expect(try BirthFolder(path, logger: Self.quiet).births(broker: "mqtts://other:8883").isEmpty)
    }

    @Test func valuesAreNotKeptAndRepetitionsTakeNoRoom() throws {
        let path = try TemporaryFolder().path + "/births"
        var decoder = try Self.decoder()
        let folder = try BirthFolder(path, logger: Self.quiet)
        func bytes() throws -> Int {
            try FileManager.default.contentsOfDirectory(atPath: path).reduce(0) {
                try $0 + Data(contentsOf: URL(fileURLWithPath: path + "/" + $1)).count
            }
        }
        for (birth, _) in Self.take(Self.births(7, alias: 3), &decoder).effects.births { folder.keep(birth, broker: Self.broker) }
        let once = try bytes()
        for _ in 0..<10 {
            for (birth, _) in Self.take(Self.births(7, alias: 3), &decoder).effects.births { folder.keep(birth, broker: Self.broker) }
        }
        #expect(try bytes() == once && once > 0)
        for birth in folder.births(broker: Self.broker) {
            let metrics = try SparkplugPayload(decoding: birth.payload).metrics
            #expect(metrics.allSatisfy { $0.value == nil && $0.timestamp == nil })
        }
        // One that changes all the time is written anew before it has taken much.
        for alias in 0..<1000 as Range<UInt64> {
            if alias % 7 == 0 { folder.synchronize() }
            for (birth, _) in Self.take(Self.births(7, alias: alias), &decoder).effects.births { folder.keep(birth, broker: Self.broker) }
        }
        #expect(try bytes() < 100 * once)
        let name = try #require(try FileManager.default.contentsOfDirectory(atPath: path).first)
        #expect(try FileManager.default.attributesOfItem(atPath: path + "/" + name)[.posixPermissions] as? Int == 0o600)
        var after = try Self.decoder()
        for birth in try BirthFolder(path, logger: Self.quiet).births(broker: Self.broker) { after.restore(birth, source: 0) }
        #expect(Self.take([Self.data(7, alias: 999)], &after).chunk.samples.count == 1)
    }

    @Test func onlyTheNewestStartsAreKeptAndDamagedLinesAreLeftOut() throws {
        let path = try TemporaryFolder().path + "/births"
        var decoder = try Self.decoder()
        let folder = try BirthFolder(path, logger: Self.quiet)
        for epoch in 1...9 as ClosedRange<UInt32> {
            for (birth, _) in Self.take(Self.births(epoch, alias: 3), &decoder).effects.births { folder.keep(birth, broker: Self.broker) }
        }
        let names = try FileManager.default.contentsOfDirectory(atPath: path)
        #expect(names.count == 4)
        #expect(Set(folder.births(broker: Self.broker).map(\.epoch)) == [6, 7, 8, 9])
        let damaged = path + "/" + (try #require(names.first { $0.contains("-9.") }))
        var bytes = try Data(contentsOf: URL(fileURLWithPath: damaged))
        bytes[10] ^= 0x80
        bytes.append(contentsOf: Array("{\"broker\":".utf8))
        try bytes.write(to: URL(fileURLWithPath: damaged))
        let again = try BirthFolder(path, logger: Self.quiet).births(broker: Self.broker)
        #expect(again.count == 7 && again.filter { $0.epoch == 9 }.count == 1)
    }

    /// A start without a clock has a number from 2^30; with the next disk they begin with the seconds since 2020 again.
    @Test func ofAGatewayWithANewDiskTheLatestStartsAreKeptThoughTheirNumbersAreLower() throws {
        let path = try TemporaryFolder().path + "/births"
        var decoder = try Self.decoder()
        for (order, epoch) in ([1 << 30, 1 << 30 + 1, 1 << 30 + 2, 1 << 30 + 3, 200, 201, 202] as [UInt32]).enumerated() {
            let folder = try BirthFolder(path, logger: Self.quiet)
            for (birth, _) in Self.take(Self.births(epoch, alias: 3), &decoder).effects.births { folder.keep(birth, broker: Self.broker) }
            folder.synchronize()
            for name in try FileManager.default.contentsOfDirectory(atPath: path) where name.hasSuffix("-\(epoch).births") {
                try FileManager.default.setAttributes(
                    [.modificationDate: Date(timeIntervalSince1970: 1_800_000_000 + 60 * Double(order))], ofItemAtPath: path + "/" + name)
            }
        }
        let kept = try BirthFolder(path, logger: Self.quiet).births(broker: Self.broker).map(\.epoch)
        #expect(kept == [1 << 30 + 3, 1 << 30 + 3, 200, 200, 201, 201, 202, 202])
    }
}
