import Foundation
import TestKit
import Testing

/// A token of SoftHSM with one key, and a certificate for it by the authority of a site.
private final class Token {
    static let pin = "135790"
    static let module = "/usr/lib/softhsm/libsofthsm2.so"
    private let folder: TemporaryFolder
    let certificate: String
    let pinFile: String

    init(_ site: TestSite, kind: String) async throws {
        folder = try TemporaryFolder()
        certificate = folder.path + "/token.crt"
        pinFile = folder.path + "/pin"
        try FileManager.default.createDirectory(atPath: folder.path + "/tokens", withIntermediateDirectories: true)
        try "directories.tokendir = \(folder.path)/tokens\n".write(toFile: folder.path + "/conf", atomically: true, encoding: .utf8)
        try (Token.pin + "\n").write(toFile: pinFile, atomically: true, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: pinFile)
        try await run("softhsm2-util", ["--init-token", "--free", "--label", "gw", "--so-pin", "0000", "--pin", Token.pin])
        let tool = ["--module", Token.module, "--token-label", "gw", "--login", "--pin", Token.pin]
        try await run("pkcs11-tool", tool + ["--keypairgen", "--key-type", kind, "--id", "01", "--label", "tls"])
        let key = folder.path + "/public"
        try await run("pkcs11-tool", tool + ["--read-object", "--type", "pubkey", "--id", "01", "-o", key + ".der"])
        try await run("openssl", ["pkey", "-pubin", "-inform", "DER", "-in", key + ".der", "-out", key + ".pem"])
        try await run(
            "openssl",
            [
                "x509", "-new", "-force_pubkey", key + ".pem", "-CA", site.identity + "/ca.crt", "-CAkey", site.identity + "/ca.key",
                "-subj",
                "/CN=gateway-token", "-days", "60", "-out", certificate,
            ])
    }

    /// What the program needs to find the token: what a box has in its system's configuration.
    var environment: [String: String] { ["SOFTHSM2_CONF": folder.path + "/conf"] }

    private func run(_ program: String, _ arguments: [String]) async throws {
        let process = try ForeignProcess(program, arguments, environment: environment)
        let status = try await process.waitForExit(within: .seconds(30))
        try await process.drained()
        guard status == 0 else { throw ForeignProcess.Failure(description: "\(program): \(process.errorText)") }
    }
}

@Suite("Keys in a token", .serialized, .timeLimit(.minutes(3)))
struct TokenKeyTests {
    /// A site whose route has its key in the token.
    private func document(_ site: TestSite, _ token: Token, port: UInt16, key: String) throws -> String {
        let document = try site.write([.init(name: "plc", port: port, tags: ["name: level, address: \"holding:1\", type: uint16"])])
        let text = try String(contentsOfFile: document, encoding: .utf8)
            .replacing("\(site.identity)/gateway.key", with: key).replacing("\(site.identity)/gateway.crt", with: token.certificate)
        try text.write(toFile: document, atomically: true, encoding: .utf8)
        return document
    }

    private func check(_ document: String, _ environment: [String: String]) async throws -> (status: Int32, text: String) {
        let process = try ForeignProcess(TestSite.program, ["identity", "check", document], environment: environment)
        let status = try await process.waitForExit(within: .seconds(30))
        try await process.drained()
        return (status, process.allLines.joined(separator: "\n") + process.errorText)
    }

    @Test("a route connects with a key that never leaves its token", arguments: ["EC:prime256v1", "rsa:2048"])
    func connects(kind: String) async throws {
        let site = try await TestSite()
        let device = try await ModbusPeer()
        let token = try await Token(site, kind: kind)
        let key = "pkcs11:token=gw;object=tls?module-path=\(Token.module)&pin-source=\(token.pinFile)"
        let document = try document(site, token, port: device.port, key: key)
        let good = try await check(document, token.environment)
        #expect(good.status == 0 && good.text.contains("CN=gateway-token") && good.text.contains("valid"), "\(good)")

        let gateway = try ForeignProcess(TestSite.program, ["run", document], environment: token.environment)
        try await gateway.errorLine { $0.contains("connected") && $0.contains("TLSv1.3") }
        var view = try await TestSite.command(["route", site.logPath, "--json"])
        while !view.output.joined().contains("gateway-token") {
            try await Task.sleep(for: .milliseconds(100))
            view = try await TestSite.command(["route", site.logPath, "--json"])
        }
        #expect(view.status == 0 && view.output.joined().contains("\"state\":\"connected\""), "\(view)")
        let arguments = try gateway.processIdentifier.commandLine
        gateway.signal(SIGTERM)
        #expect(try await gateway.waitForExit() == 0)
        try await gateway.drained()
        for text in [gateway.errorText, gateway.allLines.joined(), view.output.joined(), arguments] {
            #expect(!text.contains(Token.pin), "the PIN is shown: \(text)")
        }
    }

