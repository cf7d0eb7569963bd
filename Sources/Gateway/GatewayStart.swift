package import Definitions
internal import Foundation
internal import GatewayCore

/// Where a site document comes from, to be read again when it changes.
package struct ConfigurationSource: Sendable, Equatable {
    /// The site document, and files with protocol definitions.
    package var files: [String]
    /// What `${NAME}` in the documents refers to.
    package var environment: [String: String]

    package init(files: [String], environment: [String: String]) {
        self.files = files
        self.environment = environment
    }
}

/// What a gateway starts with: the present documents, or, when they cannot be used, the last known good ones.
package struct GatewayStart: Sendable {
    package var configuration: Configuration
    package var source: ConfigurationSource?
    /// Why the present documents are not used; `nil` where they are.
    package var refusal: Refusal?
    /// Whether the present documents were on trial when the gateway ended: the last known good ones run first, so that there is something to
    /// judge the present ones by.
    package var isTrialInterrupted = false

    /// Why the present documents are not used.
    package struct Refusal: Sendable {
        package var digest: String
        package var reasons: [String]
        /// When the documents that are used instead were kept.
        package var saved: String
        /// Whether the present ones were tried once and taken back.
        package var wasRolledBack: Bool
    }

    /// A start with a site that does not change.
    package init(site: Site) {
        configuration = Configuration(site: site, bundle: ConfigurationBundle(given: [site.file]))
        source = nil
        refusal = nil
    }

    private init(_ configuration: Configuration, _ source: ConfigurationSource, refusal: Refusal?) {
        self.configuration = configuration
        self.source = source
        self.refusal = refusal
    }

    /// Chooses by what the files say now and what was kept beside the log.
    ///
    /// Returns no start where neither can be used; `loaded` is what the files gave in either case.
    package static func choose(_ source: ConfigurationSource) -> (start: GatewayStart?, loaded: LoadedConfiguration) {
        let loaded = ConfigurationLoader().load(files: source.files, environment: source.environment)
        guard let site = loaded.site else {
            let errors = loaded.diagnostics.filter { $0.severity == .error }.map(\.description)
            let reasons = errors.isEmpty ? ["there is no document with 'kind: Site'"] : errors
            return (lastKnownGood(source, instead: loaded, reasons: reasons, wasRolledBack: false), loaded)
        }
        if let status = ConfigurationStore(logPath: site.log.path).status(), status.digest == loaded.bundle.digest,
            status.state == .rolledBack || status.state == .onTrial
        {
            let isFirstInterruption = status.state == .onTrial && status.interruptions == 0
            // Once may be a power cut; twice is likelier the document's fault.
            let reasons = status.state == .onTrial ? ["the gateway ended twice while the document was on trial"] : status.reasons
            guard var good = lastKnownGood(source, instead: loaded, reasons: reasons, wasRolledBack: true),
                // Ended between keeping the document as good and noting so.
                good.configuration.bundle != loaded.bundle
            else {
                return (GatewayStart(Configuration(site: site, bundle: loaded.bundle), source, refusal: nil), loaded)
            }
            if isFirstInterruption {
                good.refusal = nil
                good.isTrialInterrupted = true
            }
            return (good, loaded)
        }
        return (GatewayStart(Configuration(site: site, bundle: loaded.bundle), source, refusal: nil), loaded)
    }

    private static func lastKnownGood(
        _ source: ConfigurationSource, instead loaded: LoadedConfiguration, reasons: [String], wasRolledBack: Bool
    ) -> GatewayStart? {
        var folders: [String] = []
        if let path = loaded.logPath { folders.append(path) }
        folders += LogPathGuess.paths(in: loaded.bundle, environment: source.environment)
        for folder in folders {
            // A wrong guess does no harm: what is found must have been kept for the same files.
            guard let kept = ConfigurationStore(logPath: folder).lastKnownGood(), kept.bundle.given == source.files else { continue }
            let good = ConfigurationLoader().load(kept.bundle, environment: source.environment)
            guard let site = good.site else { continue }
            let refusal = Refusal(
                digest: loaded.bundle.digest, reasons: reasons, saved: kept.saved, wasRolledBack: wasRolledBack)
            return GatewayStart(Configuration(site: site, bundle: kept.bundle), source, refusal: refusal)
        }
        return nil
    }
}
