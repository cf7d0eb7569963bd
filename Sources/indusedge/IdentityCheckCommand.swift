internal import ArgumentParser
internal import Definitions
internal import Foundation
internal import Gateway
internal import GatewayCore
internal import Identity
internal import Telemetry

extension IdentityCommand {
    struct Check: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "check",
            abstract: "Look whether the certificates and keys of a site can work, and how long.",
            discussion:
                "Keys in tokens (pkcs11:) are asked for. Exit status 1 when something cannot work, or has expired; what expires within 30 days "
                + "is told, and is no failure.")

        @Argument(help: ArgumentHelp("YAML files.", valueName: "file"))
        var files: [String]

        @Flag(help: "One JSON document instead of text.")
        var json = false

        private struct Report: Encodable {
            let holder: String
            let certificate: String?
            let subject: String?
            let notAfter: String?
            let daysLeft: Int?
            let authorityDaysLeft: Int?
            let state: String
            let isAlarm: Bool
            let words: [String]
        }

        func run() async throws {
            try await reportingErrors {
                let site = try loadSite(files)
                let stamp = ClockStamp(time: SystemTime().utc)
                let readings = IdentityHolder.all(of: site).map { ($0, $0.reading(at: stamp)) }
                if json {
                    try Output.json(readings.map { report($0, $1) })
                } else {
                    show(readings)
                }
                if readings.contains(where: { $1.isBroken || $1.trouble != nil || $1.certificate?.state == .notYetValid }) {
                    throw ExitCode.failure
                }
            }
        }

        private func state(_ reading: IdentityReading) -> String {
            reading.trouble != nil
                ? "unusable" : reading.authority?.state == .expired ? "expired" : reading.certificate?.state.rawValue ?? "none"
        }

        private func report(_ holder: IdentityHolder, _ reading: IdentityReading) -> Report {
            Report(
                holder: holder.title, certificate: holder.files.certificate, subject: reading.subject,
                notAfter: reading.certificate?.notAfter.description, daysLeft: reading.certificate?.daysLeft,
                authorityDaysLeft: reading.authority?.daysLeft, state: state(reading), isAlarm: reading.isAlarm, words: reading.words)
        }

        private func show(_ readings: [(IdentityHolder, IdentityReading)]) {
            guard !readings.isEmpty else { return Output.line("the site has no certificates") }
            Output.table(
                [["HOLDER", "SUBJECT", "VALID UNTIL", "DAYS LEFT", "STATE"]]
                    + readings.map { holder, reading in
                        [
                            holder.title, reading.subject ?? "-", reading.certificate?.notAfter.description ?? "-",
                            reading.certificate?.daysLeft.map { "\($0)" } ?? "-", state(reading),
                        ]
                    })
            for (holder, reading) in readings { for words in reading.words { Output.line("\(holder.title): \(words)") } }
        }
    }
}
