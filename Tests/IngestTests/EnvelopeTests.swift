import Compression
import Envelope
import Sparkplug
import Telemetry
import TestKit
import Testing

@testable import Ingest

/// What comes in envelopes, and what comes compressed.
@Suite struct EnvelopeTests {
    /// What a plain receiving end makes of the same messages.
    private static func plainWords() throws -> [String] {
        var plant = try Plant(epoch: 3)
        var bench = try Bench()
        for birth in plant.births() { bench.receive(birth) }
        for temperature in 1...3 { bench.receive(plant.data(Int16(temperature))) }
        return bench.words
    }

    @Test(arguments: EnvelopeSuite.allCases, [CompressionAlgorithm?.none] + CompressionAlgorithm.allCases)
    func `the samples are those of the plain messages`(_ suite: EnvelopeSuite, _ algorithm: CompressionAlgorithm?) throws {
        let sealed = try SealedPlant(suite)
        var plant = try Plant(epoch: 3)
        var bench = try Bench(sealed: SealedMessages(openers: [try sealed.opener()]))
        let births = plant.births()
        for message in births + (1...3).map({ plant.data(Int16($0)) }) {
            let (topic, payload) = try sealed.seal(message, compressed: algorithm)
            #expect(topic.hasPrefix("ie/1/line-1/"))
            bench.receive(topic, payload)
        }
        let expected = try Self.plainWords()
        #expect(bench.words == expected)
        #expect(expected.count == 18)
        #expect(bench.effects.refused.isEmpty)
        #expect(bench.decoder.counters.envelopes.opened == UInt64(births.count + 3))
        #expect(bench.chunk.messages.count == births.count + 3)
    }

    @Test(arguments: CompressionAlgorithm.allCases) func `compressed Sparkplug needs no envelope`(_ algorithm: CompressionAlgorithm) throws
    {
        var plant = try Plant(epoch: 3)
        var bench = try Bench()
        for message in plant.births() + (1...3).map({ plant.data(Int16($0)) }) {
            var payload = message.payload
            if let smaller = Compressor(algorithm).compress(payload) {
                payload = try CompressedPayload(algorithm: algorithm.rawValue, body: smaller).encoded(around: payload)
            }
            bench.receive(message.topic, payload)
        }
        let expected = try Self.plainWords()
        #expect(bench.words == expected)
    }

    @Test func `compressed data that waits for its birth is read when it comes`() throws {
        var plant = try Plant(epoch: 3)
        let sealed = try SealedPlant()
        var bench = try Bench(sealed: SealedMessages(openers: [try sealed.opener()]))
        let births = plant.births()
        let data = try sealed.seal(plant.data(7), compressed: .zstd)
        bench.receive(data.topic, data.payload)
        #expect(bench.words.isEmpty)
        #expect(bench.decoder.counters.heldMessages == 1)
        // The request for a birth is plain: the gateway takes it, and it says nothing that the broker does not see anyway.
        #expect(bench.effects.publications.map { $0.topic } == ["spBv1.0/plant/NCMD/line-1"])
        for birth in births {
            let (topic, payload) = try sealed.seal(birth)
            bench.receive(topic, payload)
        }
        #expect(bench.words.count == 6)
        #expect(bench.decoder.counters.heldMessages == 0)
    }

    @Test(arguments: [CompressionAlgorithm.gzip, .zstd]) func `documents are unpacked, in an envelope and without`(
        _ algorithm: CompressionAlgorithm
    ) throws {
        let sealed = try SealedPlant()
        let document = try #require(Compressor(algorithm).compress(SealedPlant.document(1)))
        var plain = try Bench()
        plain.receive("indusedge/line-1/pump-1/fast", document)
        var bench = try Bench(sealed: SealedMessages(openers: [try sealed.opener()]))
        let (topic, payload) = try sealed.seal(document: document)
        bench.receive(topic, payload)
        #expect(bench.words == plain.words)
        #expect(bench.words.count == 40)
    }

    // MARK: - Bad input

    /// Receives one message that must be refused, and gives what is counted and why.
    private static func refusal(
        _ message: (topic: String, payload: [UInt8]), _ opener: EnvelopeOpener
    ) throws -> (counters: EnvelopeCounters, reason: String) {
        var bench = try Bench(sealed: SealedMessages(openers: [opener]))
        bench.receive(message.topic, message.payload)
        #expect(bench.chunk.samples.isEmpty && bench.chunk.messages.isEmpty)
        // As it came: with other keys it may still be opened.
        #expect(bench.effects.refused.map { $0.message.payload } == [message.payload])
        #expect(bench.effects.refused.first?.message.token != nil)
        return (bench.decoder.counters.envelopes, bench.effects.refused.first?.reason ?? "")
    }

