import Compression
import Envelope
import Foundation
import Sparkplug
import Telemetry
import TestKit
import Testing

import struct Telemetry.Tag

@testable import Uplink

/// What a route's messages look like when they leave, compressed and sealed.
@Suite struct MessageFormTests {
    private static let time = Timestamp(nanoseconds: 1_800_000_000_000_000_000)
    private static let descriptor = StreamDescriptor(
        device: "boiler", group: "fast", tags: (0..<60).map { Tag("temperature\($0)", .int16, scaling: Scaling(scale: 0.1)) })

    private static func configuration(_ payload: RouteConfiguration.Payload, _ form: MessageForm) -> RouteConfiguration {
        var configuration = RouteConfiguration(
            name: "central", site: "plant", clusters: [.init(name: "east", host: "h", port: 1), .init(name: "west", host: "h", port: 2)],
            payload: payload, tls: nil, clientID: "c", epoch: 3)
        configuration.form = form
        return configuration
    }

    private static func batch(_ sequence: UInt64) -> SampleBatch {
        var batch = SampleBatch(stream: StreamID(rawValue: 5), descriptor: descriptor, time: time, status: .good)
        batch.epoch = 3
        batch.sequence = sequence
        for tag in descriptor.tags.indices { batch.set(.int(Int64(200 + tag)), tag: tag, in: descriptor) }
        return batch
    }

    /// Everything that one connection sends: the will, the births, two batches, and a death.
    private static func conversation(_ configuration: RouteConfiguration, cluster: String) throws -> [MQTTSession.Message] {
        var encoder = try PayloadEncoder(configuration, cluster: cluster)
        encoder.register(StreamID(rawValue: 5), descriptor)
        var messages = [encoder.connecting(at: time)].compactMap { $0 } + encoder.births(at: time)
        for sequence in 1...2 { messages += try encoder.messages(for: batch(UInt64(sequence)), descriptor, isHistorical: false, at: time) }
        return messages
    }

