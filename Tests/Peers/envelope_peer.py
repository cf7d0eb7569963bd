#!/usr/bin/env python3
"""The other side of an envelope, written from docs/format/envelope.md alone: pycose for the suites of the COSE registry, gmssl (pure Python) and
cbor2 for the national suite.

    envelope_peer.py open FOLDER SUITE FILE…    opens envelopes with FOLDER/recipient.key and FOLDER/signing.pub; prints a JSON object per file
    envelope_peer.py seal FOLDER SUITE COUNT    writes FOLDER/python-N.envelope with FOLDER/signing.key and FOLDER/recipient.pub

An envelope that is not right ends the program with exit code 1 and the reason on standard error.
"""
import hashlib
import json
import os
import sys
from pathlib import Path

import cbor2
from cryptography.hazmat.primitives import serialization

ENVELOPE = -70001
SM4_CTR_HMAC_SM3, SM2_SIGNATURE, SM2_ENCRYPTION = -70010, -70011, -70012
CONTENT_DOMAIN, SIGNATURE_DOMAIN = "IndusEdge envelope 1 content", b"IndusEdge envelope 1 signature"
SM4_LABEL, HMAC_LABEL = b"IndusEdge envelope 1 SM4-CTR", b"IndusEdge envelope 1 HMAC-SM3"


def content_aad(signer):
    return cbor2.dumps([CONTENT_DOMAIN, signer])


def header(counter):
    return [1, "gateway-1", "central", "east", 0, 9, 0, 1_800_000_000_000_000_000, b"\x01\x02\x03\x04\x05\x06\x07\x08"], bytes(4) + counter.to_bytes(8, "big")


def plaintext(number):
    return cbor2.dumps([f"spBv1.0/g/DDATA/gateway-1/device-{number}", [9, 4, number], b"from Python " + bytes([number]) * number])


def report(nonce, envelope, content):
    topic, batch, payload = cbor2.loads(content)
    return {"gateway": envelope[1], "route": envelope[2], "cluster": envelope[3], "kind": envelope[4], "counter": int.from_bytes(nonce[4:], "big"),
            "topic": topic, "batch": batch, "payload": payload.hex()}


def chacha20_poly1305():
    """pycose has no class for ChaCha20/Poly1305 (24); this tells it of one on the cryptography package."""
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305 as Cipher
    from pycose.algorithms import CoseAlgorithm, _EncAlg

    @CoseAlgorithm.register_attribute()
    class ChaCha20Poly1305(_EncAlg):
        identifier, fullname = 24, "CHACHA20_POLY1305"

        @classmethod
        def get_key_length(cls):
            return 32

        @classmethod
        def encrypt(cls, key, nonce, data, aad):
            return Cipher(key.k).encrypt(nonce, data, aad)

        @classmethod
        def decrypt(cls, key, nonce, ciphertext, aad):
            return Cipher(key.k).decrypt(nonce, ciphertext, aad)

    return ChaCha20Poly1305


