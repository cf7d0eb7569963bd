import Telemetry
import TestKit
import Testing

@testable import MQTTProtocol

@Suite struct MQTTProtocolTests {
    private func packets(_ bytes: [UInt8], pieces: Int = .max, packetBytesMax: Int = 1 << 20) throws -> [MQTTIncoming] {
        var input = MQTTInput(resource: "broker", packetBytesMax: packetBytesMax)
        var found: [MQTTIncoming] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            let piece = rest.prefix(pieces)
            rest = rest.dropFirst(piece.count)
            piece.withUnsafeBytes { input.append($0) }
            while let packet = try input.next() { found.append(packet) }
        }
        return found
    }

    @Test func connectAsTheStandardLaysItOut() {
        let bytes = MQTTOutput.connect(
            .init(clientID: "in", keepAliveSeconds: 30, sessionExpirySeconds: 3600, receiveMaximum: 100, maximumPacketBytes: 65_536))
        let expected: [UInt8] =
            [0x10, 28, 0, 4] + Array("MQTT".utf8) + [5, 0, 0, 30]
            + [13, 0x11, 0, 0, 0x0E, 0x10, 0x21, 0, 100, 0x27, 0, 1, 0, 0] + [0, 2] + Array("in".utf8)
        #expect(bytes == expected)
    }

    @Test func connectWithWillUserAndPassword() {
        let bytes = MQTTOutput.connect(
            .init(
                clientID: "i", keepAliveSeconds: 0, sessionExpirySeconds: 0, receiveMaximum: 1, maximumPacketBytes: 1, userName: "u",
                password: [1, 2], will: ("t", [9])))
        // User name, password, will retained at QoS 1, no clean start.
        #expect(bytes[9] == 0x80 | 0x40 | 0x20 | 0x08 | 0x04)
        #expect(Array(bytes.suffix(17)) == [0, 1, 0x69, 0, 0, 1, 0x74, 0, 1, 9, 0, 1, 0x75, 0, 2, 1, 2])
    }

    @Test func subscriptionsAskForQoS1() {
        let bytes = MQTTOutput.subscribe(["a/+", "$share/g/b"], packetID: 7)
        #expect(bytes == [0x82, 22, 0, 7, 0, 0, 3] + Array("a/+".utf8) + [0x11, 0, 10] + Array("$share/g/b".utf8) + [0x01])
    }

    @Test func messagesComeWholeHoweverTheyAreCut() throws {
        let message: [UInt8] = [0x3B, 12, 0, 3] + Array("a/b".utf8) + [0, 5, 2, 0x01, 1, 0xAA, 0xBB]
        let acknowledged: [UInt8] = [0x40, 2, 0, 2, 0xD0, 0]
        for pieces in [1, 2, 3, 7, 100] {
            let found = try packets(message + acknowledged + message, pieces: pieces)
            let expected = MQTTIncoming.message(
                .init(topic: "a/b", payload: [0xAA, 0xBB], qualityOfService: 1, packetID: 5, isRepeated: true, isRetained: true))
            #expect(found == [expected, .publishAnswer(packetID: 2, .init(rawValue: 0)), .pingAnswer, expected])
        }
    }

    @Test func answersSayWhatTheBrokerMeans() throws {
        let reason = Array("full".utf8)
        let properties: [UInt8] = [0x13, 0, 20, 0x1F, 0, 4] + reason + [0x2A, 0]
        let answer: [UInt8] = [0x20, UInt8(3 + properties.count), 1, 0x97, UInt8(properties.count)] + properties
        guard case .connectAnswer(let connected)? = try packets(answer).first else {
            Issue.record("no answer")
            return
        }
        #expect(connected.isSessionPresent)
        #expect(connected.code.description == "0x97 (Quota exceeded)")
        #expect(connected.reason == "full")
        #expect(connected.serverKeepAliveSeconds == 20)
        #expect(!connected.hasSharedSubscriptions)
        // A broker of MQTT 3.1.1.
        #expect(try packets([0x20, 2, 0, 1]) == [.connectAnswer(.init(code: .init(rawValue: 0x84)))])
        #expect(try packets([0x90, 5, 0, 1, 0, 1, 0x87]) == [.subscribeAnswer(packetID: 1, [.init(rawValue: 1), .init(rawValue: 0x87)])])
        #expect(try packets([0xE0, 1, 0x8E]) == [.disconnect(.init(rawValue: 0x8E), reason: nil)])
    }

    @Test(
        "What breaks the rules is refused",
        arguments: [
            [0x34, 5, 0, 1, 0x61, 0, 1],  // QoS 2
            [0x32, 6, 0, 1, 0x61, 0, 0, 0],  // packet identifier 0
            [0x30, 3, 0, 0, 0],  // no topic
            [0x30, 7, 0, 1, 0x61, 3, 0x23, 0, 1],  // a topic alias
            [0x30, 4, 0, 9, 0x61, 0],  // the topic reaches beyond the packet
            [0x30, 5, 0, 1, 0xFF, 0, 0],  // not UTF-8
            [0x30, 5, 0, 1, 0x61, 1, 0x7E],  // no such property
            [0x30, 0xFF, 0xFF, 0xFF, 0x7F],  // too large
            [0x30, 0xFF, 0xFF, 0xFF, 0xFF],  // a length of five bytes
            [0x62, 2, 0, 1],  // PUBREL
            [0x00, 0],
        ] as [[UInt8]])
    func violations(_ bytes: [UInt8]) {
        let error = #expect(throws: GatewayError.self) { try packets(bytes) }
        #expect(error?.code == .protocolViolation)
    }

    @Test func whateverComesItNeverTraps() {
        var generator = SeededGenerator()
        for _ in 0..<3000 {
            var bytes: [UInt8] = [0x3B, 12, 0, 3, 0x61, 0x2F, 0x62, 0, 5, 2, 0x01, 1, 0xAA, 0xBB, 0x20, 6, 1, 0, 3, 0x21, 0, 9]
            for _ in 0..<Int.random(in: 1...6, using: &generator) {
                bytes[Int.random(in: bytes.indices, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            }
            _ = try? packets(bytes, pieces: Int.random(in: 1...30, using: &generator), packetBytesMax: 1000)
        }
    }
}