    /// A folder with a gateway's keys and those of two clusters.
    private static func keys(_ curve: EnvelopeCurve) throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        for name in ["gateway", "east", "west"] { _ = try EnvelopeKeyFile.create("\(folder.path)/\(name)", curve) }
        return folder
    }

    private static func sealing(_ suite: EnvelopeSuite, _ folder: TemporaryFolder) -> MessageForm.Sealing {
        MessageForm.Sealing(
            suite: suite.rawValue, signingKey: "\(folder.path)/gateway.key",
            recipients: ["east": ["\(folder.path)/east.pub"], "west": ["\(folder.path)/west.pub"]], period: .seconds(3600))
    }

    private static func opener(_ cluster: String, _ folder: TemporaryFolder) throws -> EnvelopeOpener {
        try EnvelopeOpener(
            cluster: cluster, keys: [try EnvelopePrivateKey(file: "\(folder.path)/\(cluster).key")],
            gateways: [TrustedGateway(name: "plant", keys: [try EnvelopePublicKey(file: "\(folder.path)/gateway.pub")])])
    }

    private static let sparkplug = RouteConfiguration.Payload.sparkplugB(group: "group", node: "plant")

    @Test(arguments: EnvelopeSuite.allCases, MessageForm.Compression.allCases) func `what is opened is what would have been sent`(
        _ suite: EnvelopeSuite, _ compression: MessageForm.Compression
    ) throws {
        let folder = try MessageFormTests.keys(suite.curve)
        let plain = try MessageFormTests.conversation(
            MessageFormTests.configuration(MessageFormTests.sparkplug, MessageForm()), cluster: "east")
        let form = MessageForm(compression: compression, sealing: MessageFormTests.sealing(suite, folder))
        for cluster in ["east", "west"] {
            let opener = try MessageFormTests.opener(cluster, folder)
            let sealed = try MessageFormTests.conversation(
                MessageFormTests.configuration(MessageFormTests.sparkplug, form), cluster: cluster)
            #expect(sealed.count == plain.count)
            var kinds: [EnvelopeKind] = []
            for (message, expected) in zip(sealed, plain) {
                #expect(message.topic.hasPrefix("ie/1/plant/"))
                #expect(message.qualityOfService == expected.qualityOfService)
                #expect(!String(decoding: message.payload, as: UTF8.self).contains("boiler"))
                let opened = try opener.open(message.payload)
                kinds.append(opened.kind)
                #expect(message.topic == "ie/1/plant/\(opened.kind.topicLevel)")
                #expect(opened.topic == expected.topic)
                var payload = opened.payload
                if let compressed = try CompressedPayload(decoding: payload) {
                    let algorithm = try #require(CompressionAlgorithm(rawValue: compressed.algorithm))
                    #expect(
                        compression == .gzip && algorithm == .gzip || compression == .zstd && (algorithm == .columns || algorithm == .zstd))
                    payload = try Decompressor.decompress(compressed.body, algorithm, atMost: 1 << 20)
                    #expect(opened.payload.count < payload.count)
                } else {
                    #expect(compression == .none || payload.count < 300)
                }
                #expect(payload == expected.payload)
                #expect((opened.batch != nil) == (opened.kind == .data))
            }
            #expect(kinds == [.will, .birth, .birth, .data, .data])
            let wrong = try MessageFormTests.opener(cluster == "east" ? "west" : "east", folder)
            #expect(throws: EnvelopeRefusal.self) { try wrong.open(sealed[0].payload) }
        }
    }

    @Test(arguments: MessageForm.Compression.allCases) func `documents in JSON are compressed as a whole`(
        _ compression: MessageForm.Compression
    ) throws {
        let payload = RouteConfiguration.Payload.json(topicTemplate: "indusedge/{site}/{device}/{group}")
        let plain = try MessageFormTests.conversation(MessageFormTests.configuration(payload, MessageForm()), cluster: "east")
        let formed = try MessageFormTests.conversation(
            MessageFormTests.configuration(payload, MessageForm(compression: compression)), cluster: "east")
        for (message, expected) in zip(formed, plain) {
            #expect(message.topic == expected.topic)
            guard let algorithm = CompressionAlgorithm.detected(in: message.payload) else {
                #expect(compression == .none)
                #expect(message.payload == expected.payload)
                continue
            }
            #expect(algorithm.rawValue.lowercased() == compression.rawValue)
            let document = try Decompressor.decompress(message.payload, algorithm)
            #expect(document == expected.payload)
        }
        #expect(plain.count == 2)
    }

    @Test func `a key that is missing keeps the route from being made, and names the file`() throws {
        let folder = try MessageFormTests.keys(.p256)
        var sealing = MessageFormTests.sealing(.aes256gcm, folder)
        sealing.recipients["east"] = ["\(folder.path)/missing.pub"]
        let form = MessageForm(sealing: sealing)
        let error = #expect(throws: GatewayError.self) {
            try PayloadEncoder(MessageFormTests.configuration(MessageFormTests.sparkplug, form), cluster: "east")
        }
        #expect(error?.resource == "\(folder.path)/missing.pub")
        let other = #expect(throws: GatewayError.self) {
            try PayloadEncoder(MessageFormTests.configuration(MessageFormTests.sparkplug, form), cluster: "north")
        }
        #expect(other?.code == .configurationInvalid)
    }

    @Test func `a sealed route takes a rebirth and nothing else`() throws {
        let folder = try MessageFormTests.keys(.p256)
        let form = MessageForm(sealing: MessageFormTests.sealing(.aes256gcm, folder))
        var encoder = try PayloadEncoder(MessageFormTests.configuration(MessageFormTests.sparkplug, form), cluster: "east")
        encoder.register(StreamID(rawValue: 5), MessageFormTests.descriptor)
        _ = encoder.connecting(at: MessageFormTests.time)
        _ = encoder.births(at: MessageFormTests.time)
        let rebirth = SparkplugPayload(metrics: [SparkplugMetric(name: "Node Control/Rebirth", datatype: 11, value: .boolean(true))])
        #expect(encoder.command(topic: "spBv1.0/group/NCMD/plant", payload: rebirth.encoded()) == .rebirth)
        let write = SparkplugPayload(metrics: [SparkplugMetric(name: "temperature1", datatype: 10, value: .double(5))])
        guard case .ignored = encoder.command(topic: "spBv1.0/group/DCMD/plant/boiler", payload: write.encoded()) else {
            Issue.record("a write command was taken")
            return
        }
    }
}
