/// Why an envelope was not opened: a value for whoever received it, who counts it and goes on.
package struct EnvelopeRefusal: Error, Sendable, Equatable, CustomStringConvertible {
    package enum Reason: String, Sendable, CaseIterable {
        /// The bytes are no envelope of this format.
        case malformed
        /// The envelope, or a part of it, is larger than its limit.
        case oversized
        /// A version or an algorithm that this receiver does not know.
        case unsupported
        /// Nobody said that this gateway is to be trusted.
        case unknownGateway
        /// The gateway is known, but not the key that signed.
        case foreignSigned
        /// The signature does not fit the bytes.
        case invalidSignature
        /// It is meant for another cluster.
        case wrongCluster
        /// None of the receiver's keys is among the recipients: an old key, or one of somebody else.
        case unknownRecipient
        /// The content key or the content does not pass its authentication.
        case undecipherable
        /// The message inside has a topic that its gateway may not use.
        case foreignTopic
        /// A birth or death that is older than one that was taken already.
        case replayed
        /// The receiver itself failed, for example without memory; the envelope may be good.
        case failed
    }

    package var reason: Reason
    /// Expected and actual, for people; never holds key material or plaintext.
    package var message: String

    package init(_ reason: Reason, _ message: String) {
        self.reason = reason
        self.message = message
    }

    package var description: String { "\(reason.rawValue): \(message)" }
}
