package import Telemetry

/// What a tag's value is, beyond its type and order: how registers hold it, what it must pass, and what its numbers are called.
package struct ValueForm: Sendable, Equatable {
    package var encoding: RegisterEncoding
    /// `nil` for a value that is taken as it comes.
    package var rules: ValueRules?
    /// What people call single raw values: `0: stopped`. Empty for none.
    package var labels: [Int64: String]

    package init(encoding: RegisterEncoding = .plain, rules: ValueRules? = nil, labels: [Int64: String] = [:]) {
        self.encoding = encoding
        self.rules = rules
        self.labels = labels
    }

    package static let plain = ValueForm()
}

extension TagDefinition {
    /// What people call this value; `nil` where the definition has no name for it.
    package func label(for value: Variant) -> String? {
        guard !form.labels.isEmpty else { return nil }
        switch value {
        case .bool(let flag): return form.labels[flag ? 1 : 0]
        case .int(let number): return form.labels[number]
        case .uint(let number): return Int64(exactly: number).flatMap { form.labels[$0] }
        case .float, .double, .string: return nil
        }
    }
}
