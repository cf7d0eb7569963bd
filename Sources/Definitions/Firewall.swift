/// A Modbus TCP or RTU server in front of the devices, and what it lets through.
package struct Firewall: Sendable, Equatable {
    package enum NewWrites: String, Sendable, CaseIterable {
        case block, learn, allow
    }

    /// A device and the unit identifier it has for clients.
    package struct Target: Sendable, Equatable {
        package var unit: Int
        package var device: String
    }

    package struct Rule: Sendable, Equatable {
        /// `nil`: every client.
        package var client: AddressBlock?
        /// `nil`: every unit.
        package var units: [Int]?
        /// Function codes of the Modbus Application Protocol 1.1b3, clause 6.
        package var functions: [Int]
        /// `nil`: every address.
        package var ranges: [AddressRange]?
    }

    /// Consecutive addresses of one table.
    package struct AddressRange: Sendable, Equatable {
        package var table: ModbusAddress.Table
        package var addresses: ClosedRange<Int>
    }

    /// A serial line with a client at its other end; 8 data bits.
    package struct SerialLine: Sendable, Equatable {
        package var port: String
        package var baudRate: Int
        package var parity: ModbusRTUConnection.Parity
        package var stopBits: Int

        /// Those that Linux has names for, as far as lines are run with them.
        static let baudRates = [
            300, 600, 1200, 2400, 4800, 9600, 19_200, 38_400, 57_600, 115_200, 230_400, 460_800, 921_600,
        ]
    }

    package var name: String
    /// The serial line that is served in place of a TCP port.
    package var serial: SerialLine?
    /// An IP address of this machine.
    package var address: String
    package var port: Int
    package var targets: [Target]
    package var rules: [Rule]
    /// How old a value may be that answers a read.
    package var freshFor: Duration
    package var newWrites: NewWrites
    package var writesPerSecond: Double
    package var writeBurst: Int
}

/// All IP addresses that begin with the same bits (CIDR, RFC 4632).
package struct AddressBlock: Sendable, Equatable {
    /// 4 or 16, most significant first; zero beyond the prefix.
    package var bytes: [UInt8]
    /// How many bits count.
    package var prefix: Int

    /// Reads `192.0.2.7`, `192.0.2.0/24`, `2001:db8::/32`; `nil` for anything else, and where bits beyond the prefix are set.
    package init?(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let bytes = AddressBlock.bytes(of: parts[0]) else { return nil }
        var prefix = bytes.count * 8
        if parts.count == 2 {
            guard let given = AddressBlock.number(parts[1], radix: 10), given <= prefix else { return nil }
            prefix = given
        }
        for bit in prefix..<bytes.count * 8 where bytes[bit / 8] >> UInt8(7 - bit % 8) & 1 == 1 { return nil }
        self.bytes = bytes
        self.prefix = prefix
    }

    private static func bytes(of text: Substring) -> [UInt8]? {
        text.contains(":") ? versionSix(text) : versionFour(text)
    }

    private static func versionFour(_ text: Substring) -> [UInt8]? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        let numbers = parts.compactMap { part in
            part.count > 1 && part.hasPrefix("0") ? nil : number(part, radix: 10).flatMap(UInt8.init(exactly:))
        }
        return numbers.count == 4 ? numbers : nil
    }

    /// RFC 4291, 2.2: eight groups of hexadecimal digits, `::` once for a run of zeros.
    private static func versionSix(_ text: Substring) -> [UInt8]? {
        let halves = text.split(separator: "::", omittingEmptySubsequences: false)
        guard halves.count <= 2 else { return nil }
        var groups: [[UInt16]] = []
        for half in halves {
            let parts = half.isEmpty ? [] : half.split(separator: ":", omittingEmptySubsequences: false)
            let numbers = parts.compactMap { $0.count <= 4 ? number($0, radix: 16).flatMap(UInt16.init(exactly:)) : nil }
            guard numbers.count == parts.count else { return nil }
            groups.append(numbers)
        }
        let given = groups.reduce(0) { $0 + $1.count }
        guard halves.count == 2 ? given <= 7 : given == 8 else { return nil }
        let all = groups[0] + [UInt16](repeating: 0, count: 8 - given) + (groups.count == 2 ? groups[1] : [])
        return all.flatMap { [UInt8($0 >> 8), UInt8(truncatingIfNeeded: $0)] }
    }

    /// Digits only: no sign, no blank.
    private static func number(_ text: Substring, radix: Int) -> Int? {
        guard !text.isEmpty, text.count <= 5, text.allSatisfy({ $0.isASCII && ($0.isNumber || radix == 16 && $0.isHexDigit) }) else {
            return nil
        }
        return Int(text, radix: radix)
    }
}

extension AddressBlock: CustomStringConvertible {
    package var description: String {
        let text =
            bytes.count == 4
            ? bytes.map(String.init).joined(separator: ".")
            : stride(from: 0, to: bytes.count - 1, by: 2)
                .map { String(UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1]), radix: 16) }.joined(separator: ":")
        return prefix == bytes.count * 8 ? text : "\(text)/\(prefix)"
    }
}
