internal import ArgumentParser
internal import IngestService

/// What a receiving end needs to open envelopes.
struct EnvelopeOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Open envelopes with this private key, a PEM file; repeat it while keys change. Needs --cluster and --gateway-keys.",
            valueName: "file"))
    var envelopeKey: [String] = []

    @Option(
        help: ArgumentHelp(
            "The name of the cluster that gateways seal for: one for all brokers, or one for each, in their order.", valueName: "name"))
    var cluster: [String] = []

    @Option(
        help: ArgumentHelp(
            "The gateways that are trusted: a folder with one folder per gateway, named as it is, with its public keys (*.pub) and, if need be, "
                + "the topics it may use (topics, one filter a line).", valueName: "folder"))
    var gatewayKeys: String?

    @Option(help: ArgumentHelp("Remember over a restart, in this folder, which envelopes were dealt with.", valueName: "folder"))
    var envelopeState: String?

    @Flag(help: "Take messages without an envelope too. Whoever writes to the broker can then speak for every gateway.")
    var allowPlain = false

    /// Whether envelopes are received.
    var isWanted: Bool { !envelopeKey.isEmpty || !cluster.isEmpty || gatewayKeys != nil || envelopeState != nil || allowPlain }

    /// `nil` where no envelopes are received. Throws when something is missing.
    func settings(brokers: Int) throws -> EnvelopeSettings? {
        guard isWanted else { return nil }
        guard !envelopeKey.isEmpty, !cluster.isEmpty, let gatewayKeys else {
            throw ValidationError("envelopes need --envelope-key, --cluster and --gateway-keys together")
        }
        guard cluster.count == 1 || cluster.count == brokers else {
            throw ValidationError("there are \(brokers) brokers and \(cluster.count) names of clusters, expected 1 or \(brokers)")
        }
        let clusters = cluster.count == 1 ? Array(repeating: cluster[0], count: brokers) : cluster
        return EnvelopeSettings(clusters: clusters, keys: envelopeKey, gateways: gatewayKeys, state: envelopeState)
    }
}
