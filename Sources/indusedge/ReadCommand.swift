internal import ArgumentParser
internal import Definitions
internal import Gateway
internal import GatewayCore
internal import Telemetry

struct ReadCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "read", abstract: "Read a device, or one tag of it, now.",
        discussion: "Connects by itself; the gateway need not run. Exit status 1 when a value is Bad.")

    @Argument(help: "The site document.")
    var site: String

    @Argument(help: ArgumentHelp("A device, or one of its tags.", valueName: "device[.tag]"))
    var target: String

    @Flag(help: "One JSON document per tag instead of a table.")
    var json = false

    private struct Line: Encodable {
        let device: String
        let tag: String
        let value: JSONValue?
        let label: String?
        let unit: String?
        let status: String
        let time: String
        let reason: String?
    }

    func run() async throws {
        try await reportingErrors {
            let site = try loadSite([site])
            let parts = target.split(separator: ".", maxSplits: 1).map(String.init)
            // A device's name may hold dots: it is then taken whole.
            let isWhole = site.devices.contains { $0.name == target }
            let readings = try await DirectRead.read(
                site, device: isWhole ? target : parts.first ?? target, tag: isWhole || parts.count < 2 ? nil : parts[1], time: SystemTime()
            )
            if json {
                for reading in readings {
                    try Output.json(
                        Line(
                            device: reading.device, tag: reading.tag.name, value: reading.value.value.map(JSONValue.init),
                            label: reading.label,
                            unit: reading.tag.unit.isEmpty ? nil : reading.tag.unit, status: reading.value.status.description,
                            time: reading.value.time.description, reason: reading.value.reason))
                }
            } else {
                Output.table(
                    readings.map { reading in
                        [
                            reading.tag.name, (reading.value.value?.description ?? "-") + (reading.label.map { " (\($0))" } ?? ""),
                            reading.tag.unit, reading.value.status.description, reading.value.reason ?? "",
                        ]
                    })
            }
            if readings.contains(where: { $0.value.status.isBad }) { throw ExitCode.failure }
        }
    }
}
