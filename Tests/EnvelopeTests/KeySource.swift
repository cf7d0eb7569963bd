import Synchronization
import Telemetry

@testable import Envelope

/// Keys as files hold them: they change, or cannot be read.
final class KeySource: Sendable {
    private let current: Mutex<EnvelopeKeys?>

    init(_ keys: EnvelopeKeys?) { current = Mutex(keys) }

    func set(_ keys: EnvelopeKeys?) { current.withLock { $0 = keys } }

    func keys() throws(GatewayError) -> EnvelopeKeys {
        guard let keys = current.withLock({ $0 }) else {
            throw GatewayError(.certificateInvalid, resource: "key", operation: "read", "the file does not exist")
        }
        return keys
    }
}
