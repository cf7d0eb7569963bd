import Telemetry
import TestKit
import Testing

@testable import Envelope

@Suite struct ReplayTests {
    private static func session(epoch: UInt32 = 1, generation: UInt32 = 0, startedAt: Int64 = 1000, identifier: UInt8 = 1)
        -> EnvelopeSession
    {
        EnvelopeSession(
            gateway: "gateway-1", route: "central", cluster: "east", epoch: epoch, generation: generation, startedAt: startedAt,
            identifier: [UInt8](repeating: identifier, count: 8))
    }

    private static func envelope(_ counter: UInt64, _ kind: EnvelopeKind = .data, in session: EnvelopeSession = session())
        -> EnvelopeIdentity
    {
        EnvelopeIdentity(session: session, kind: kind, counter: counter)
    }

    @Test func `a redelivery is a duplicate only after it was dealt with`() throws {
        let pair = try TestPair(.aes256gcm)
        let bytes = try pair.seal()
        let first = try pair.opener.open(bytes)
        #expect(first.freshness == .new)
        let again = try pair.opener.open(bytes)
        #expect(again.freshness == .new)
        pair.opener.record(again.identity)
        let third = try pair.opener.open(bytes)
        #expect(third.freshness == .duplicate)
        #expect(third.payload == first.payload)
    }

