import Envelope
import Foundation
import GatewayCore
import Logging
import Telemetry
import TestKit
import Testing

@testable import IngestService

/// The keys of a receiving end as files.
@Suite struct EnvelopesTests {
    private static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// A folder with a receiver's key and one gateway.
    private static func folder() throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        _ = try EnvelopeKeyFile.create(folder.path + "/east", .p256)
        try add("gateway-1", "1", to: folder)
        return folder
    }

    private static func add(_ gateway: String, _ number: String, to folder: TemporaryFolder) throws {
        try FileManager.default.createDirectory(atPath: folder.path + "/gateways/" + gateway, withIntermediateDirectories: true)
        _ = try EnvelopeKeyFile.create("\(folder.path)/\(gateway)-\(number)", .p256)
        try FileManager.default.copyItem(
            atPath: "\(folder.path)/\(gateway)-\(number).pub", toPath: "\(folder.path)/gateways/\(gateway)/\(number).pub")
    }

    private static func settings(_ folder: TemporaryFolder) -> EnvelopeSettings {
        EnvelopeSettings(
            clusters: ["east"], keys: [folder.path + "/east.key"], gateways: folder.path + "/gateways", state: folder.path + "/state")
    }

    private static func envelopes(_ settings: EnvelopeSettings) throws -> Envelopes {
        try Envelopes(settings, time: SystemTime(), logger: logger)
    }

    private static func seal(_ gateway: String, _ number: String, _ folder: TemporaryFolder, recipient: String = "east") throws -> [UInt8] {
        let keys = EnvelopeKeys(
            signing: try EnvelopePrivateKey(file: "\(folder.path)/\(gateway)-\(number).key"),
            recipients: [try EnvelopePublicKey(file: "\(folder.path)/\(recipient).pub")])
        let sealer = try EnvelopeSealer(
            suite: .aes256gcm, gateway: gateway, route: "central", cluster: "east", epoch: 1, period: .seconds(60)
        ) { () throws(GatewayError) in keys }
        return try sealer.seal(.data, topic: "indusedge/\(gateway)/d/g", payload: [1], at: Timestamp(nanoseconds: 1)).bytes
    }

    @Test func `keys that are added are taken without a restart, and those that are removed are not any more`() throws {
        let folder = try Self.folder()
        var settings = Self.settings(folder)
        // The receiver's own key changes too: both for a while.
        _ = try EnvelopeKeyFile.create(folder.path + "/next", .p256)
        settings.keys.append(folder.path + "/next.key")
        let envelopes = try Self.envelopes(settings)
        let old = try Self.seal("gateway-1", "1", folder)
        _ = try envelopes.openers[0].open(old)
        try Self.add("gateway-1", "2", to: folder)
        try Self.add("gateway-2", "1", to: folder)
        let rotated = try Self.seal("gateway-1", "2", folder, recipient: "next")
        #expect(throws: EnvelopeRefusal.self) { try envelopes.openers[0].open(rotated) }
        envelopes.step()
        let other = try Self.seal("gateway-2", "1", folder)
        for bytes in [old, rotated, other] { _ = try envelopes.openers[0].open(bytes) }
        try FileManager.default.removeItem(atPath: folder.path + "/gateways/gateway-1/1.pub")
        envelopes.step()
        let refusal = #expect(throws: EnvelopeRefusal.self) { try envelopes.openers[0].open(old) }
        #expect(refusal?.reason == .foreignSigned)
        // What cannot be read keeps the keys of before.
        try Data("no key".utf8).write(to: URL(fileURLWithPath: folder.path + "/gateways/gateway-2/1.pub"))
        envelopes.step()
        _ = try envelopes.openers[0].open(other)
    }

    @Test func `a gateway uses the topics that its file names, and no others`() throws {
        let folder = try Self.folder()
        let bytes = try Self.seal("gateway-1", "1", folder)
        try "spBv1.0/+/+/node/#\n\n indusedge/gateway-1/+/+ \n".write(
            toFile: folder.path + "/gateways/gateway-1/topics", atomically: true, encoding: .utf8)
        _ = try Self.envelopes(Self.settings(folder)).openers[0].open(bytes)
        try "spBv1.0/+/+/node/#\n".write(toFile: folder.path + "/gateways/gateway-1/topics", atomically: true, encoding: .utf8)
        let refusal = #expect(throws: EnvelopeRefusal.self) { try Self.envelopes(Self.settings(folder)).openers[0].open(bytes) }
        #expect(refusal?.reason == .foreignTopic)
    }

    @Test func `what was dealt with is remembered over a restart`() throws {
        let folder = try Self.folder()
        let bytes = try Self.seal("gateway-1", "1", folder)
        let envelopes = try Self.envelopes(Self.settings(folder))
        let opened = try envelopes.openers[0].open(bytes)
        #expect(opened.freshness == .new)
        envelopes.openers[0].record(opened.identity)
        try envelopes.save()
        let again = try Self.envelopes(Self.settings(folder)).openers[0].open(bytes)
        #expect(again.freshness == .duplicate)
        #expect(try FileManager.default.attributesOfItem(atPath: folder.path + "/state/east.replay")[.posixPermissions] as? Int == 0o600)
        // Damaged: said, not guessed.
        try Data([0x82, 0x01]).write(to: URL(fileURLWithPath: folder.path + "/state/east.replay"))
        let error = #expect(throws: GatewayError.self) { try Self.envelopes(Self.settings(folder)) }
        #expect(error?.code == .storageCorrupt)
    }

    @Test(arguments: ["no key", "no gateway", "empty gateway", "missing folder", "no topics", "a file beside"])
    func `a receiver that would open less than it was told to does not start`(_ trouble: String) throws {
        let folder = try Self.folder()
        var settings = Self.settings(folder)
        let files = FileManager.default
        let gateways = folder.path + "/gateways"
        switch trouble {
        case "no key": settings.keys = [folder.path + "/missing.key"]
        case "no gateway": try files.removeItem(atPath: gateways + "/gateway-1")
        case "empty gateway": try files.removeItem(atPath: gateways + "/gateway-1/1.pub")
        case "missing folder": settings.gateways = folder.path + "/elsewhere"
        case "no topics": try "\n".write(toFile: gateways + "/gateway-1/topics", atomically: true, encoding: .utf8)
        default: try "x".write(toFile: gateways + "/README", atomically: true, encoding: .utf8)
        }
        let error = #expect(throws: GatewayError.self) { try Self.envelopes(settings) }
        #expect(error?.resource.hasPrefix(folder.path) == true)
    }
}
