internal import ArgumentParser
internal import GatewayCore
internal import Historian
internal import Telemetry

struct TailCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tail", abstract: "Show samples as they are stored.",
        discussion: "Works beside the running gateway, a commit interval behind it; ends with Ctrl-C.")

    @Argument(help: ArgumentHelp("The store's folder, or the site document that names it.", valueName: "store"))
    var store: String

    @Option(help: "Only this device (or asset).")
    var device: String?

    @Option(name: .customLong("tag"), help: "Only this tag. Repeatable.")
    var tags: [String] = []

    @Option(help: "End after so many samples.")
    var count: Int?

    @Flag(help: "One JSON document per sample instead of text.")
    var json = false

    /// Most batches looked at before the next look at the disk.
    private static let batchesMax = 1000

    func run() async throws {
        try await reportingErrors {
            let time = SystemTime()
            let reader = try Historian.openReadOnly(folder: storeFolder(store))
            let labels = ValueLabels(siteAt: store)
            var position = try reader.end()
            var streams = try reader.streams()
            var left = count ?? .max
            while left > 0 {
                let entries = try reader.entries(after: position, atMost: TailCommand.batchesMax)
                for entry in entries {
                    position = entry.position
                    guard case .batch(let batch) = entry.content else { continue }
                    if streams[batch.stream] == nil { streams = try reader.streams() }
                    guard let descriptor = streams[batch.stream], device == nil || descriptor.device == device else { continue }
                    for (index, tag) in descriptor.tags.enumerated() where left > 0 && (tags.isEmpty || tags.contains(tag.name)) {
                        guard let value = batch.value(of: index, in: descriptor) else { continue }
                        try SampleLine(
                            .init(device: descriptor.device, group: descriptor.group, tag: tag.name, unit: tag.unit, value: value),
                            label: labels.label(of: value, device: descriptor.device, tag: tag.name)
                        ).print(json: json)
                        left -= 1
                    }
                }
                if entries.isEmpty { try await time.sleep(for: .milliseconds(100)) }
            }
        }
    }
}
