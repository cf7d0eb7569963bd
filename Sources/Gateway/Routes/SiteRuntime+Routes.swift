internal import Definitions
internal import Identity
internal import Telemetry
internal import Uplink

extension SiteRuntime {
    /// The routes there are now, in the order of the site document.
    func routeStatuses() -> [(name: String, status: RouteStatus)] {
        site.routes.compactMap { route in self.route(named: route.name).map { (route.name, $0.status) } }
    }

    /// Everything that has certificates, as it is now.
    func identities(at stamp: ClockStamp) -> [(holder: IdentityHolder, reading: IdentityReading)] {
        IdentityHolder.all(of: site).map { holder in
            guard holder.isRoute, let status = route(named: holder.name)?.status.identity else {
                return (holder, holder.reading(at: stamp))
            }
            // Before its first look it knows nothing: then the files are what it will find.
            guard status.certificate != nil || !status.trouble.isEmpty else { return (holder, holder.reading(at: stamp)) }
            return (
                holder,
                IdentityReading(
                    certificate: status.certificate, authorityNotAfter: status.authorityNotAfter,
                    trouble: status.trouble.isEmpty ? nil : status.trouble.joined(separator: "; because: "), at: stamp)
            )
        }
    }

    /// How the routes are doing: the one of this name, or all where it is empty.
    func routeReports(named name: String, at stamp: ClockStamp) -> [RouteReport] {
        site.routes.filter { name.isEmpty || $0.name == name }.compactMap { configured in
            guard let running = route(named: configured.name) else { return nil }
            return RouteReport(
                name: configured.name, failover: configured.failover.rawValue, payload: configured.payload.rawValue, status: running.status,
                at: stamp)
        }
    }
}
