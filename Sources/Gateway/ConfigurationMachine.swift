package import Definitions
package import GatewayCore
internal import Telemetry

/// A site and the texts that it was made of.
package struct Configuration: Sendable, Equatable {
    package var site: Site
    package var bundle: ConfigurationBundle

    package init(site: Site, bundle: ConfigurationBundle) {
        self.site = site
        self.bundle = bundle
    }
}

/// What becomes of a changed site document: whether it is applied, on trial, good, or taken back. The decisions without the deeds.
///
/// A document that was refused or taken back is not tried again before its content changes.
package struct ConfigurationMachine: Sendable {
    package enum Action: Sendable, Equatable {
        case none
        /// The document means the same as before; its text is what to keep from now on.
        case keep(Configuration)
        /// The document cannot be used, for these reasons. Nothing changes.
        case refuse(reasons: [String])
        /// Carry this out, then say `didApply` or `didNotApply`.
        case apply(SiteDifference, Configuration)
        /// What runs has proved to be good.
        case accept(Configuration, remarks: [String])
        /// Carry this out for the reason given, then say `didRollBack` or `didNotApply`.
        case rollBack(SiteDifference, Configuration, reason: String)
    }

    package private(set) var running: Configuration
    package private(set) var lastKnownGood: Configuration
    /// The digest of the document that is not to be tried again.
    package private(set) var refused: String?
    /// On trial while there is one.
    package private(set) var gate: HealthGate?

    /// - Parameter refused: the digest of a document that was refused before the start, because of which another one runs.
    package init(running: Configuration, refused: String? = nil) {
        self.running = running
        lastKnownGood = running
        self.refused = refused
    }

    /// A document was read.
    package mutating func take(_ loaded: LoadedConfiguration) -> Action {
        let digest = loaded.bundle.digest
        if digest == refused { return .none }
        refused = nil
        if digest == running.bundle.digest { return .none }
        guard let site = loaded.site, !loaded.hasErrors else {
            refused = digest
            let errors = loaded.diagnostics.filter { $0.severity == .error }.map(\.description)
            return .refuse(reasons: errors.isEmpty ? ["there is no document with 'kind: Site'"] : errors)
        }
        let next = Configuration(site: site, bundle: loaded.bundle)
        let difference = SiteDifference(from: running.site, to: site)
        if difference.isEmpty {
            running = next
            guard gate == nil else { return .none }
            lastKnownGood = next
            return .keep(next)
        }
        let reasons = difference.needsRestart
        guard reasons.isEmpty else {
            refused = digest
            return .refuse(reasons: reasons)
        }
        return .apply(difference, next)
    }

    /// The difference was carried out; `before` is what the tags were right before.
    package mutating func didApply(_ next: Configuration, before: TagQuality, at now: MonotonicInstant) -> Action {
        running = next
        let whole = SiteDifference(from: lastKnownGood.site, to: next.site)
        // Only devices have tags: what else changed is not to be judged by them.
        guard !whole.devices.isEmpty else {
            lastKnownGood = next
            gate = nil
            return .accept(next, remarks: [])
        }
        // A second change during a trial is measured from where the first one began.
        gate = HealthGate(settings: next.site.healthGate, before: gate?.before ?? before, appliedAt: now)
        return .none
    }

    /// The difference could not be carried out, and what ran goes on.
    package mutating func didNotApply(_ next: Configuration) { refused = next.bundle.digest }

    /// The last known good document runs again.
    package mutating func didRollBack(to good: Configuration) { running = good }

    /// Time has passed; `tags` are what they are now. Of use only when the time of the gate is over.
    package mutating func tick(at now: MonotonicInstant, tags: TagQuality) -> Action {
        guard let verdict = gate?.verdict(on: tags, at: now) else { return .none }
        gate = nil
        switch verdict {
        case .accepted(let remarks):
            lastKnownGood = running
            return .accept(running, remarks: remarks)
        case .refused(let reason):
            refused = running.bundle.digest
            return .rollBack(SiteDifference(from: running.site, to: lastKnownGood.site), lastKnownGood, reason: reason)
        }
    }
}
