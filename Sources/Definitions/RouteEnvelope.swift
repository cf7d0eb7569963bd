/// End-to-end encryption of a route's messages.
package struct RouteEnvelope: Sendable, Equatable {
    package enum Suite: String, Sendable, CaseIterable {
        case aes256gcm
        case chacha20poly1305
        case sm
    }

    package var suite: Suite
    package var signingKey: String
    /// The files of public keys, by cluster.
    package var recipients: [String: [String]]
    package var rotate: Duration

    package init(suite: Suite, signingKey: String, recipients: [String: [String]], rotate: Duration) {
        self.suite = suite
        self.signingKey = signingKey
        self.recipients = recipients
        self.rotate = rotate
    }
}

/// How a route's messages are made smaller.
package enum RouteCompression: String, Sendable, CaseIterable {
    case none
    case gzip
    case zstd
}

/// Makes the envelope of a route, and reports what its shape alone cannot tell.
struct RouteEnvelopeBuilder {
    /// The most recipients of one cluster: each costs bytes in every message.
    static let recipientsMax = 16

    let file: String
    private(set) var diagnostics: [Diagnostic] = []

    init(file: String) { self.file = file }

    /// - Parameter clusters: the names of the route's clusters.
    mutating func build(_ source: ObjectValue, clusters: [String]) -> RouteEnvelope? {
        var recipients: [String: [String]] = [:]
        let listed = source.objects("recipients")
        for recipient in listed {
            guard let key = recipient.text("key") else { continue }
            let path = FilePath.resolve(key, besideFile: file)
            var names = clusters
            if let cluster = recipient.text("cluster") {
                guard clusters.contains(cluster) else {
                    report(
                        recipient, "cluster", "the route has no cluster '\(cluster)'", value: cluster,
                        allowed: clusters.joined(separator: ", "),
                        suggestion: nearestName(to: cluster, among: clusters).map { "did you mean '\($0)'?" })
                    continue
                }
                names = [cluster]
            }
            for name in names {
                if recipients[name]?.contains(path) == true {
                    report(recipient, "key", "cluster '\(name)' has this key already", value: key, suggestion: "remove one of the two")
                }
                recipients[name, default: []].append(path)
            }
        }
        for cluster in clusters {
            let count = recipients[cluster]?.count ?? 0
            // A list that is empty or missing was reported as such.
            if count == 0, !listed.isEmpty {
                report(
                    source, "recipients", "cluster '\(cluster)' has no recipient, and nobody behind it could read anything",
                    suggestion: "add {cluster: \(cluster), key: …}")
            } else if count > RouteEnvelopeBuilder.recipientsMax {
                report(
                    source, "recipients", "cluster '\(cluster)' has \(count) recipients",
                    allowed: "at most \(RouteEnvelopeBuilder.recipientsMax)")
            }
        }
        guard let suite = source.text("suite").flatMap(RouteEnvelope.Suite.init(rawValue:)), let key = source.text("signingKey"),
            let rotate = source.duration("rotate")
        else { return nil }
        return RouteEnvelope(suite: suite, signingKey: FilePath.resolve(key, besideFile: file), recipients: recipients, rotate: rotate)
    }

    private mutating func report(
        _ source: ObjectValue, _ field: String, _ message: String, value: String? = nil, allowed: String? = nil, suggestion: String? = nil
    ) {
        diagnostics.append(
            Diagnostic(
                .error, file: file, at: source.position(of: field), path: source.path.key(field).description, message, value: value,
                allowed: allowed, suggestion: suggestion))
    }
}
