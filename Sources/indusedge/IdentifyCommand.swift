internal import ArgumentParser
internal import Definitions
internal import Gateway

struct IdentifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "identify", abstract: "Ask a device who it is: vendor, product, revision.",
        discussion: "Connects by itself; the gateway need not run. Many devices do not know the question (function 43/14).")

    @Argument(help: "The site document.")
    var site: String

    @Argument(help: "A device.")
    var device: String

    @Flag(help: "One JSON document per object instead of a table.")
    var json = false

    private struct Line: Encodable {
        let device: String
        let object: UInt8
        let name: String
        let text: String
    }

    func run() async throws {
        try await reportingErrors {
            let entries = try await DirectIdentification.read(try loadSite([site]), device: device)
            if json {
                for entry in entries { try Output.json(Line(device: device, object: entry.object, name: entry.name, text: entry.text)) }
            } else {
                Output.table(entries.map { [$0.name, $0.text] })
            }
        }
    }
}