    @Test func `what was dealt with is known after a restart`() throws {
        let pair = try TestPair(.aes256gcm)
        let bytes = try (0..<100).map { _ in try pair.seal() }
        for (index, one) in bytes.enumerated() where index % 3 == 0 { pair.opener.record(try pair.opener.open(one).identity) }
        let restarted = try EnvelopeOpener(
            cluster: "east", keys: [pair.recipient], gateways: [TrustedGateway(name: "gateway-1", keys: [try pair.signing.publicKey()])],
            replayState: pair.opener.replayState)
        for (index, one) in bytes.enumerated() {
            let freshness = try restarted.open(one).freshness
            #expect(freshness == (index % 3 == 0 ? .duplicate : .new))
        }
        #expect(throws: EnvelopeRefusal.self) {
            try EnvelopeOpener(cluster: "east", keys: [], gateways: [], replayState: Array(pair.opener.replayState.dropLast()))
        }
    }

    @Test func `a birth that was recorded makes older births and deaths replays, and leaves data alone`() throws {
        var replay = ReplayGuard()
        replay.record(ReplayTests.envelope(10, .birth))
        #expect(throws: EnvelopeRefusal.self) { try replay.judge(ReplayTests.envelope(9, .birth)) }
        #expect(throws: EnvelopeRefusal.self) { try replay.judge(ReplayTests.envelope(3, .death)) }
        #expect(try replay.judge(ReplayTests.envelope(10, .birth)) == .duplicate)
        #expect(try replay.judge(ReplayTests.envelope(11, .birth)) == .new)
        #expect(try replay.judge(ReplayTests.envelope(9, .data)) == .new)
        #expect(try replay.judge(ReplayTests.envelope(1, .will)) == .new)
        let old = ReplayTests.session(epoch: 0, startedAt: 500, identifier: 2)
        #expect(throws: EnvelopeRefusal.self) { try replay.judge(ReplayTests.envelope(99, .birth, in: old)) }
        #expect(try replay.judge(ReplayTests.envelope(99, .data, in: old)) == .late)
        #expect(try replay.judge(ReplayTests.envelope(99, .will, in: old)) == .late)
    }

    @Test func `a box that counts its starts anew is taken when its clock went on, and one without a clock when its count did`() throws {
        var replay = ReplayGuard()
        replay.record(ReplayTests.envelope(10, .birth, in: ReplayTests.session(epoch: 7, startedAt: 1000)))
        let newDisk = ReplayTests.session(epoch: 1, startedAt: 2000, identifier: 3)
        #expect(try replay.judge(ReplayTests.envelope(1, .birth, in: newDisk)) == .new)
        let noClock = ReplayTests.session(epoch: 8, startedAt: 5, identifier: 4)
        #expect(try replay.judge(ReplayTests.envelope(1, .birth, in: noClock)) == .new)
        let otherRoute = {
            var session = ReplayTests.session(epoch: 1, startedAt: 5, identifier: 5)
            session.route = "metering"
            return session
        }()
        #expect(try replay.judge(ReplayTests.envelope(1, .birth, in: otherRoute)) == .new)
    }

    @Test func `any order and any repetition is judged as a set would`() throws {
        var generator = SeededGenerator()
        var replay = ReplayGuard()
        var known: Set<UInt64> = []
        var highest: UInt64 = 0
        for _ in 0..<50_000 {
            let behind = UInt64.random(in: 0...UInt64(ReplayGuard.windowBits + 500), using: &generator)
            let counter =
                Bool.random(using: &generator) ? highest + UInt64.random(in: 1...40, using: &generator) : highest - min(behind, highest)
            guard counter > 0 else { continue }
            let expected: EnvelopeFreshness =
                counter <= highest && highest - counter >= UInt64(ReplayGuard.windowBits)
                ? .late : known.contains(counter) ? .duplicate : .new
            let freshness = try replay.judge(ReplayTests.envelope(counter))
            #expect(freshness == expected)
            if freshness == expected, Bool.random(using: &generator) {
                replay.record(ReplayTests.envelope(counter))
                known.insert(counter)
                highest = max(highest, counter)
            }
        }
        let restored = try ReplayGuard(decoding: replay.encoded())
        #expect(restored == replay)
    }

    @Test func `what is remembered is bounded`() {
        var replay = ReplayGuard()
        for number in 0..<200 {
            replay.record(ReplayTests.envelope(1, in: ReplayTests.session(epoch: UInt32(number), identifier: UInt8(number))))
        }
        #expect(replay.senders.count == 1)
        #expect(replay.senders.values.allSatisfy { $0.windows.count == ReplayGuard.sessionsMax })
    }

    @Test func `a new content key every period, and another counter each time`() throws {
        let pair = try TestPair(.aes256gcm, period: .seconds(60))
        var sessions: Set<EnvelopeSession> = []
        for minute in 0..<5 {
            for _ in 0..<3 {
                let bytes = try pair.seal(at: TestPair.time.advanced(by: .seconds(60 * minute)))
                let opened = try pair.opener.open(bytes)
                sessions.insert(opened.identity.session)
            }
        }
        #expect(sessions.count == 5)
        #expect(Set(sessions.map { $0.generation }) == [0, 1, 2, 3, 4])
        let back = try pair.opener.open(try pair.seal(at: TestPair.time))
        #expect(back.identity.session.generation == 5)
    }

    @Test func `keys are read again with each period, and what cannot be read keeps those of before`() throws {
        let signing = try EnvelopePrivateKey.generate(.p256)
        let recipients = try [EnvelopePrivateKey.generate(.p256), EnvelopePrivateKey.generate(.p256)]
        let source = KeySource(EnvelopeKeys(signing: signing, recipients: [try recipients[0].publicKey()]))
        let sealer = try EnvelopeSealer(
            suite: .aes256gcm, gateway: "gateway-1", route: "central", cluster: "east", epoch: 1, period: .seconds(60)
        ) { () throws(GatewayError) in try source.keys() }
        func open(_ key: EnvelopePrivateKey, minute: Int) throws -> OpenedEnvelope {
            let bytes = try sealer.seal(
                .data, topic: "indusedge/gateway-1/d", payload: [1], at: TestPair.time.advanced(by: .seconds(60 * minute))
            ).bytes
            return try EnvelopeOpener(
                cluster: "east", keys: [key], gateways: [TrustedGateway(name: "gateway-1", keys: [try signing.publicKey()])]
            ).open(bytes)
        }
        _ = try open(recipients[0], minute: 0)
        source.set(EnvelopeKeys(signing: signing, recipients: try recipients.map { try $0.publicKey() }))
        #expect(throws: EnvelopeRefusal.self) { try open(recipients[1], minute: 0) }
        _ = try open(recipients[1], minute: 1)
        _ = try open(recipients[0], minute: 1)
        source.set(nil)
        _ = try open(recipients[1], minute: 2)
        #expect(sealer.lastError?.code == .certificateInvalid)
        source.set(EnvelopeKeys(signing: signing, recipients: [try recipients[1].publicKey()]))
        _ = try open(recipients[1], minute: 3)
        #expect(sealer.lastError == nil)
        #expect(throws: EnvelopeRefusal.self) { try open(recipients[0], minute: 3) }
    }
}
