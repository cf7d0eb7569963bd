internal import Acquisition
package import Definitions
package import GatewayCore
internal import ModbusAdapter
package import Telemetry

/// One value as it was just read from a device.
package struct Reading: Sendable {
    package let device: String
    package let tag: Tag
    package let value: DataValue
    /// What the definition calls the value.
    package let label: String?
}

/// Reads a device now, without the gateway and its log.
package enum DirectRead {
    /// Every tag of the device, or the one named, with one connection of its own.
    ///
    /// Throws a `GatewayError` when there is no such device or tag, or the device cannot be reached; a tag that the device
    /// refuses is a reading with a Bad status and the reason.
    package static func read(_ site: Site, device name: String, tag tagName: String?, time: any TimeSource) async throws -> [Reading] {
        guard let device = site.devices.first(where: { $0.name == name }) else {
            throw GatewayError(
                .notFound, resource: "site \(site.name)", operation: "read",
                "there is no device \(name); there are: \(site.devices.map(\.name).joined(separator: ", "))")
        }
        let tags = device.tags.filter { tagName == nil || $0.name == tagName }
        guard !tags.isEmpty else {
            throw GatewayError(
                .notFound, resource: "device \(name)", operation: "read",
                "there is no tag \(tagName ?? ""); there are: \(device.tags.map(\.name).joined(separator: ", "))")
        }
        let line = SiteBuilder.line(to: device)
        let settings = SiteBuilder.settings(device.reading)
        let adapter = ModbusAdapter(name: name, line: line, unit: SiteBuilder.unit(of: device.connection), reading: settings)
        let descriptor = StreamDescriptor(device: name, group: "read", tags: tags.map(\.tag))
        let plan = try ReadPlanner.plan(
            stream: StreamID(rawValue: 1), descriptor: descriptor,
            fields: tags.enumerated().map { SiteBuilder.field($0.element, tag: $0.offset) }, limits: settings.limits(on: line.endpoint))
        try await adapter.connect()
        let result: PollResult
        do {
            result = try await adapter.read(plan, at: time.utc)
        } catch {
            await adapter.disconnect()
            throw error
        }
        await adapter.disconnect()
        return tags.indices.compactMap { index in
            guard var value = result.batch.value(of: index, in: descriptor) else { return nil }
            if let flaw = result.flaws.first(where: { $0.tag == index }) {
                value.reason = flaw.description
            } else if value.status.isBad {
                value.reason = result.reasons.joined(separator: "; ")
            }
            return Reading(
                device: name, tag: descriptor.tags[index], value: value, label: value.value.flatMap { tags[index].label(for: $0) })
        }
    }
}
