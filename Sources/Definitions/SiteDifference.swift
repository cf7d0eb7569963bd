/// What leads from one site to another: the least that has to be stopped, started and told anew.
///
/// Compares what the sites do (`Site.effective`), not how they are written; identical ones give an empty difference.
package struct SiteDifference: Sendable, Equatable {
    /// What becomes of one device, asset, route or firewall.
    package struct Change<Element: Sendable & Equatable>: Sendable, Equatable {
        package var name: String
        /// `nil` for one that is added.
        package var old: Element?
        /// `nil` for one that is removed.
        package var new: Element?
    }

    /// In the order of their names, as all lists here.
    package var devices: [Change<Device>]
    package var assets: [Change<Asset>]
    package var routes: [Change<Route>]
    package var firewalls: [Change<Firewall>]
    /// The site without devices, assets, routes and firewalls: `nil` where it stays as it is.
    private var settings: Change<Site>?

    package init(from old: Site, to new: Site) {
        let (old, new) = (old.effective, new.effective)
        devices = SiteDifference.changes(old.devices, new.devices, name: \.name)
        assets = SiteDifference.changes(old.assets, new.assets, name: \.name)
        routes = SiteDifference.changes(old.routes, new.routes, name: \.name)
        firewalls = SiteDifference.changes(old.firewalls, new.firewalls, name: \.name)
        let (oldSettings, newSettings) = (old.withoutMembers, new.withoutMembers)
        settings = oldSettings == newSettings ? nil : Change(name: new.name, old: oldSettings, new: newSettings)
    }

    /// Whether the sites do the same.
    package var isEmpty: Bool { devices.isEmpty && assets.isEmpty && routes.isEmpty && firewalls.isEmpty && settings == nil }

    /// The effective site that the difference makes of one.
    ///
    /// Precondition: the site is, in effect, the one that the difference leads from.
    package func applied(to site: Site) -> Site {
        let site = site.effective
        var result = settings?.new ?? site.withoutMembers
        result.devices = SiteDifference.apply(devices, to: site.devices, name: \.name)
        result.assets = SiteDifference.apply(assets, to: site.assets, name: \.name)
        result.routes = SiteDifference.apply(routes, to: site.routes, name: \.name)
        result.firewalls = SiteDifference.apply(firewalls, to: site.firewalls, name: \.name)
        return result
    }

    private static func changes<Element: Sendable & Equatable>(
        _ old: [Element], _ new: [Element], name: (Element) -> String
    ) -> [Change<Element>] {
        let olds = Dictionary(old.map { (name($0), $0) }, uniquingKeysWith: { first, _ in first })
        let news = Dictionary(new.map { (name($0), $0) }, uniquingKeysWith: { first, _ in first })
        return Set(olds.keys).union(news.keys).sorted().compactMap { name in
            olds[name] == news[name] ? nil : Change(name: name, old: olds[name], new: news[name])
        }
    }

    private static func apply<Element: Sendable & Equatable>(
        _ changes: [Change<Element>], to elements: [Element], name: (Element) -> String
    ) -> [Element] {
        let changed = Set(changes.map(\.name))
        return (elements.filter { !changed.contains(name($0)) } + changes.compactMap(\.new)).sorted { name($0) < name($1) }
    }
}

// MARK: - In words

extension SiteDifference {
    /// What changes, a line each: `device pump-1: responseTimeout 1s → 500ms`.
    package var changes: [String] {
        SiteDifference.words("device", devices) + SiteDifference.words("asset", assets) + SiteDifference.words("route", routes)
            + SiteDifference.words("firewall", firewalls) + settingsChanges.map { "site: \(SiteDifference.words($0))" }
    }

    /// Why a running gateway cannot take this difference over, a line each; empty where it can.
    package var needsRestart: [String] {
        settingsChanges.filter { difference in
            !SiteDifference.changeableSettings.contains { difference.path == $0 || difference.path.hasPrefix($0 + ".") }
        }.map { "\(SiteDifference.words($0)): this cannot change while the gateway runs; restart it to take this over" }
    }

    /// Settings of the site that a running gateway takes over. Anything else, new keys too, needs a restart.
    private static let changeableSettings = ["scoring", "healthGate", "writes"]

    private var settingsChanges: [ValueDifference] {
        guard let old = settings?.old, let new = settings?.new else { return [] }
        return ValueDifference.between(old, new)
    }

    private static func words<Element>(_ kind: String, _ changes: [Change<Element>]) -> [String] {
        changes.flatMap { change -> [String] in
            let subject = "\(kind) \(change.name)"
            guard let old = change.old else { return ["\(subject) is added"] }
            guard let new = change.new else { return ["\(subject) is removed"] }
            return ValueDifference.between(old, new).map { "\(subject): \(words($0))" }
        }
    }

    private static func words(_ difference: ValueDifference) -> String {
        guard let old = difference.old else { return "\(difference.path) is added" }
        guard let new = difference.new else { return "\(difference.path) is removed" }
        return "\(difference.path) \(old) → \(new)"
    }
}

extension Site {
    /// The site without devices, assets, routes and firewalls.
    fileprivate var withoutMembers: Site {
        var site = self
        site.devices = []
        site.assets = []
        site.routes = []
        site.firewalls = []
        return site
    }
}
