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

    /// Entries are made when they are asked for: writes are rare, and tags are many.
    private let devices: [String: Device]
    private let adapters: [String: any TagWriting]
    private let isAllowedBySite: Bool

    /// - Parameter adapters: by the name of the device; devices without one cannot be written.
    init(site: Site, adapters: [String: any TagWriting]) {
        devices = Dictionary(site.devices.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        self.adapters = adapters
        isAllowedBySite = site.writes == .allowed
    }

    var deviceNames: some Collection<String> { devices.keys }

    subscript(reference: TagReference) -> Entry? {
        guard let adapter = adapters[reference.device], let tag = tag(reference) else { return nil }
        let target = WriteTarget(
            tag: tag.tag, field: SiteBuilder.field(tag, tag: 0), function: WriteRegistry.function(tag.write.function),
            allowsReadModifyWrite: tag.write.allowsReadModifyWrite)
        return Entry(adapter: adapter, target: target, rules: rules(of: tag, on: reference.device), verifyAfter: tag.write.verifyAfter)
    }

    /// The rules of a tag, whether its device can be written or not; `nil` where there is no such tag.
    func rules(of reference: TagReference) -> WriteRules? { tag(reference).map { rules(of: $0, on: reference.device) } }

    private func rules(of tag: TagDefinition, on device: String) -> WriteRules {
        WriteRules(
            isWritable: tag.access == .readWrite, isAllowedBySite: isAllowedBySite, minimum: tag.limits?.minimum,
            maximum: tag.limits?.maximum, maximumStep: tag.limits?.maximumStep, minimumInterval: tag.write.minimumInterval,
            writesPerMinute: tag.limits?.writesPerMinute, interlock: tag.write.interlock?.bound(to: device),
            needsConfirmation: tag.write.confirmation == .twoStep, unit: tag.unit)
    }

    func has(_ reference: TagReference) -> Bool { adapters[reference.device] != nil && tag(reference) != nil }

    private func tag(_ reference: TagReference) -> TagDefinition? {
        devices[reference.device]?.tags.first { $0.name == reference.tag }
    }

    private static func function(_ function: WriteSettings.Function) -> WriteTarget.Function {
        switch function {
        case .automatic: .automatic
        case .single: .single
        case .multiple: .multiple
        }
    }
}
