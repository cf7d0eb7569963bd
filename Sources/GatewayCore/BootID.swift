#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// One run of the operating system: times of its monotonic clock may be compared with each other, and with those of no other run.
package struct BootID: Sendable, Hashable {
    package var high: UInt64
    package var low: UInt64

    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// Reads `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` (RFC 9562, 4); `nil` for anything else.
    package init?(_ text: some StringProtocol) {
        let groups = text.split(separator: "-", omittingEmptySubsequences: false)
        let digits = groups.joined()
        guard groups.map(\.count) == [8, 4, 4, 4, 12], digits.utf8.allSatisfy({ $0 != 43 && $0 != 45 }),
            let high = UInt64(digits.prefix(16), radix: 16), let low = UInt64(digits.suffix(16), radix: 16)
        else { return nil }
        self.init(high: high, low: low)
    }

    /// The present run, as the kernel names it; where it does not, a random one, so that nothing is taken for the same run that is not.
    package static func current(file: String = "/proc/sys/kernel/random/boot_id") -> BootID {
        var generator = SystemRandomNumberGenerator()
        let unknown = BootID(high: generator.next(), low: generator.next())
        let descriptor = open(file, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return unknown }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: textBytes)
        let count = bytes.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
        guard count == textBytes else { return unknown }
        return BootID(String(decoding: bytes, as: UTF8.self)) ?? unknown
    }

    private static let textBytes = 36
}
