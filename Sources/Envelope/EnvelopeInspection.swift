/// What anybody can read of an envelope without a key: what a broker sees. Nothing of it is verified.
package struct EnvelopeInspection: Sendable {
    package var identity: EnvelopeIdentity
    /// The name of the suite, or the number of an algorithm that is not known.
    package var suite: String
    package var signer: String
    package var recipients: [String]
    package var bytes: Int
    package var ciphertextBytes: Int

    /// Throws an `EnvelopeRefusal` for bytes that are no envelope.
    package init(_ bytes: [UInt8]) throws(EnvelopeRefusal) {
        let message = try COSEMessage(bytes)
        identity = message.identity
        suite = EnvelopeSuite(contentAlgorithm: message.contentAlgorithm)?.rawValue ?? "algorithm \(message.contentAlgorithm)"
        signer = hexadecimal(message.signer)
        recipients = message.recipients.map { hexadecimal($0.keyIdentifier) }
        self.bytes = bytes.count
        ciphertextBytes = message.ciphertext.count
    }
}

extension EnvelopePublicKey {
    /// The identifier as people compare it.
    package var shownIdentifier: String { hexadecimal(identifier) }
}
