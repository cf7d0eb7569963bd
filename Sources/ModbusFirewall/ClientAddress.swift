/// Where a client comes from: 4 bytes of IPv4 or 16 of IPv6, most significant first; none for the one on a serial line.
package struct ClientAddress: Sendable, Hashable {
    package var bytes: [UInt8]

    /// The client at the other end of a serial line.
    package static let serialLine = ClientAddress(bytes: [])

    /// An IPv4 address in IPv6 clothes (::ffff:0:0/96, RFC 4291, 2.5.5.2) becomes plain.
    package init(bytes: [UInt8]) {
        let isMapped = bytes.count == 16 && bytes[..<10].allSatisfy { $0 == 0 } && bytes[10] == 0xFF && bytes[11] == 0xFF
        self.bytes = isMapped ? Array(bytes[12...]) : bytes
    }
}

extension ClientAddress: CustomStringConvertible {
    package var description: String {
        if bytes.isEmpty { return "serial line" }
        if bytes.count == 4 { return bytes.map(String.init).joined(separator: ".") }
        return stride(from: 0, to: bytes.count - 1, by: 2)
            .map { String(UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1]), radix: 16) }.joined(separator: ":")
    }
}

/// All addresses that begin with the same bits (CIDR, RFC 4632).
package struct NetworkBlock: Sendable, Hashable {
    package var bytes: [UInt8]
    /// How many bits count.
    package var prefix: Int

    package init(bytes: [UInt8], prefix: Int) {
        self.bytes = bytes
        self.prefix = prefix
    }

    package func contains(_ address: ClientAddress) -> Bool {
        guard address.bytes.count == bytes.count, prefix <= bytes.count * 8 else { return false }
        let whole = prefix / 8
        guard address.bytes[..<whole] == bytes[..<whole] else { return false }
        let rest = prefix % 8
        return rest == 0 || (address.bytes[whole] ^ bytes[whole]) >> UInt8(8 - rest) == 0
    }
}
