/// The layers of an envelope as they lie in its bytes: COSE_Sign1 around COSE_Encrypt around recipients. Nothing is checked but the shape.
///
/// Source: RFC 9052, 4.2 (COSE_Sign1), 5.1 (COSE_Encrypt and COSE_recipient); RFC 9053, 7.1.1 (EC2 keys).
struct COSEMessage {
    struct Recipient {
        var protected: Range<Int>
        var algorithm: Int64
        var keyIdentifier: [UInt8]
        /// The ephemeral public key of ECDH as an uncompressed point; empty for other algorithms.
        var ephemeralKey: [UInt8]
        /// The wrapped content key.
        var ciphertext: Range<Int>
        /// The whole structure.
        var extent: Range<Int>
    }

    let bytes: [UInt8]
    /// The content of the signature's protected header.
    var signatureProtected: Range<Int>
    var signatureAlgorithm: Int64
    var signer: [UInt8]
    /// What is signed: the COSE_Encrypt structure.
    var content: Range<Int>
    var signature: Range<Int>
    /// The content of the content layer's protected header.
    var contentProtected: Range<Int>
    var contentAlgorithm: Int64
    var identity: EnvelopeIdentity
    var nonce: Range<Int>
    var ciphertext: Range<Int>
    var recipients: [Recipient]

    static let sign1Tag: UInt64 = 18
    static let encryptTag: UInt64 = 96
    /// The header parameter with an envelope's own fields: private use.
    static let envelopeLabel: Int64 = -70_001
    static let keyIdentifierBytes = 8
    /// The longest identifier of a key that is read.
    static let keyIdentifierBytesMax = 64
    /// The longest protected header that is read, and the most parameters of one.
    static let headerBytesMax = 1024
    static let parametersMax = 16
    /// Raw r ‖ s on either curve (RFC 9053, 2.1).
    static let signatureBytes = 64
    /// SM2 encryption of 32 bytes is 139 to 142 bytes in ASN.1, AES key wrap 40.
    static let wrappedKeyBytes = 24...256

    /// Throws an `EnvelopeRefusal` with reason `malformed`, `oversized` or `unsupported`.
    init(_ bytes: [UInt8]) throws(EnvelopeRefusal) {
        guard bytes.count <= EnvelopeLimits.envelopeBytesMax else {
            throw EnvelopeRefusal(
                .oversized, "the envelope has \(bytes.count) bytes, at most \(EnvelopeLimits.envelopeBytesMax) are accepted")
        }
        self.bytes = bytes
        var reader = CBORReader(bytes)
        try reader.tag(COSEMessage.sign1Tag, "COSE_Sign1")
        _ = try reader.array("COSE_Sign1", 4...4)
        signatureProtected = try reader.byteString("the signature's header", 1...COSEMessage.headerBytesMax)
        let outer = try Parameters(bytes, protected: signatureProtected, &reader)
        content = try reader.byteString("the signed content", 1...EnvelopeLimits.envelopeBytesMax)
        signature = try reader.byteString("the signature", COSEMessage.signatureBytes...COSEMessage.signatureBytes)
        try reader.finish("COSE_Sign1")
        signatureAlgorithm = try outer.requiredAlgorithm("the signature")
        signer = try outer.requiredKeyIdentifier("the signature")

        reader = CBORReader(bytes, content)
        try reader.tag(COSEMessage.encryptTag, "COSE_Encrypt")
        _ = try reader.array("COSE_Encrypt", 4...4)
        contentProtected = try reader.byteString("the content's header", 1...COSEMessage.headerBytesMax)
        let inner = try Parameters(bytes, protected: contentProtected, &reader)
        ciphertext = try reader.byteString("the ciphertext", 16...EnvelopeLimits.envelopeBytesMax)
        contentAlgorithm = try inner.requiredAlgorithm("the content")
        guard let nonce = inner.nonce else { throw CBORReader.malformed("the content has no IV (5) in its protected header") }
        guard let (session, kind) = inner.envelope else {
            throw CBORReader.malformed("the content has no parameter \(COSEMessage.envelopeLabel) in its protected header")
        }
        self.nonce = nonce
        guard bytes[nonce.lowerBound..<nonce.lowerBound + 4].allSatisfy({ $0 == 0 }) else {
            throw CBORReader.malformed("the first four bytes of the IV are not zero")
        }
        let counter = bytes[nonce.lowerBound + 4..<nonce.upperBound].reduce(0) { $0 << 8 | UInt64($1) }
        identity = EnvelopeIdentity(session: session, kind: kind, counter: counter)
        recipients = []
        for _ in 0..<(try reader.array("the recipients", 1...EnvelopeLimits.recipientsMax)) {
            recipients.append(try COSEMessage.recipient(bytes, &reader))
        }
        try reader.finish("COSE_Encrypt")
    }

