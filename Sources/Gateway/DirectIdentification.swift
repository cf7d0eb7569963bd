package import Definitions
internal import ModbusAdapter
internal import Telemetry

/// Asks a device who it is, without the gateway and its log.
package enum DirectIdentification {
    /// One object of the identification: its number, its name and its text.
    package struct Entry: Sendable {
        package let object: UInt8
        package let name: String
        package let text: String
    }

    /// Throws a `GatewayError` when there is no such device, it cannot be reached, or gives no identification.
    package static func read(_ site: Site, device name: String) async throws -> [Entry] {
        guard let device = site.devices.first(where: { $0.name == name }) else {
            throw GatewayError(
                .notFound, resource: "site \(site.name)", operation: "identify",
                "there is no device \(name); there are: \(site.devices.map(\.name).joined(separator: ", "))")
        }
        let adapter = ModbusAdapter(name: name, line: SiteBuilder.line(to: device), unit: SiteBuilder.unit(of: device.connection))
        let identification: ModbusDeviceIdentification
        do {
            identification = try await adapter.identify()
        } catch {
            await adapter.disconnect()
            throw error
        }
        await adapter.disconnect()
        return identification.objects.map {
            Entry(object: $0.id, name: ModbusDeviceIdentification.name(ofObject: $0.id), text: printable($0.value))
        }
    }

    /// The standard says ASCII; what a device sends must not steer a terminal.
    private static func printable(_ bytes: [UInt8]) -> String {
        bytes.map { (0x20...0x7E).contains($0) ? String(UnicodeScalar($0)) : "\\x" + ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}
