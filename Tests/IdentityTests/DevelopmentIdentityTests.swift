import Foundation
import Telemetry
import Testing

@testable import Identity

/// A folder that is gone after the test.
private final class Folder {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("identity-\(UUID().uuidString)").path
    deinit { try? FileManager.default.removeItem(atPath: path) }

    func file(_ name: String) -> String { "\(path)/\(name)" }
    func write(_ name: String, _ text: String) throws { try text.write(toFile: file(name), atomically: false, encoding: .utf8) }
    func read(_ name: String) throws -> String { try String(contentsOfFile: file(name), encoding: .utf8) }
}

private let now = Timestamp(milliseconds: 1_780_000_000_000)
private let day = Duration.seconds(86_400)

/// Runs the openssl command: the independent judge of what we make.
private func openssl(_ arguments: String...) throws -> (status: Int32, output: String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
    process.arguments = arguments
    let output = Pipe()
    process.standardOutput = output
    process.standardError = output
    try process.run()
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (process.terminationStatus, String(decoding: data, as: UTF8.self))
}

private func check(_ folder: Folder, at time: Timestamp = now, certificate: String = "gateway.crt", key: String = "gateway.key") throws
    -> [String]
{
    try CertificateInformation.check(
        ca: folder.file("ca.crt"), certificate: folder.file(certificate), key: folder.file(key), at: time)
}

@Suite struct DevelopmentIdentityTests {
    @Test func createsEveryFileOnceAndKeepsACompleteIdentity() throws {
        let folder = Folder()
        #expect(try DevelopmentIdentity.create(in: folder.path, at: now) == DevelopmentIdentity.fileNames)
        let before = try folder.read("ca.key")
        #expect(try DevelopmentIdentity.create(in: folder.path, at: now) == [])
        #expect(try folder.read("ca.key") == before)
        for name in DevelopmentIdentity.fileNames {
            let mode = try #require(FileManager.default.attributesOfItem(atPath: folder.file(name))[.posixPermissions] as? Int)
            #expect(mode == (name.hasSuffix(".key") ? 0o600 : 0o644), "\(name)")
        }
    }

    @Test func namesWhatAnIncompleteIdentityMisses() throws {
        let folder = Folder()
        _ = try DevelopmentIdentity.create(in: folder.path, at: now)
        try FileManager.default.removeItem(atPath: folder.file("broker.key"))
        try FileManager.default.removeItem(atPath: folder.file("subscriber.crt"))
        let before = try folder.read("ca.key")
        let error = #expect(throws: GatewayError.self) { try DevelopmentIdentity.create(in: folder.path, at: now) }
        #expect(error?.message.contains("missing: broker.key, subscriber.crt") == true)
        #expect(try folder.read("ca.key") == before)
        #expect(!FileManager.default.fileExists(atPath: folder.file("broker.key")))
    }

    @Test(arguments: [("broker", "sslserver"), ("gateway", "sslclient"), ("subscriber", "sslclient")])
    func opensslAcceptsTheCertificates(name: String, purpose: String) throws {
        let folder = Folder()
        _ = try DevelopmentIdentity.create(in: folder.path, at: now)
        let seconds = String(now.milliseconds / 1000 + 3600)
        let result = try openssl(
            "verify", "-x509_strict", "-attime", seconds, "-purpose", purpose, "-CAfile", folder.file("ca.crt"), folder.file("\(name).crt"))
        #expect(result.status == 0, "\(result.output)")
        let wrong = try openssl(
            "verify", "-attime", seconds, "-purpose", purpose == "sslclient" ? "sslserver" : "sslclient", "-CAfile",
            folder.file("ca.crt"), folder.file("\(name).crt"))
        #expect(wrong.status != 0, "the certificate serves a purpose it is not for")
        let text = try openssl("x509", "-noout", "-text", "-in", folder.file("\(name).crt")).output
        for expected in ["prime256v1", "CA:FALSE", "X509v3 Subject Key Identifier", "X509v3 Authority Key Identifier", "Digital Signature"]
        {
            #expect(text.contains(expected), "\(expected)")
        }
    }