    private static func recipient(_ bytes: [UInt8], _ reader: inout CBORReader) throws(EnvelopeRefusal) -> Recipient {
        let start = reader.position
        _ = try reader.array("COSE_recipient", 3...3)
        let protected = try reader.byteString("a recipient's header", 1...headerBytesMax)
        let parameters = try Parameters(bytes, protected: protected, &reader)
        let ciphertext = try reader.byteString("a wrapped key", wrappedKeyBytes)
        return Recipient(
            protected: protected, algorithm: try parameters.requiredAlgorithm("a recipient"),
            keyIdentifier: try parameters.requiredKeyIdentifier("a recipient"), ephemeralKey: parameters.ephemeralKey,
            ciphertext: ciphertext, extent: start..<reader.position)
    }
}

/// The header parameters of one layer, both buckets. Only the protected one may say the algorithm, the IV and the envelope's fields:
/// nobody but the signer vouches for the other.
private struct Parameters {
    var algorithm: Int64?
    var keyIdentifier: [UInt8]?
    var nonce: Range<Int>?
    var envelope: (EnvelopeSession, EnvelopeKind)?
    var ephemeralKey: [UInt8] = []

    /// Labels of RFC 9052, 3.1, and RFC 9053, 6.3.1.
    private static let algorithmLabel: Int64 = 1
    private static let criticalLabel: Int64 = 2
    private static let keyIdentifierLabel: Int64 = 4
    private static let nonceLabel: Int64 = 5
    private static let ephemeralKeyLabel: Int64 = -1

    init(_ bytes: [UInt8], protected: Range<Int>, _ reader: inout CBORReader) throws(EnvelopeRefusal) {
        var inner = CBORReader(bytes, protected)
        var labels: [Int64] = []
        try read(&inner, isProtected: true, &labels)
        try inner.finish("a protected header")
        try read(&reader, isProtected: false, &labels)
    }

    private mutating func read(_ reader: inout CBORReader, isProtected: Bool, _ labels: inout [Int64]) throws(EnvelopeRefusal) {
        for _ in 0..<(try reader.map("a header", atMost: COSEMessage.parametersMax)) {
            if reader.isAtText {
                try reader.skip()
                try reader.skip()
                continue
            }
            let label = try reader.integer("a label")
            guard !labels.contains(label) else { throw CBORReader.malformed("the header has the label \(label) twice") }
            labels.append(label)
            switch label {
            case Parameters.algorithmLabel where isProtected: algorithm = try reader.integer("the algorithm")
            case Parameters.criticalLabel:
                throw EnvelopeRefusal(.unsupported, "the header has critical parameters (2), of which none is known")
            case Parameters.keyIdentifierLabel:
                let range = try reader.byteString("the key identifier", 1...COSEMessage.keyIdentifierBytesMax)
                keyIdentifier = Array(reader.bytes[range])
            case Parameters.nonceLabel where isProtected: nonce = try reader.byteString("the IV", 12...12)
            case COSEMessage.envelopeLabel where isProtected: envelope = try EnvelopeIdentity.read(&reader)
            case Parameters.ephemeralKeyLabel: ephemeralKey = try Parameters.point(&reader)
            default: try reader.skip()
            }
        }
    }

