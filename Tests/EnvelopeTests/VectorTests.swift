import TestKit
import Testing

@testable import Envelope

/// Published examples, through the very functions that envelopes go through.
@Suite struct VectorTests {
    private static func bytes(_ text: String) -> [UInt8] {
        let digits = text.filter { $0.isHexDigit }.map { $0.hexDigitValue ?? 0 }
        return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
    }

    private static func secret(_ bytes: [UInt8]) -> Secret {
        let secret = Secret(count: bytes.count)
        secret.bytes.copyBytes(from: bytes)
        return secret
    }

    @Test func `RFC 8439, 2.8.2: ChaCha20-Poly1305`() throws {
        let key = VectorTests.secret(VectorTests.bytes("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"))
        let cipher = try ContentCipher(.chacha20poly1305, key: key)
        let text = "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it."
        let sealed = try cipher.seal(
            Array(text.utf8), nonce: VectorTests.bytes("070000004041424344454647"),
            additional: VectorTests.bytes("50515253c0c1c2c3c4c5c6c7"))
        #expect(sealed.prefix(16) == VectorTests.bytes("d31a8d34648e60db7b86afbc53ef7ec2")[...])
        #expect(sealed.suffix(16) == VectorTests.bytes("1ae10b594f09e26a7e902ecbd0600691")[...])
    }

    @Test func `the submission of GCM, test case 16: AES-256-GCM`() throws {
        let key = VectorTests.secret(VectorTests.bytes("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"))
        let cipher = try ContentCipher(.aes256gcm, key: key)
        let plaintext = VectorTests.bytes(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39")
        let additional = VectorTests.bytes("feedfacedeadbeeffeedfacedeadbeefabaddad2")
        let nonce = VectorTests.bytes("cafebabefacedbaddecaf888")
        let sealed = try cipher.seal(plaintext, nonce: nonce, additional: additional)
        #expect(sealed.prefix(16) == VectorTests.bytes("522dc1f099567d07f47f37a32a84427d")[...])
        #expect(sealed.suffix(16) == VectorTests.bytes("76fc6ece0f4e1768cddf8853bb2d551b")[...])
        let opened = try cipher.open(sealed[...], nonce: nonce, additional: additional)
        #expect(opened == plaintext)
    }

    @Test func `RFC 5869, A.3: HKDF with SHA-256, without salt or context`() throws {
        let secret = VectorTests.secret([UInt8](repeating: 0x0B, count: 22))
        let derived = try KeyDerivation.expand(secret, digest: .sha256, context: [], count: 42)
        let expected = VectorTests.bytes("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8")
        #expect(Array(derived.bytes) == expected)
    }

    @Test func `GM/T 0002-2012, A.1: SM4`() throws {
        let block = try NationalPrimitives.sm4(
            key: VectorTests.bytes("0123456789abcdeffedcba9876543210"), counter: VectorTests.bytes("0123456789abcdeffedcba9876543210"),
            [UInt8](repeating: 0, count: 16))
        #expect(block == VectorTests.bytes("681edf34d206965e86b3e94f536e4246"))
    }

    @Test func `GM/T 0004-2012, A.1: SM3`() throws {
        let digest = try NationalPrimitives.sm3(Array("abc".utf8))
        #expect(digest == VectorTests.bytes("66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"))
    }

    @Test func `GM/T 0003.5-2012, A.2: an SM2 signature of the recommended curve`() throws {
        let point = VectorTests.bytes(
            "04 09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020 ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"
        )
        let key = try EnvelopePublicKey(
            pem: VectorTests.pem(VectorTests.bytes("3059301306072a8648ce3d020106082a811ccf5501822d034200") + point), name: "example")
        let signature = VectorTests.bytes(
            "f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3 b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa"
        )
        let isGenuine = try Signature.isGenuine(signature[...], over: Array("message digest".utf8), [][...], by: key)
        #expect(isGenuine)
        let isOther = try Signature.isGenuine(signature[...], over: Array("message digesu".utf8), [][...], by: key)
        #expect(!isOther)
    }

    @Test func `RFC 8949, appendix A: heads and their shortest form`() throws {
        let integers: [(Int64, String)] = [
            (0, "00"), (23, "17"), (24, "1818"), (100, "1864"), (1000, "1903e8"), (1_000_000, "1a000f4240"),
            (1_000_000_000_000, "1b000000e8d4a51000"),
            (-1, "20"), (-10, "29"), (-100, "3863"), (-1000, "3903e7"),
        ]
        for (value, encoded) in integers {
            var writer = CBORWriter()
            writer.integer(value)
            #expect(writer.bytes == VectorTests.bytes(encoded))
            var reader = CBORReader(writer.bytes)
            let read = try reader.integer("it")
            #expect(read == value)
        }
        for longer in ["1817", "190018", "1900ff", "1a0000ffff", "1b00000000ffffffff", "3817", "5801", "5f"] {
            #expect(throws: EnvelopeRefusal.self) {
                var reader = CBORReader(VectorTests.bytes(longer))
                try reader.skip()
            }
        }
    }

    @Test func `RFC 9053, 5.2: the context of the key derivation`() {
        #expect(
            hexadecimal(COSEStructure.keyDerivation(protected: [0xA1, 0x01, 0x38, 0x1E])) == "842483f6f6f683f6f6f682190100" + "44a101381e")
    }

    @Test func `RFC 9052, 4.4 and 5.3: what is signed and authenticated`() {
        let signed = COSEStructure.signaturePrefix(protected: [0xA1, 0x01, 0x26], payloadBytes: 20)
        #expect(
            hexadecimal(signed) == "846a5369676e61747572653143a10126581e" + hexadecimal(Array(COSEStructure.signatureDomain.utf8)) + "54")
        let authenticated = COSEStructure.encryption(protected: [0xA1, 0x01, 0x03], signer: [1, 2])
        let additional = "82781c" + hexadecimal(Array(COSEStructure.contentDomain.utf8)) + "420102"
        #expect(hexadecimal(authenticated) == "8367456e637279707443a101035822" + additional)
    }

    private static func pem(_ der: [UInt8]) -> [UInt8] {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var body: [UInt8] = []
        for start in stride(from: 0, to: der.count, by: 3) {
            let group = der[start..<min(start + 3, der.count)]
            let bits = group.enumerated().reduce(0) { $0 | Int($1.element) << (16 - 8 * $1.offset) }
            for place in 0..<4 { body.append(place <= group.count ? alphabet[bits >> (18 - 6 * place) & 63] : UInt8(ascii: "=")) }
        }
        return Array("-----BEGIN PUBLIC KEY-----\n".utf8) + body + Array("\n-----END PUBLIC KEY-----\n".utf8)
    }
}
