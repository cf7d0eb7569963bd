/// One value of any type, for places that handle single values (command line, console, commands).
/// The hot path never makes one: it works on the slots of a `SampleBatch`.
package enum Variant: Sendable, Hashable {
    case bool(Bool)
    case int(Int64)
    case uint(UInt64)
    case float(Float)
    case double(Double)
    case string(String)

    /// The number, where the value is one.
    package var number: Double? {
        switch self {
        case .bool(let value): value ? 1 : 0
        case .int(let value): Double(value)
        case .uint(let value): Double(value)
        case .float(let value): Double(value)
        case .double(let value): value
        case .string: nil
        }
    }
}

extension Variant: CustomStringConvertible {
    package var description: String {
        switch self {
        case .bool(let value): value ? "true" : "false"
        case .int(let value): String(value)
        case .uint(let value): String(value)
        case .float(let value): "\(value)"
        case .double(let value): "\(value)"
        case .string(let value): value
        }
    }
}

/// A value with its quality and time, as OPC UA defines it (OPC 10000-4, 7.11).
package struct DataValue: Sendable, Hashable {
    /// `nil` exactly when the status is Bad: a refused value is never replaced by an older one.
    package var value: Variant?
    package var status: StatusCode
    package var time: Timestamp
    /// Whether the clock was not known to be right when it told `time`.
    package var isTimeUncertain: Bool
    /// The device's own time, where it gives one.
    package var sourceTime: Timestamp?
    /// For people: why the status is not Good.
    package var reason: String?

    package init(
        value: Variant?, status: StatusCode, time: Timestamp, isTimeUncertain: Bool = false, sourceTime: Timestamp? = nil,
        reason: String? = nil
    ) {
        self.value = value
        self.status = status
        self.time = time
        self.isTimeUncertain = isTimeUncertain
        self.sourceTime = sourceTime
        self.reason = reason
    }
}
