package import GatewayCore
internal import Ingest

/// A broker, and how it is subscribed to.
package struct BrokerSettings: Sendable {
    /// For logs: `mqtts://broker:8883`.
    package var name: String
    package var host: String
    package var port: UInt16
    /// Makes the connection secure; `nil`: plain text.
    package var security: (any ChannelSecuring)?
    package var clientID: String
    package var userName: String?
    package var password: String?
    /// Topic filters, all at QoS 1.
    package var filters: [String]
    /// How many messages may be on their way without an acknowledgement.
    package var receiveMaximum: UInt16
    /// How long the broker keeps what this client has not taken, in seconds.
    package var sessionExpirySeconds: UInt32
    /// What is published of this host, if edge nodes wait for it.
    package var hostState: HostState?

    package init(
        name: String, host: String, port: UInt16, security: (any ChannelSecuring)?, clientID: String, userName: String? = nil,
        password: String? = nil, filters: [String], receiveMaximum: UInt16 = .max, sessionExpirySeconds: UInt32 = 7 * 86_400
    ) {
        self.name = name
        self.host = host
        self.port = port
        self.security = security
        self.clientID = clientID
        self.userName = userName
        self.password = password
        self.filters = filters
        self.receiveMaximum = receiveMaximum
        self.sessionExpirySeconds = sessionExpirySeconds
    }

    /// The filters of a receiving end. Data is shared among the workers of a group, so that each message reaches one of them; births and deaths reach all.
    ///
    /// - Parameters:
    ///   - share: the name of the group; `nil` for a worker that is alone.
    ///   - documents: the filter of JSON documents.
    ///   - withEnvelopes: whether envelopes are received too.
    package static func filters(share: String?, documents: String, withEnvelopes: Bool = false) -> [String] {
        let prefix = share.map { "$share/\($0)/" } ?? ""
        return ["spBv1.0/+/NBIRTH/+", "spBv1.0/+/DBIRTH/+/+", "spBv1.0/+/NDEATH/+", "spBv1.0/+/DDEATH/+/+"]
            + (withEnvelopes ? SealedMessages.stateFilters : [])
            + (["spBv1.0/+/NDATA/+", "spBv1.0/+/DDATA/+/+", documents] + (withEnvelopes ? [SealedMessages.dataFilter] : [])).map {
                prefix + $0
            }
    }
}