class Standard:
    """AES-256-GCM and ChaCha20-Poly1305 by pycose."""

    def __init__(self, folder, suite):
        from pycose import algorithms
        self.folder = folder
        self.algorithm = {"aes256gcm": algorithms.A256GCM, "chacha20poly1305": chacha20_poly1305()}[suite]

    def key(self, name, private):
        from pycose.keys import EC2Key
        data = (self.folder / name).read_bytes()
        loaded = serialization.load_pem_private_key(data, None) if private else serialization.load_pem_public_key(data)
        public = loaded.public_key() if private else loaded
        encoded = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        numbers = public.public_numbers()
        d = loaded.private_numbers().private_value.to_bytes(32, "big") if private else b""
        key = EC2Key(crv="P_256", x=numbers.x.to_bytes(32, "big"), y=numbers.y.to_bytes(32, "big"), d=d)
        return key, hashlib.sha256(encoded).digest()[:8]

    def open(self, data):
        from pycose import headers
        from pycose.messages import CoseMessage
        signed = CoseMessage.decode(data)
        signed.key, identifier = self.key("signing.pub", False)
        signed.external_aad = SIGNATURE_DOMAIN
        signer = signed.get_attr(headers.KID)
        assert signer == identifier, "signed by another key"
        assert signed.verify_signature(), "the signature does not fit"
        message = CoseMessage.decode(signed.payload)
        own, own_identifier = self.key("recipient.key", True)
        recipient = next(one for one in message.recipients if one.get_attr(headers.KID) == own_identifier)
        recipient.key = own
        message.external_aad = content_aad(signer)
        content = message.decrypt(recipient)
        protected = cbor2.loads(message.phdr_encoded)
        return report(protected[5], protected[ENVELOPE], content)

    def seal(self, number):
        from pycose import algorithms, headers
        from pycose.keys import SymmetricKey
        from pycose.messages import EncMessage, Sign1Message
        from pycose.messages.recipient import KeyAgreementWithKeyWrap
        signing, signer = self.key("signing.key", True)
        public, identifier = self.key("recipient.pub", False)
        fields, nonce = header(number)
        content_key = os.urandom(32)
        recipient = KeyAgreementWithKeyWrap(
            phdr={headers.Algorithm: algorithms.EcdhEsA256KW}, uhdr={headers.KID: identifier}, payload=content_key)
        recipient.local_attrs = {headers.StaticKey: public}
        message = EncMessage(
            phdr={headers.Algorithm: self.algorithm, headers.IV: nonce, ENVELOPE: fields}, payload=plaintext(number), recipients=[recipient],
            external_aad=content_aad(signer))
        message.key = SymmetricKey(k=content_key, optional_params={"ALG": self.algorithm})
        signed = Sign1Message(
            phdr={headers.Algorithm: algorithms.Es256, headers.KID: signer}, payload=message.encode(), external_aad=SIGNATURE_DOMAIN)
        signed.key = signing
        return signed.encode()


