internal import Definitions
internal import Identity
internal import Telemetry
internal import Uplink

extension SiteRuntime {
    /// The routes there are now, in the order of the site document.
    func routeStatuses() -> [(name: String, status: RouteStatus)] {
        site.routes.compactMap { route in self.route(named: route.name).map { (route.name, $0.status) } }
    }

    /// How the routes are doing: the one of this name, or all where it is empty.
    func routeReports(named name: String, at now: Timestamp) -> [RouteReport] {
        site.routes.filter { name.isEmpty || $0.name == name }.compactMap { configured in
            guard let running = route(named: configured.name) else { return nil }
            let certificate = configured.tls.flatMap { try? CertificateInformation(pemFile: $0.certificate) }
            return RouteReport(
                name: configured.name, failover: configured.failover.rawValue, payload: configured.payload.rawValue, status: running.status,
                certificate: certificate.map { .init(subject: $0.subject, notAfter: $0.notAfter, at: now) })
        }
    }
}