    @Test func certificatesSayWhatWasAskedFor() throws {
        let folder = Folder()
        _ = try DevelopmentIdentity.create(in: folder.path, at: now, hosts: ["broker-east", "10.1.2.3", "localhost"])
        let broker = try CertificateInformation(pemFile: folder.file("broker.crt"))
        #expect(broker.subjectAlternativeNames == ["localhost", "127.0.0.1", "::1", "broker-east", "10.1.2.3"])
        #expect(broker.subject == "CN=localhost,O=IndusEdge")
        #expect(broker.issuer == "CN=IndusEdge development authority,O=IndusEdge")
        #expect(broker.notBefore == now)
        #expect(broker.notAfter == now.advanced(by: day * 90))
        let fingerprint = try openssl("x509", "-noout", "-fingerprint", "-sha256", "-in", folder.file("broker.crt")).output
        #expect(fingerprint.contains(broker.fingerprint))
        let other = Folder()
        _ = try DevelopmentIdentity.create(in: other.path, at: now)
        #expect(try CertificateInformation(pemFile: other.file("broker.crt")).fingerprint != broker.fingerprint)
    }

    @Test(arguments: ["a,DNS:evil", "", "-x", "a..b", "*.example", "1.2.3.4.5,", "höst"])
    func refusesWhatIsNoHost(host: String) throws {
        let folder = Folder()
        #expect(throws: GatewayError.self) { try DevelopmentIdentity.create(in: folder.path, at: now, hosts: [host]) }
        #expect(!FileManager.default.fileExists(atPath: folder.path))
    }
}

@Suite struct IdentityCheckTests {
    private let folder: Folder

    init() throws {
        folder = Folder()
        _ = try DevelopmentIdentity.create(in: folder.path, at: now)
    }

    private func trouble(at time: Timestamp = now, certificate: String = "gateway.crt", key: String = "gateway.key") -> GatewayError? {
        do {
            _ = try check(folder, at: time, certificate: certificate, key: key)
            return nil
        } catch {
            return error as? GatewayError
        }
    }

    @Test func acceptsWhatFits() throws { #expect(try check(folder) == []) }

    @Test func warnsOfAKeyOthersCanRead() throws {
        try FileManager.default.setAttributes([.posixPermissions: 0o640], ofItemAtPath: folder.file("gateway.key"))
        #expect(try check(folder).first?.contains("chmod 600") == true)
    }

    @Test func namesTheDates() {
        let late = trouble(at: now.advanced(by: day * 91))
        #expect(late?.message.contains("expired on \(now.advanced(by: day * 90))") == true)
        let early = trouble(at: now.advanced(by: day * -1))
        #expect(early?.message.contains("not valid before \(now)") == true)
    }

    @Test func namesAKeyOfAnotherCertificate() {
        let error = trouble(key: "subscriber.key")
        #expect(error?.resource == folder.file("subscriber.key"))
        #expect(error?.message.contains("does not match the certificate") == true)
    }

    @Test func namesAForeignAuthority() throws {
        let other = Folder()
        _ = try DevelopmentIdentity.create(in: other.path, at: now)
        try FileManager.default.removeItem(atPath: folder.file("ca.crt"))
        try FileManager.default.copyItem(atPath: other.file("ca.crt"), toPath: folder.file("ca.crt"))
        #expect(trouble()?.message.contains("is not signed by an authority in \(folder.file("ca.crt"))") == true)
    }

    @Test func acceptsABundleOfAuthorities() throws {
        let other = Folder()
        _ = try DevelopmentIdentity.create(in: other.path, at: now)
        try folder.write("ca.crt", try other.read("ca.crt") + folder.read("ca.crt"))
        #expect(try check(folder) == [])
    }

    @Test func namesAMissingFile() {
        let error = trouble(certificate: "absent.crt")
        #expect(error?.resource == folder.file("absent.crt"))
        #expect(error?.message == "the file does not exist")
    }

    @Test(arguments: ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
    func namesAFileThatIsNoCertificate(text: String) throws {
        try folder.write("gateway.crt", text)
        #expect(trouble()?.message.contains("no certificate in PEM form") == true)
    }

    @Test func refusesAKeyUnderAPassphrase() throws {
        let encrypted = folder.file("encrypted.key")
        _ = try openssl("pkcs8", "-topk8", "-in", folder.file("gateway.key"), "-out", encrypted, "-passout", "pass:secret")
        #expect(trouble(key: "encrypted.key")?.message.contains("without a passphrase") == true)
    }

    @Test func refusesAFolderAndAHugeFile() throws {
        #expect(trouble(certificate: ".")?.message == "it is not a file")
        try folder.write("gateway.crt", String(repeating: "x", count: PEMFile.sizeMax + 1))
        #expect(trouble()?.message.contains("a PEM file at most \(PEMFile.sizeMax)") == true)
    }
}
