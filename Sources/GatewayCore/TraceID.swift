/// Ties together the log lines of one matter (an outage, a command): 16 random bytes as W3C Trace Context writes them.
package struct TraceID: Sendable, Hashable, CustomStringConvertible {
    package let description: String

    package init() {
        let halves = [UInt64.random(in: 1 ... .max), UInt64.random(in: 1 ... .max)]
        description = halves.map { half in
            let digits = String(half, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }
}
