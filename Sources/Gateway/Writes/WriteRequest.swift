package import Interlock
internal import Telemetry

/// Somebody wants a tag of the site to have a value.
package struct WriteRequest: Sendable, Hashable {
    /// The user, as the way in vouches for them; never what the request says of itself.
    package var who: String
    /// The way in: `local socket, process 123`.
    package var from: String
    package var target: TagReference
    package var value: Value
    /// Only judge, do not write.
    package var isDryRun: Bool
    /// Confirms an earlier request.
    package var token: String?
    /// Whether whoever asks can be asked back; if not, tags that need a confirmation are refused.
    package var canConfirm: Bool

    /// A value in engineering units, as it came.
    package enum Value: Sendable, Hashable {
        /// To be read as the tag's type says.
        case text(String)
        case number(Double)
        case bool(Bool)
    }

    package init(
        who: String, from: String, target: TagReference, value: Value, isDryRun: Bool = false, token: String? = nil, canConfirm: Bool = true
    ) {
        self.who = who
        self.from = from
        self.target = target
        self.value = value
        self.isDryRun = isDryRun
        self.token = token
        self.canConfirm = canConfirm
    }
}

/// What came of a request.
package struct WriteOutcome: Sendable, Hashable, Codable {
    package enum Result: String, Sendable, Hashable, Codable, CaseIterable {
        /// Written, and read back.
        case done
        /// A dry run: it would have been written.
        case wouldWrite
        /// Nothing was written yet: a second request with `token` does it.
        case confirm
        /// Nothing was written: a rule forbids it.
        case refused
        /// The device did not take it: nothing changed.
        case failed
        /// The device took it, but shows another value.
        case mismatch
        /// Nobody knows whether it was written, or what the device holds now.
        case unknown
    }

    package var result: Result
    /// For programs: the rule that forbids it.
    package var code: String?
    /// For people; empty when all is well.
    package var reason: String
    package var target: String
    /// What the device will show, or shows: the wanted value in steps of the tag.
    package var value: String?
    /// The value just before.
    package var old: String?
    package var readBack: String?
    /// Of the tag, in UCUM.
    package var unit: String?
    package var token: String?
    package var tokenSeconds: Double?
    /// Ties audit records and log lines together.
    package var trace: String
    /// The head of the audit trail after this: worth keeping somewhere else.
    package var auditHead: String?

    package init(_ result: Result, target: String, trace: String, code: String? = nil, reason: String = "") {
        self.result = result
        self.code = code
        self.reason = reason
        self.target = target
        self.trace = trace
    }

    /// Whether the device holds the value, or would.
    package var isSuccess: Bool { result == .done || result == .wouldWrite }
}

extension WriteRequest.Value: CustomStringConvertible {
    package var description: String {
        switch self {
        case .text(let text): text
        case .number(let number): number == number.rounded() && abs(number) < 1e15 ? String(Int64(number)) : "\(number)"
        case .bool(let bool): "\(bool)"
        }
    }

    /// The value as a tag's type reads it; `nil` when it cannot be one.
    func variant(as type: DataType) -> Variant? {
        switch (self, type) {
        case (.text(let text), .string): return .string(text)
        case (.text(let text), .bool):
            switch text.lowercased() {
            case "true", "1", "on": return .bool(true)
            case "false", "0", "off": return .bool(false)
            default: return nil
            }
        case (.bool(let bool), .bool): return .bool(bool)
        case (.number(let number), .bool): return number == 0 ? .bool(false) : number == 1 ? .bool(true) : nil
        case (.number(let number), _) where type.isNumeric: return number.isFinite ? .double(number) : nil
        case (.text(let text), _) where type.isNumeric:
            // Whole numbers first: a double does not hold all of 64 bits.
            if let integer = Int64(text) { return .int(integer) }
            if let integer = UInt64(text) { return .uint(integer) }
            let isDecimal = text.utf8.allSatisfy { byte in
                (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || "+-.eE".utf8.contains(byte)
            }
            guard isDecimal, let number = Double(text), number.isFinite else { return nil }
            return .double(number)
        default: return nil
        }
    }
}