    /// A COSE_Key on P-256 as an uncompressed point (SEC 1, 2.3.3).
    private static func point(_ reader: inout CBORReader) throws(EnvelopeRefusal) -> [UInt8] {
        var x: Range<Int>?
        var y: Range<Int>?
        var labels: [Int64] = []
        for _ in 0..<(try reader.map("the ephemeral key", atMost: COSEMessage.parametersMax)) {
            let label = try reader.integer("a label of the ephemeral key")
            guard !labels.contains(label) else { throw CBORReader.malformed("the ephemeral key has the label \(label) twice") }
            labels.append(label)
            switch label {
            case 1: try expect(2, try reader.integer("the type of the ephemeral key"), "key type EC2")
            case -1: try expect(1, try reader.integer("the curve of the ephemeral key"), "curve P-256")
            case -2: x = try reader.byteString("the x of the ephemeral key", 32...32)
            case -3: y = try reader.byteString("the y of the ephemeral key", 32...32)
            default: try reader.skip()
            }
        }
        guard let x, let y, labels.contains(1), labels.contains(-1) else {
            throw CBORReader.malformed("the ephemeral key lacks its type, curve, x or y")
        }
        return [0x04] + reader.bytes[x] + reader.bytes[y]
    }

    private static func expect(_ expected: Int64, _ actual: Int64, _ what: String) throws(EnvelopeRefusal) {
        guard actual == expected else {
            throw EnvelopeRefusal(.unsupported, "the ephemeral key has \(actual), expected \(expected) (\(what))")
        }
    }

    func requiredAlgorithm(_ what: String) throws(EnvelopeRefusal) -> Int64 {
        guard let algorithm else { throw CBORReader.malformed("\(what) names no algorithm (1) in its protected header") }
        return algorithm
    }

    func requiredKeyIdentifier(_ what: String) throws(EnvelopeRefusal) -> [UInt8] {
        guard let keyIdentifier else { throw CBORReader.malformed("\(what) has no key identifier (4)") }
        return keyIdentifier
    }
}

/// The structures that are signed and authenticated beside the content, and what is inside of it.
enum COSEStructure {
    /// Domain separation: what this format authenticates means nothing to another use of the same keys.
    static let contentDomain = "IndusEdge envelope 1 content"
    static let signatureDomain = "IndusEdge envelope 1 signature"

    /// The external additional data of the content: the domain and who will sign, so that nobody can put a signature of his own around it.
    static func contentAAD(signer: [UInt8]) -> [UInt8] {
        var writer = CBORWriter()
        writer.array(2)
        writer.text(contentDomain)
        writer.byteString(signer)
        return writer.bytes
    }

    /// Enc_structure (RFC 9052, 5.3).
    static func encryption(protected: some Collection<UInt8>, signer: [UInt8]) -> [UInt8] {
        var writer = CBORWriter(capacity: 160)
        writer.array(3)
        writer.text("Encrypt")
        writer.byteString(protected)
        writer.byteString(contentAAD(signer: signer))
        return writer.bytes
    }

    /// Sig_structure (RFC 9052, 4.4) up to and with the head of the payload, whose bytes follow.
    static func signaturePrefix(protected: some Collection<UInt8>, payloadBytes: Int) -> [UInt8] {
        var writer = CBORWriter(capacity: 80)
        writer.array(4)
        writer.text("Signature1")
        writer.byteString(protected)
        writer.byteString(Array(signatureDomain.utf8))
        writer.byteStringHead(payloadBytes)
        return writer.bytes
    }

    /// COSE_KDF_Context of ECDH-ES+A256KW (RFC 9053, 5.2).
    static func keyDerivation(protected: some Collection<UInt8>) -> [UInt8] {
        var writer = CBORWriter(capacity: 32)
        writer.array(4)
        writer.integer(COSEAlgorithm.a256KW)
        for _ in 0..<2 {
            writer.array(3)
            for _ in 0..<3 { writer.null() }
        }
        writer.array(2)
        writer.unsigned(256)
        writer.byteString(protected)
        return writer.bytes
    }
}