    @Test("the PIN comes from a file that only its owner reads, from systemd or from the environment, and a wrong one is tried once")
    func pins() async throws {
        let site = try await TestSite()
        let device = try await ModbusPeer()
        let token = try await Token(site, kind: "EC:prime256v1")
        let name = "pkcs11:token=gw;object=tls?module-path=\(Token.module)"
        let bare = try document(site, token, port: device.port, key: name)
        func outcome(_ further: [String: String] = [:]) async throws -> (status: Int32, text: String) {
            let outcome = try await check(bare, token.environment.merging(further) { $1 })
            #expect(!outcome.text.contains(Token.pin), "the PIN is shown")
            return outcome
        }
        let none = try await outcome()
        #expect(none.status == 1 && none.text.contains("no PIN was found"), "\(none)")
        let environment = try await outcome(["INDUS_PKCS11_PIN": Token.pin])
        #expect(environment.status == 0, "\(environment)")
        let wrong = try await outcome(["INDUS_PKCS11_PIN": "999999"])
        #expect(wrong.status == 1 && wrong.text.contains("is the PIN right") && !wrong.text.contains("999999"), "\(wrong)")

        let credentials = try TemporaryFolder()
        try Token.pin.write(toFile: credentials.path + "/pkcs11-pin", atomically: true, encoding: .utf8)
        let readable = try await outcome(["CREDENTIALS_DIRECTORY": credentials.path])
        #expect(readable.status == 1 && readable.text.contains("chmod 600"), "\(readable)")
        try FileManager.default.setAttributes([.posixPermissions: 0o400], ofItemAtPath: credentials.path + "/pkcs11-pin")
        let systemd = try await outcome(["CREDENTIALS_DIRECTORY": credentials.path])
        #expect(systemd.status == 0, "\(systemd)")

        for (key, words) in [
            ("pkcs11:token=gw;object=tls?pin-value=\(Token.pin)", "a PIN must not stand in it"),
            ("pkcs11:token=gw;object=other?module-path=\(Token.module)&pin-source=\(token.pinFile)", "the token gives no such key"),
            ("pkcs11:token=gw;object=tls?module-path=/nowhere.so&pin-source=\(token.pinFile)", "the token gives no such key"),
        ] {
            let refused = try await check(document(site, token, port: device.port, key: key), token.environment)
            #expect(refused.status == 1 && refused.text.contains(words), "\(refused)")
        }

        // A gateway that goes on with a wrong PIN would lock a real token after a few attempts.
        let bareAgain = try document(site, token, port: device.port, key: name)
        let gateway = try ForeignProcess(
            TestSite.program, ["run", bareAgain], environment: token.environment.merging(["INDUS_PKCS11_PIN": "999999"]) { $1 })
        try await gateway.errorLine { $0.contains("is the PIN right") }
        try await gateway.errorLine { $0.contains("the token refused this PIN before") }
        gateway.signal(SIGTERM)
        #expect(try await gateway.waitForExit() == 0)
        try await gateway.drained()
        #expect(!gateway.errorText.contains("999999"))
    }
}

extension Int32 {
    /// The command line of the process with this identifier, as everybody on the machine can see it.
    fileprivate var commandLine: String {
        get throws { String(decoding: try Data(contentsOf: URL(fileURLWithPath: "/proc/\(self)/cmdline")), as: UTF8.self) }
    }
}