class National:
    """SM2, SM3 and SM4 by gmssl, which has no keys in files, no counter mode and no HMAC: those are here."""

    def __init__(self, folder, suite):
        self.folder = folder

    @staticmethod
    def sm3(data):
        from gmssl import sm3
        return bytes.fromhex(sm3.sm3_hash(list(data)))

    def hmac(self, key, data):
        key = (self.sm3(key) if len(key) > 64 else key).ljust(64, b"\0")
        return self.sm3(bytes(byte ^ 0x5C for byte in key) + self.sm3(bytes(byte ^ 0x36 for byte in key) + data))

    def expand(self, secret, label, count):
        """HKDF with an empty salt."""
        extracted, output, block, number = self.hmac(bytes(32), secret), b"", b"", 1
        while len(output) < count:
            block = self.hmac(extracted, block + label + bytes([number]))
            output, number = output + block, number + 1
        return output[:count]

    @staticmethod
    def counter_mode(key, nonce, data):
        from gmssl import sm4
        cipher = sm4.CryptSM4(padding_mode=0)
        cipher.set_key(key, sm4.SM4_ENCRYPT)
        output = b""
        for place in range(0, len(data), 16):
            block = bytes(cipher.one_round(cipher.sk, list(nonce + (place // 16).to_bytes(4, "big"))))
            output += bytes(left ^ right for left, right in zip(data[place:place + 16], block))
        return output

    def key(self, name, private):
        """The curve is not among those that every build of the usual libraries knows, so the structure is read by hand."""
        import base64
        from asn1crypto.keys import PrivateKeyInfo
        from gmssl import sm2
        text = (self.folder / name).read_text(encoding="ascii")
        der = base64.b64decode("".join(line for line in text.splitlines() if not line.startswith("-")))
        if private:
            parsed = PrivateKeyInfo.load(der)["private_key"].parsed
            secret, point = f"{parsed['private_key'].native:064x}", bytes(parsed["public_key"].native)
            # What the public file holds: its identifier is the digest of it.
            head = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d034200")
            encoded = head + point
        else:
            secret, encoded = "", der
            point = der[-65:]
        pair = sm2.CryptSM2(secret, "", mode=1)
        pair.public_key = point[1:].hex()
        return pair, self.sm3(encoded)[:8]

    def open(self, data):
        from Cryptodome.Util.asn1 import DerOctetString, DerSequence
        tag = cbor2.loads(data)
        assert tag.tag == 18
        signature_header, _, content, signature = tag.value
        outer = cbor2.loads(signature_header)
        public, identifier = self.key("signing.pub", False)
        assert outer == {1: SM2_SIGNATURE, 4: identifier}, "another algorithm or key"
        signed = cbor2.dumps(["Signature1", signature_header, SIGNATURE_DOMAIN, content])
        assert public.verify_with_sm3(signature.hex(), signed), "the signature does not fit"
        encrypted = cbor2.loads(content)
        assert encrypted.tag == 96
        protected, _, ciphertext, recipients = encrypted.value
        inner = cbor2.loads(protected)
        assert inner[1] == SM4_CTR_HMAC_SM3
        own, own_identifier = self.key("recipient.key", True)
        wrapped = next(one[2] for one in recipients if one[1][4] == own_identifier and cbor2.loads(one[0]) == {1: SM2_ENCRYPTION})
        sequence = DerSequence().decode(wrapped)
        digest, text = DerOctetString().decode(sequence[2]).payload, DerOctetString().decode(sequence[3]).payload
        content_key = own.decrypt(sequence[0].to_bytes(32, "big") + sequence[1].to_bytes(32, "big") + digest + text)
        shared = own._kg(int(own.private_key, 16), f"{sequence[0]:064x}{sequence[1]:064x}")
        assert self.sm3(bytes.fromhex(shared[:64]) + content_key + bytes.fromhex(shared[64:])) == digest, "the wrapped key does not fit"
        additional = cbor2.dumps(["Encrypt", protected, content_aad(identifier)])
        body, tag = ciphertext[:-32], ciphertext[-32:]
        assert self.hmac(self.expand(content_key, HMAC_LABEL, 32), additional + body) == tag, "the content does not fit"
        return report(inner[5], inner[ENVELOPE], self.counter_mode(self.expand(content_key, SM4_LABEL, 16), inner[5], body))

    def seal(self, number):
        from Cryptodome.Util.asn1 import DerOctetString, DerSequence
        signing, signer = self.key("signing.key", True)
        public, identifier = self.key("recipient.pub", False)
        fields, nonce = header(number)
        content_key = os.urandom(32)
        raw = public.encrypt(content_key)
        wrapped = DerSequence([
            int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:64], "big"), DerOctetString(raw[64:96]), DerOctetString(raw[96:])]).encode()
        protected = cbor2.dumps({1: SM4_CTR_HMAC_SM3, 5: nonce, ENVELOPE: fields})
        body = self.counter_mode(self.expand(content_key, SM4_LABEL, 16), nonce, plaintext(number))
        additional = cbor2.dumps(["Encrypt", protected, content_aad(signer)])
        tag = self.hmac(self.expand(content_key, HMAC_LABEL, 32), additional + body)
        recipient = [cbor2.dumps({1: SM2_ENCRYPTION}), {4: identifier}, wrapped]
        content = cbor2.dumps(cbor2.CBORTag(96, [protected, {}, body + tag, [recipient]]))
        signature_header = cbor2.dumps({1: SM2_SIGNATURE, 4: signer})
        signature = signing.sign_with_sm3(cbor2.dumps(["Signature1", signature_header, SIGNATURE_DOMAIN, content]))
        return cbor2.dumps(cbor2.CBORTag(18, [signature_header, {}, content, bytes.fromhex(signature)]))


def main():
    command, folder, suite, *rest = sys.argv[1:]
    peer = (National if suite == "sm" else Standard)(Path(folder), suite)
    if command == "open":
        for file in rest:
            print(json.dumps(peer.open(Path(file).read_bytes())))
    else:
        for number in range(1, int(rest[0]) + 1):
            Path(folder, f"python-{number}.envelope").write_bytes(peer.seal(number))


if __name__ == "__main__":
    try:
        main()
    except AssertionError as error:
        sys.exit(f"envelope_peer: {error}")
