package import Definitions
package import Identity
package import Telemetry

/// Something of a site that identifies itself by a certificate: a route, or an encrypted connection to a device.
package struct IdentityHolder: Sendable {
    package let isRoute: Bool
    package let name: String
    package let files: TLSFiles

    /// Everything of a site that has certificates, routes first.
    package static func all(of site: Site) -> [IdentityHolder] {
        func files(_ tls: TLSSettings) -> TLSFiles { TLSFiles(ca: tls.certificateAuthority, certificate: tls.certificate, key: tls.key) }
        let routes = site.routes.compactMap { route in
            route.clusters.contains(where: \.isEncrypted)
                ? route.tls.map { IdentityHolder(isRoute: true, name: route.name, files: files($0)) } : nil
        }
        let devices = site.devices.compactMap { device -> IdentityHolder? in
            guard case .modbusTLS(let connection) = device.connection else { return nil }
            return IdentityHolder(isRoute: false, name: device.name, files: files(connection.tls))
        }
        return routes + devices
    }

    /// For people: `route central`.
    package var title: String { "\(isRoute ? "route" : "device") \(name)" }

    /// The name that stands for it among the devices.
    package var device: String { isRoute ? RouteDiagnosticsStream.device(of: name) : name }

    /// What its files hold now. Reads them, and asks a token for its key if that is where it is.
    package func reading(at stamp: ClockStamp) -> IdentityReading {
        do throws(GatewayError) {
            let credentials = try TLSCredentials(files)
            let foreign = credentials.troubles(at: stamp).first { $0.kind == .foreignAuthority }
            return IdentityReading(
                certificate: credentials.certificate, authorityNotAfter: credentials.authorityNotAfter,
                trouble: isRoute ? nil : foreign?.error.message, at: stamp)
        } catch {
            let certificate = files.certificate.flatMap { try? CertificateInformation(pemFile: $0) }
            return IdentityReading(
                certificate: certificate, authorityNotAfter: nil, trouble: error.chain.joined(separator: "; because: "), at: stamp)
        }
    }
}