    @Test func `what is refused is counted by its reason, and set aside as it came`() throws {
        let plant = try SealedPlant()
        let opener = try plant.opener()
        let good = try plant.seal(document: SealedPlant.document(1))
        let topic = good.topic
        func other(_ signing: EnvelopePrivateKey, _ recipient: EnvelopePrivateKey, gateway: String = "line-1", cluster: String = "east")
            throws
            -> (topic: String, payload: [UInt8])
        {
            try SealedPlant(.aes256gcm, signing: signing, recipient: recipient, gateway: gateway, cluster: cluster)
                .seal(document: SealedPlant.document(1))
        }
        var flipped = good.payload
        flipped[flipped.count - 1] ^= 1
        let stranger = try EnvelopePrivateKey.generate(.p256)
        let cases: [(EnvelopeRefusal.Reason, (topic: String, payload: [UInt8]))] = [
            (.malformed, (topic, [])), (.malformed, (topic, Array(good.payload.dropLast()))),
            (.malformed, (topic, SealedPlant.document(1))),
            (.oversized, (topic, [UInt8](repeating: 0, count: EnvelopeLimits.envelopeBytesMax + 1))),
            (.foreignSigned, try other(stranger, plant.recipient)), (.invalidSignature, (topic, flipped)),
            (.wrongCluster, try other(plant.signing, plant.recipient, cluster: "west")),
            (.unknownRecipient, try other(plant.signing, stranger)),
            (.unknownGateway, try other(plant.signing, plant.recipient, gateway: "line-2")),
            (.foreignTopic, try plant.seal(.data, "indusedge/line-2/pump-1/fast", SealedPlant.document(1))),
        ]
        for (reason, message) in cases {
            let (counters, told) = try Self.refusal(message, opener)
            #expect(counters.refused == [reason.rawValue: 1])
            #expect(counters.opened == 0)
            #expect(told.contains("\(reason.rawValue): "))
        }
        // None of them did harm to the good one.
        var bench = try Bench(sealed: SealedMessages(openers: [opener]))
        bench.receive(good.topic, good.payload)
        #expect(bench.words.count == 40)
    }

