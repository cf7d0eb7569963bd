internal import Envelope
internal import Foundation
internal import Identity
internal import Telemetry

/// Where a receiving end has the keys that envelopes are opened with.
package struct EnvelopeSettings: Sendable {
    /// By broker, the name of the cluster that gateways seal for.
    package var clusters: [String]
    /// PEM files of its private keys: several while they change.
    package var keys: [String]
    /// The folder of the gateways: one folder per gateway, named as it is, with its public keys.
    package var gateways: String
    /// The folder that remembers over a restart what was dealt with; `nil`: nothing is remembered.
    package var state: String?

    package init(clusters: [String], keys: [String], gateways: String, state: String?) {
        self.clusters = clusters
        self.keys = keys
        self.gateways = gateways
        self.state = state
    }

    /// The most keys of a receiver or of a gateway.
    static let keysMax = 16
    /// The most gateways of a receiver.
    static let gatewaysMax = 100_000
    /// The most topic filters of a gateway.
    static let filtersMax = 64

    struct Keys {
        var own: [EnvelopePrivateKey]
        var gateways: [TrustedGateway]
    }

    /// Reads all keys. Throws a `GatewayError` that names the file or folder.
    func load() throws(GatewayError) -> Keys {
        guard (1...Self.keysMax).contains(keys.count) else {
            throw invalid(keys.first ?? "keys", "\(keys.count) private keys are given, 1 to \(Self.keysMax) are possible")
        }
        for cluster in clusters where cluster.isEmpty || cluster.contains("/") || cluster.hasPrefix(".") {
            throw invalid("cluster", "“\(cluster)” cannot be the name of a cluster")
        }
        var own: [EnvelopePrivateKey] = []
        for file in keys { own.append(try EnvelopePrivateKey(file: file)) }
        let names = try names(in: gateways)
        guard (1...Self.gatewaysMax).contains(names.count) else {
            throw invalid(gateways, "it has \(names.count) folders of gateways, 1 to \(Self.gatewaysMax) are possible")
        }
        var trusted: [TrustedGateway] = []
        for name in names { trusted.append(try gateway(name)) }
        return Keys(own: own, gateways: trusted)
    }

    private func gateway(_ name: String) throws(GatewayError) -> TrustedGateway {
        let folder = "\(gateways)/\(name)"
        var keys: [EnvelopePublicKey] = []
        var filters: [String]?
        for file in try names(in: folder) {
            if file == "topics" {
                filters = try topicFilters("\(folder)/\(file)")
            } else if file.hasSuffix(".pub") {
                guard keys.count < Self.keysMax else { throw invalid(folder, "it has more than \(Self.keysMax) public keys") }
                keys.append(try EnvelopePublicKey(file: "\(folder)/\(file)"))
            }
        }
        guard !keys.isEmpty else { throw invalid(folder, "it has no public key (a file *.pub)") }
        return TrustedGateway(name: name, keys: keys, topicFilters: filters)
    }

    private func topicFilters(_ file: String) throws(GatewayError) -> [String] {
        let lines = String(decoding: try PEMFile.read(file), as: UTF8.self).split(whereSeparator: \.isNewline)
        let filters = lines.map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
        guard (1...Self.filtersMax).contains(filters.count) else {
            throw invalid(file, "it has \(filters.count) topic filters, 1 to \(Self.filtersMax) are possible")
        }
        return filters
    }

    private func names(in folder: String) throws(GatewayError) -> [String] {
        do {
            return try FileManager.default.contentsOfDirectory(atPath: folder).filter { !$0.hasPrefix(".") }.sorted()
        } catch {
            throw GatewayError(.configurationInvalid, resource: folder, operation: "read keys", "the folder cannot be read", cause: error)
        }
    }

    private func invalid(_ resource: String, _ message: String) -> GatewayError {
        GatewayError(.configurationInvalid, resource: resource, operation: "read keys", message)
    }
}
