internal import ArgumentParser
internal import Envelope
internal import Foundation
internal import Telemetry

struct EnvelopeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "envelope", abstract: "Keys of end-to-end encryption, and what can be seen of an encrypted message.",
        subcommands: [CreateKeys.self, Inspect.self])

    struct CreateKeys: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "create-keys", abstract: "Make a key pair: PATH.key for its owner only, PATH.pub for the other side.",
            discussion: "A gateway needs one to sign, and each receiving end one to read. Existing files are never overwritten.")

        @Argument(help: "Where to put them, without an ending.")
        var path: String

        @Flag(help: "For the national suite (SM2) instead of P-256.")
        var sm2 = false

        func run() async throws {
            try await reportingErrors {
                let files = try EnvelopeKeyFile.create(path, sm2 ? .sm2 : .p256)
                let identifier = try EnvelopePublicKey(file: files.publicKey).shownIdentifier
                Output.line(files.key)
                Output.line("\(files.publicKey)  (\(identifier))")
            }
        }
    }

    struct Inspect: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "inspect", abstract: "Show what a broker can see of an encrypted message. Nothing is verified or decrypted.")

        @Argument(help: "A file with the payload of one message.")
        var file: String

        func run() async throws {
            try await reportingErrors {
                guard let content = FileManager.default.contents(atPath: file) else {
                    throw GatewayError(.notFound, resource: file, operation: "read", "the file cannot be read")
                }
                let seen: EnvelopeInspection
                do {
                    seen = try EnvelopeInspection(Array(content))
                } catch {
                    throw GatewayError(.protocolViolation, resource: file, operation: "inspect", "it is no envelope", cause: error)
                }
                let session = seen.identity.session
                Output.table([
                    ["gateway", session.gateway], ["route", session.route], ["cluster", session.cluster],
                    ["kind", "\(seen.identity.kind)"],
                    ["epoch", "\(session.epoch)"],
                    ["content key", "\(session.generation), since \(Timestamp(nanoseconds: session.startedAt))"],
                    ["counter", "\(seen.identity.counter)"], ["suite", seen.suite], ["signed by", seen.signer],
                    ["readable by", seen.recipients.joined(separator: ", ")],
                    ["bytes", "\(seen.bytes), of which \(seen.ciphertextBytes) encrypted"],
                ])
            }
        }
    }
}