    @Test func `an old birth that is sent again is refused, also after a restart`() throws {
        let sealed = try SealedPlant()
        var plant = try Plant(epoch: 3)
        let births = try plant.births().map { try sealed.seal($0) }
        let again = try plant.births().map { try sealed.seal($0) }
        let opener = try sealed.opener()
        var bench = try Bench(sealed: SealedMessages(openers: [opener]))
        for (topic, payload) in births + again { bench.receive(topic, payload) }
        bench.decoder.record(bench.chunk.messages)
        // What was recorded is a duplicate: acknowledged, and nothing else.
        let first = try #require(births.first)
        bench.receive(first.topic, first.payload)
        #expect(bench.decoder.counters.envelopes.duplicates == 1)
        #expect(bench.effects.refused.isEmpty)

        // An older birth of the same gateway that never came.
        let older = try SealedPlant(.aes256gcm, signing: sealed.signing, recipient: sealed.recipient, epoch: 2)
        var oldPlant = try Plant(epoch: 2)
        let old = try older.seal(try #require(oldPlant.births().first))
        let restarted = try sealed.opener(replayState: opener.replayState)
        for opener in [opener, restarted] {
            let (counters, _) = try Self.refusal(old, opener)
            #expect(counters.refused(.replayed) == 1)
        }
    }

    @Test func `only what is where it belongs counts as a duplicate`() throws {
        let sealed = try SealedPlant()
        let opener = try sealed.opener()
        let (topic, payload) = try sealed.seal(document: SealedPlant.document(1))
        var bench = try Bench(sealed: SealedMessages(openers: [opener]))
        bench.receive(topic, payload)
        #expect(bench.words.count == 40)
        // The broker sends it again before the database has it: the envelope is new still, and the key of the batch removes it.
        bench.receive(topic, payload)
        #expect(bench.decoder.counters.envelopes.duplicates == 0)
        #expect(bench.decoder.counters.duplicateMessages == 1)
        bench.decoder.record(bench.chunk.messages)
        bench.receive(topic, payload)
        #expect(bench.decoder.counters.envelopes.duplicates == 1)
        #expect(bench.decoder.counters.duplicateMessages == 2)
        #expect(bench.words.count == 40)
        // All three are acknowledged.
        #expect(bench.chunk.messages.count == 3)
        // A receiver that died before the database had it reads it anew; one that died after does not.
        var other = try Bench(sealed: SealedMessages(openers: [try sealed.opener()]))
        other.receive(topic, payload)
        #expect(other.words.count == 40)
        var restarted = try Bench(sealed: SealedMessages(openers: [try sealed.opener(replayState: opener.replayState)]))
        restarted.receive(topic, payload)
        #expect(restarted.words.isEmpty)
        #expect(restarted.decoder.counters.envelopes.duplicates == 1)
    }

    @Test func `keys change without a pause`() throws {
        let old = try SealedPlant()
        let new = try SealedPlant()
        let opener = try old.opener()
        var bench = try Bench(sealed: SealedMessages(openers: [opener]))
        func gateways(_ plants: [SealedPlant]) throws -> [TrustedGateway] {
            [TrustedGateway(name: SealedPlant.gateway, keys: try plants.map { try $0.signing.publicKey() })]
        }
        let messages = try [
            old.seal(document: SealedPlant.document(1)), new.seal(document: SealedPlant.document(2)),
            old.seal(document: SealedPlant.document(3)),
        ]
        bench.receive(messages[0].topic, messages[0].payload)
        opener.replace(keys: [old.recipient, new.recipient], gateways: try gateways([old, new]))
        bench.receive(messages[1].topic, messages[1].payload)
        #expect(bench.effects.refused.isEmpty)
        #expect(bench.words.count == 80)
        opener.replace(keys: [new.recipient], gateways: try gateways([new]))
        bench.receive(messages[2].topic, messages[2].payload)
        #expect(bench.decoder.counters.envelopes.refused(.foreignSigned) == 1)
    }

    @Test func `nobody gets around the envelope by sending plain messages`() throws {
        var plant = try Plant(epoch: 3)
        let messages = plant.births() + [plant.data(1)]
        let sealed = try SealedPlant()
        var strict = try Bench(sealed: SealedMessages(openers: [try sealed.opener()]))
        var open = try Bench(sealed: SealedMessages(openers: [try sealed.opener()], isPlainAllowed: true))
        for message in messages {
            strict.receive(message)
            open.receive(message)
        }
        strict.receive("indusedge/line-1/pump-1/fast", SealedPlant.document(1))
        #expect(strict.words.isEmpty)
        #expect(strict.decoder.counters.envelopes.plainRefused == UInt64(messages.count + 1))
        #expect(strict.effects.refused.count == messages.count + 1)
        #expect(open.words.count == 6)
        // Commands and the states of hosts are nobody's data.
        strict.receive("spBv1.0/STATE/host", [])
        strict.receive("spBv1.0/plant/NCMD/line-1", [])
        #expect(strict.effects.refused.count == messages.count + 1)
    }

    @Test func `what unpacks without end, or is no such thing, is refused`() throws {
        var plant = try Plant(epoch: 3)
        let data = plant.data(1)
        func sparkplug(_ algorithm: String, _ body: [UInt8]) throws -> [UInt8] {
            try CompressedPayload(algorithm: algorithm, body: body).encoded(around: data.payload)
        }
        let bomb = try #require(Compressor(.zstd).compress([UInt8](repeating: 32, count: Decompressor.bytesMax + 1)))
        let cut = Array(try #require(Compressor(.gzip).compress(SealedPlant.document(1))).dropLast(9))
        let cases: [(topic: String, payload: [UInt8], reason: String)] = [
            ("indusedge/line-1/pump-1/fast", bomb, "hold more than \(Decompressor.bytesMax)"),
            ("indusedge/line-1/pump-1/fast", cut, "ends too early"),
            (data.topic, try sparkplug("ZSTD", bomb), "hold more than \(SparkplugPayload.payloadBytesMax)"),
            (data.topic, try sparkplug("LZMA", [1, 2, 3]), "the algorithm is “LZMA”, known are GZIP"),
            (data.topic, try sparkplug("GZIP", [1, 2, 3]), ""), (data.topic, try sparkplug("COLUMNS_ZSTD", cut), ""),
        ]
        for (topic, payload, reason) in cases {
            var bench = try Bench()
            for birth in plant.births() { bench.receive(birth) }
            bench.receive(topic, payload)
            #expect(bench.words.isEmpty)
            #expect(bench.effects.refused.count == 1)
            #expect(
                bench.effects.refused.first?.reason.contains(reason) != false || reason.isEmpty,
                "\(bench.effects.refused.first?.reason ?? "")")
            // As it came: a folder is not filled by what is small on the wire.
            #expect(bench.effects.refused.first?.message.payload.count == payload.count)
        }
    }

    @Test func `random damage ends in a refusal or does nothing, and is counted`() throws {
        var generator = SeededGenerator()
        let sealed = try SealedPlant(.chacha20poly1305)
        var plant = try Plant(epoch: 3)
        var bench = try Bench(sealed: SealedMessages(openers: [try sealed.opener()]))
        let good = try plant.births().map { try sealed.seal($0) } + [try sealed.seal(plant.data(1), compressed: .zstd)]
        let rounds = 2000
        for _ in 0..<rounds {
            var (topic, payload) = try #require(good.randomElement(using: &generator))
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                let place = Int.random(in: 0..<payload.count, using: &generator)
                payload[place] ^= UInt8.random(in: 1...255, using: &generator)
            }
            if Bool.random(using: &generator) { payload.removeLast(Int.random(in: 0...payload.count, using: &generator)) }
            if Int.random(in: 0..<20, using: &generator) == 0 { topic = "spBv1.0/plant/DDATA/line-1/pump-1" }
            bench.receive(topic, payload)
        }
        let counters = bench.decoder.counters.envelopes
        let refused = EnvelopeRefusal.Reason.allCases.reduce(0) { $0 + counters.refused($1) } + counters.plainRefused
        // Two changes of one byte may undo each other.
        #expect(refused + counters.opened == UInt64(rounds))
        #expect(UInt64(bench.effects.refused.count) >= refused)
        #expect(counters.opened < 20)
    }
}
