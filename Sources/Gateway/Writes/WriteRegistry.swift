internal import Acquisition
internal import Definitions
internal import GatewayCore
internal import Interlock
internal import Telemetry

/// What of a site can be written, and by whom.
struct WriteRegistry: Sendable {
    /// One tag, ready to be written.
    struct Entry: Sendable {
        let adapter: any TagWriting
        let target: WriteTarget
        let rules: WriteRules
        let verifyAfter: Duration
    }

    private var entries: [TagReference: Entry] = [:]
    let deviceNames: Set<String>

    /// - Parameter adapters: by the name of the device; devices without one cannot be written.
    init(site: Site, adapters: [String: any TagWriting]) {
        deviceNames = Set(site.devices.map(\.name))
        for device in site.devices {
            guard let adapter = adapters[device.name] else { continue }
            for tag in device.tags {
                let target = WriteTarget(
                    tag: tag.tag, field: SiteBuilder.field(tag, tag: 0), function: WriteRegistry.function(tag.write.function),
                    allowsReadModifyWrite: tag.write.allowsReadModifyWrite)
                let rules = WriteRules(
                    isWritable: tag.access == .readWrite, isAllowedBySite: site.writes == .allowed, minimum: tag.limits?.minimum,
                    maximum: tag.limits?.maximum, maximumStep: tag.limits?.maximumStep, minimumInterval: tag.write.minimumInterval,
                    interlock: tag.write.interlock?.bound(to: device.name), needsConfirmation: tag.write.confirmation == .twoStep,
                    unit: tag.unit)
                entries[TagReference(device: device.name, tag: tag.name)] = Entry(
                    adapter: adapter, target: target, rules: rules, verifyAfter: tag.write.verifyAfter)
            }
        }
    }

    subscript(reference: TagReference) -> Entry? { entries[reference] }

    var references: Set<TagReference> { Set(entries.keys) }

    private static func function(_ function: WriteSettings.Function) -> WriteTarget.Function {
        switch function {
        case .automatic: .automatic
        case .single: .single
        case .multiple: .multiple
        }
    }
}
