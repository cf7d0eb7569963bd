import Foundation
import Telemetry
import TestKit
import Testing

@testable import Envelope

/// Against implementations of others: pycose for the suites of the registry, gmssl for the national one.
@Suite struct InteropTests {
    private struct Report: Decodable, Equatable {
        var gateway: String
        var cluster: String
        var kind: Int
        var counter: Int
        var topic: String
        var batch: [Int]?
        var payload: String
    }

    /// A folder with the keys of a gateway and of a receiver.
    private static func keys(_ suite: EnvelopeSuite) throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        _ = try EnvelopeKeyFile.create("\(folder.path)/signing", suite.curve)
        _ = try EnvelopeKeyFile.create("\(folder.path)/recipient", suite.curve)
        return folder
    }

    @Test(arguments: EnvelopeSuite.allCases) func `another implementation opens what we seal`(_ suite: EnvelopeSuite) async throws {
        let folder = try InteropTests.keys(suite)
        let keys = EnvelopeKeys(
            signing: try EnvelopePrivateKey(file: "\(folder.path)/signing.key"),
            // Another recipient comes first: the foreign reader has to find its own.
            recipients: [
                try EnvelopePrivateKey.generate(suite.curve).publicKey(), try EnvelopePublicKey(file: "\(folder.path)/recipient.pub"),
            ])
        let sealer = try EnvelopeSealer(
            suite: suite, gateway: "gateway-1", route: "central", cluster: "east", epoch: 7, period: .seconds(3600)
        ) { () throws(GatewayError) in keys }
        var files: [String] = []
        var expected: [Report] = []
        for number in 1...4 {
            let payload = [UInt8](repeating: UInt8(number), count: number * 17)
            let batch = number == 1 ? nil : EnvelopeBatchKey(epoch: 7, stream: 2, sequence: UInt64(number) << 33)
            let kind: EnvelopeKind = number == 1 ? .birth : .data
            let bytes = try sealer.seal(
                kind, topic: "spBv1.0/g/DDATA/gateway-1/d\(number)", payload: payload, batch: batch, at: TestPair.time
            ).bytes
            files.append("\(folder.path)/\(number).envelope")
            try Data(bytes).write(to: URL(fileURLWithPath: "\(folder.path)/\(number).envelope"))
            expected.append(
                Report(
                    gateway: "gateway-1", cluster: "east", kind: Int(kind.rawValue), counter: number,
                    topic: "spBv1.0/g/DDATA/gateway-1/d\(number)",
                    batch: batch.map { [Int($0.epoch), Int($0.stream), Int($0.sequence)] }, payload: hexadecimal(payload)))
        }
        let process = try ForeignProcess(Checkout.python, [Checkout.peer("envelope_peer.py"), "open", folder.path, suite.rawValue] + files)
        let status = try await process.waitForExit(within: .seconds(120))
        try #require(status == 0, Comment(rawValue: process.errorText))
        try await process.drained()
        let reports = try process.allLines.map { try JSONDecoder().decode(Report.self, from: Data($0.utf8)) }
        #expect(reports == expected)
    }

    @Test(arguments: EnvelopeSuite.allCases) func `we open what another implementation seals`(_ suite: EnvelopeSuite) async throws {
        let folder = try InteropTests.keys(suite)
        let process = try ForeignProcess(Checkout.python, [Checkout.peer("envelope_peer.py"), "seal", folder.path, suite.rawValue, "3"])
        let status = try await process.waitForExit(within: .seconds(120))
        try #require(status == 0, Comment(rawValue: process.errorText))
        let opener = try EnvelopeOpener(
            cluster: "east", keys: [try EnvelopePrivateKey(file: "\(folder.path)/recipient.key")],
            gateways: [TrustedGateway(name: "gateway-1", keys: [try EnvelopePublicKey(file: "\(folder.path)/signing.pub")])])
        for number in 1...3 {
            let opened = try opener.open(Array(try Data(contentsOf: URL(fileURLWithPath: "\(folder.path)/python-\(number).envelope"))))
            #expect(opened.topic == "spBv1.0/g/DDATA/gateway-1/device-\(number)")
            #expect(opened.payload == Array("from Python ".utf8) + [UInt8](repeating: UInt8(number), count: number))
            #expect(opened.batch == EnvelopeBatchKey(epoch: 9, stream: 4, sequence: UInt64(number)))
            #expect(opened.identity.counter == UInt64(number))
        }
    }

    @Test func `the foreign reader refuses a flipped bit`() async throws {
        for suite in [EnvelopeSuite.aes256gcm, .sm] {
            let folder = try InteropTests.keys(suite)
            let keys = EnvelopeKeys(
                signing: try EnvelopePrivateKey(file: "\(folder.path)/signing.key"),
                recipients: [try EnvelopePublicKey(file: "\(folder.path)/recipient.pub")])
            let sealer = try EnvelopeSealer(
                suite: suite, gateway: "gateway-1", route: "central", cluster: "east", epoch: 7, period: .seconds(3600)
            ) { () throws(GatewayError) in keys }
            var bytes = try sealer.seal(.data, topic: "indusedge/gateway-1/d", payload: [1], at: TestPair.time).bytes
            bytes[bytes.count - 1] ^= 1
            try Data(bytes).write(to: URL(fileURLWithPath: "\(folder.path)/flipped"))
            let process = try ForeignProcess(
                Checkout.python, [Checkout.peer("envelope_peer.py"), "open", folder.path, suite.rawValue, "\(folder.path)/flipped"])
            let status = try await process.waitForExit(within: .seconds(60))
            #expect(status == 1)
        }
    }
}
