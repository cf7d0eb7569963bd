import Foundation
import Telemetry
import TestKit
import Testing

@testable import Envelope

@Suite struct KeyFileTests {
    @Test(arguments: EnvelopeCurve.allCases) func `a key pair is made once, and only its owner may read it`(_ curve: EnvelopeCurve) throws {
        let folder = try TemporaryFolder()
        let files = try EnvelopeKeyFile.create("\(folder.path)/gateway", curve)
        let attributes = try FileManager.default.attributesOfItem(atPath: files.key)
        #expect(attributes[.posixPermissions] as? Int == 0o600)
        let pair = try EnvelopePrivateKey(file: files.key)
        let other = try EnvelopePublicKey(file: files.publicKey)
        #expect(pair.identifier == other.identifier)
        #expect(pair.curve == curve)
        let again = #expect(throws: GatewayError.self) { try EnvelopeKeyFile.create("\(folder.path)/gateway", curve) }
        #expect(again?.message.contains("never overwritten") == true)
        let kept = try EnvelopePrivateKey(file: files.key)
        #expect(kept.identifier == pair.identifier)
    }

    @Test func `files that hold no key are refused with a reason`() throws {
        let folder = try TemporaryFolder()
        let files = try EnvelopeKeyFile.create("\(folder.path)/gateway", .p256)
        #expect(throws: GatewayError.self) { try EnvelopePrivateKey(file: files.publicKey) }
        #expect(throws: GatewayError.self) { try EnvelopePublicKey(file: files.key) }
        let missing = #expect(throws: GatewayError.self) { try EnvelopePublicKey(file: "\(folder.path)/none") }
        #expect(missing?.code == .certificateInvalid)
        for content in ["", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "not a key"] {
            #expect(throws: GatewayError.self) { try EnvelopePublicKey(pem: Array(content.utf8), name: "it") }
            #expect(throws: GatewayError.self) { try EnvelopePrivateKey(pem: Array(content.utf8), name: "it") }
        }
    }

    @Test func `what a broker sees names neither topic nor value`() throws {
        let pair = try TestPair(.aes256gcm)
        let bytes = try pair.sealer.seal(
            .data, topic: "spBv1.0/g/DDATA/gateway-1/secretDevice", payload: Array("secretTag 41.5".utf8), at: TestPair.time
        ).bytes
        #expect(!String(decoding: bytes, as: UTF8.self).contains("secret"))
        let seen = try EnvelopeInspection(bytes)
        #expect(seen.identity.session.gateway == "gateway-1")
        #expect(seen.suite == "aes256gcm")
        #expect(seen.signer == hexadecimal(pair.signing.identifier))
        #expect(seen.recipients == [hexadecimal(pair.recipient.identifier)])
    }
}
