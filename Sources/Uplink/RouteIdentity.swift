internal import GatewayCore
package import Identity
internal import Logging
internal import Synchronization
package import Telemetry

/// How the certificates and keys of a route are doing.
package struct IdentityStatus: Sendable, Hashable {
    /// The one in use; `nil` before the first, and for a route without one.
    package var certificate: CertificateInformation?
    /// When the last of the trusted authorities ends.
    package var authorityNotAfter: Timestamp?
    /// How often others were taken while the route ran.
    package var renewals: UInt64 = 0
    /// What is wrong with the files, outermost first; those in use may be good all the same.
    package var trouble: [String] = []

    package init() {}
}

/// Reads the certificates and keys of a route, and keeps the last good ones.
///
/// Runs on a thread of its own: a token may take its time.
actor RouteIdentity {
    private let thread = DedicatedThread(name: "identity")
    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    private let tls: RouteConfiguration.TLS
    private let time: any TimeSource
    private let logger: Logger
    private var current: TLSCredentials?
    private var rotation = CredentialRotation()
    private let shared = StatusBox()

    private final class StatusBox: Sendable {
        let status = Mutex(IdentityStatus())
    }

    init(_ tls: RouteConfiguration.TLS, time: any TimeSource, logger: Logger) {
        self.tls = tls
        self.time = time
        self.logger = logger
    }

    nonisolated var status: IdentityStatus { shared.status.withLock { $0 } }

    /// Looks at the files, and takes what is there if it is no worse than what is in use.
    ///
    /// Returns what is in use then. Throws a `GatewayError` when there never was anything that could be.
    func look() throws(GatewayError) -> TLSCredentials {
        var digest: [UInt8]?
        do throws(GatewayError) {
            let contents = try TLSFileContents(reading: tls.files)
            digest = contents.digest
            if let current, current.digest == contents.digest {
                if rotation.didAgree() { logger.notice("the files of the certificate in use are back") }
                shared.status.withLock { $0.trouble = [] }
                return current
            }
            let new = try TLSCredentials(contents)
            let stamp = time.stamp
            let troubles = new.troubles(at: stamp)
            guard CredentialRotation.isTaken(troubles.map(\.kind), over: current?.troubles(at: stamp).map(\.kind)) else {
                throw troubles.first?.error
                    ?? GatewayError(.certificateInvalid, resource: tls.ca, operation: "check", "the new files are worse than those in use")
            }
            adopt(new, troubles)
            return new
        } catch {
            shared.status.withLock { $0.trouble = error.chain }
            guard let current else { throw error }
            if rotation.didRefuse(.init(digest: digest, resource: error.resource)) {
                logger.warning("new certificates are not taken; those in use serve on", metadata: ["error_chain": .chain(of: error)])
            }
            return current
        }
    }

    private func adopt(_ new: TLSCredentials, _ troubles: [TLSCredentials.Trouble]) {
        let isFirst = current == nil
        current = new
        _ = rotation.didAgree()
        shared.status.withLock { status in
            status.certificate = new.certificate
            status.authorityNotAfter = new.authorityNotAfter
            status.trouble = []
            if !isFirst { status.renewals += 1 }
        }
        for trouble in troubles { logger.warning("identity", metadata: ["error_chain": .chain(of: trouble.error)]) }
        for remark in new.remarks { logger.warning("identity", metadata: ["remark": "\(remark)"]) }
        guard !isFirst else { return }
        logger.notice(
            "new certificates are taken",
            metadata: [
                "subject": "\(new.certificate?.subject ?? "none")", "valid_until": "\(new.certificate?.notAfter.description ?? "")",
                "fingerprint": "\(new.certificate?.fingerprint ?? "none")",
            ])
    }
}
