internal import Definitions
internal import Foundation
internal import Telemetry

/// What the definitions of a site call single values.
struct ValueLabels {
    private struct Key: Hashable {
        var device: String
        var tag: String
    }
    private var tags: [Key: TagDefinition] = [:]

    /// Labels are in the site document; a store's folder alone has none.
    init(siteAt path: String) {
        guard path.hasSuffix(".yaml") || path.hasSuffix(".yml") else { return }
        // What is wrong with the document was told when it named the store.
        let site = ConfigurationLoader().load(files: [path], environment: ProcessInfo.processInfo.environment).site
        for device in site?.devices ?? [] {
            for tag in device.tags where !tag.form.labels.isEmpty { tags[Key(device: device.name, tag: tag.name)] = tag }
        }
    }

    func label(of value: DataValue, device: String, tag: String) -> String? {
        guard !tags.isEmpty, let known = value.value else { return nil }
        return tags[Key(device: device, tag: tag)]?.label(for: known)
    }
}
