package import GatewayCore
internal import Synchronization
internal import Telemetry

/// Receives what others publish: for the command line, which shows what arrives at the broker.
package final class Subscriber: Sendable {
    package enum Event: Sendable {
        /// `tlsVersion` is `nil` without TLS, else for example `TLSv1.3`.
        case connected(tlsVersion: String?)
        case message(topic: String, payload: [UInt8])
    }

    /// What a subscriber says itself, at QoS 0.
    package struct Publication: Sendable {
        package var topic: String
        package var payload: [UInt8]

        package init(topic: String, payload: [UInt8]) {
            self.topic = topic
            self.payload = payload
        }
    }

    private let parameters: MQTTSession.Parameters
    private let topics: [String]
    private let time: any TimeSource

    package init(
        cluster: RouteConfiguration.Cluster, tls: RouteConfiguration.TLS?, clientID: String, topics: [String], time: any TimeSource
    ) {
        parameters = MQTTSession.Parameters(
            resource: "broker \(cluster.address)", cluster: cluster, tls: tls, clientID: clientID, keepAliveSeconds: 30, will: nil)
        self.topics = topics
        self.time = time
    }

    /// One connection: tells `handle` of what happens, on the connection's thread, until the task is cancelled, and publishes what it returns.
    ///
    /// Throws `CancellationError`, or a `GatewayError` when the connection cannot be made or is lost.
    package func run(_ handle: @escaping @Sendable (Event) -> [Publication]) async throws {
        let ending = Mutex<CheckedContinuation<Void, any Error>?>(nil)
        let refusal = Mutex<GatewayError?>(nil)
        let topics = topics
        let resource = parameters.resource
        let time = time
        let session = MQTTSession(parameters, time: time) { event, session in
            func tell(_ event: Event) {
                let answers = handle(event)
                if !answers.isEmpty {
                    session.publish(answers.map { .init(topic: $0.topic, payload: $0.payload, qualityOfService: 0) })
                }
            }
            switch event {
            case .connected(let properties):
                session.subscribe(topics)
                tell(.connected(tlsVersion: properties.tlsVersion))
            case .message(let topic, let payload): tell(.message(topic: topic, payload: payload))
            case .subscribed(let topic, let refused):
                if let refused {
                    refusal.withLock {
                        $0 = GatewayError(.refused, resource: resource, operation: "subscribe to \(topic)", refused, time: time.utc)
                    }
                    session.finish()
                }
            case .acknowledged, .refused: break
            case .ended(let error):
                let continuation = ending.withLock { continuation in
                    defer { continuation = nil }
                    return continuation
                }
                continuation?.resume(throwing: error ?? refusal.withLock { $0 } ?? CancellationError())
            }
        }
        try await withTaskCancellationHandler {
            try Task.checkCancellation()
            try await withCheckedThrowingContinuation { continuation in
                ending.withLock { $0 = continuation }
                session.start()
            }
        } onCancel: {
            session.finish()
        }
    }
}
