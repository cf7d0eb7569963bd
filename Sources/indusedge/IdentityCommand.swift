internal import ArgumentParser
internal import GatewayCore
internal import Identity
internal import Telemetry

struct IdentityCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "identity", abstract: "Certificates and keys of the gateway.",
        subcommands: [Check.self, Show.self, CreateDevelopment.self, RenewDevelopment.self])

    struct CreateDevelopment: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "create-dev",
            abstract: "Make a certificate authority and certificates for a broker, a gateway and a subscriber, for development.",
            discussion:
                "Keys are readable by you only. Existing files are never overwritten. Not for production: the authority's key lies beside the others."
        )

        @Argument(help: "The folder to put them in; made if missing.")
        var folder: String

        @Option(name: .customLong("host"), help: "A further host name or address the broker's certificate is valid for. Repeatable.")
        var hosts: [String] = []

        func run() async throws {
            try await reportingErrors {
                let created = try DevelopmentIdentity.create(in: folder, at: SystemTime().utc, hosts: hosts)
                if created.isEmpty {
                    Output.line("\(folder) holds a complete identity already; nothing was changed")
                } else {
                    for name in created { Output.line("\(folder)/\(name)") }
                }
            }
        }
    }

    struct RenewDevelopment: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "renew-dev", abstract: "Replace a key and certificate that create-dev made, by the same authority.",
            discussion: "A running gateway takes the new ones over by itself.")

        @Argument(help: "The folder of the identity.")
        var folder: String

        @Argument(help: "gateway, broker or subscriber.")
        var name = "gateway"

        func run() async throws {
            try await reportingErrors {
                try DevelopmentIdentity.renew(name, in: folder, at: SystemTime().utc)
                Output.line("\(folder)/\(name).key")
                Output.line("\(folder)/\(name).crt")
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "show", abstract: "Show a certificate: for whom, by whom, until when.")

        @Argument(help: "A certificate file (PEM).")
        var file: String

        @Flag(help: "One JSON document instead of text.")
        var json = false

        private struct Report: Encodable {
            let subject: String
            let issuer: String
            let notBefore: String
            let notAfter: String
            let subjectAlternativeNames: [String]
            let fingerprint: String
            let isValid: Bool
        }

        func run() async throws {
            try await reportingErrors {
                let certificate = try CertificateInformation(pemFile: file)
                let now = SystemTime().utc
                let isValid = certificate.notBefore <= now && now <= certificate.notAfter
                if json {
                    try Output.json(
                        Report(
                            subject: certificate.subject, issuer: certificate.issuer, notBefore: certificate.notBefore.description,
                            notAfter: certificate.notAfter.description, subjectAlternativeNames: certificate.subjectAlternativeNames,
                            fingerprint: certificate.fingerprint, isValid: isValid))
                } else {
                    Output.table([
                        ["subject", certificate.subject], ["issuer", certificate.issuer],
                        ["valid from", certificate.notBefore.description],
                        ["valid until", certificate.notAfter.description + (isValid ? "" : "  NOT VALID NOW")],
                        ["names", certificate.subjectAlternativeNames.joined(separator: ", ")], ["SHA-256", certificate.fingerprint],
                    ])
                }
                if !isValid { throw ExitCode.failure }
            }
        }
    }
}
