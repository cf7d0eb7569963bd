package import Definitions
internal import Identity
package import Telemetry

/// Looks, before anything connects, whether the certificates that the devices of a site are reached with can work.
package enum ConnectionCheck {
    /// What is wrong with them, at the device concerned.
    package static func diagnostics(of site: Site, at time: Timestamp) -> [Diagnostic] {
        site.devices.flatMap { device -> [Diagnostic] in
            guard let security = SiteBuilder.security(of: device.connection) else { return [] }
            func diagnostic(_ severity: Diagnostic.Severity, _ message: String) -> Diagnostic {
                Diagnostic(
                    severity, file: site.file, at: .start, path: "spec.devices", "device '\(device.name)': \(message)",
                    value: device.name)
            }
            do throws(GatewayError) {
                return try security.check(at: time).map { diagnostic(.warning, $0) }
            } catch {
                return [diagnostic(.error, error.description)]
            }
        }
    }
}
