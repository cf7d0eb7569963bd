package import Telemetry

/// A condition on tags that must hold for a write to be allowed.
///
/// Comparisons of tags and numbers, joined by `&&`, `||`, `!` and parentheses. Every number is a 64-bit floating-point number in engineering
/// units; a boolean counts as 1 or 0 in a comparison.
package struct Interlock: Sendable, Hashable {
    indirect enum Node: Sendable, Hashable {
        case compare(Operand, Comparison, Operand)
        /// A boolean by itself.
        case truth(Operand)
        case not(Node)
        case all([Node])
        case any([Node])
    }

    enum Operand: Sendable, Hashable {
        case number(Double)
        case bool(Bool)
        case tag(TagReference)
    }

    enum Comparison: String, Sendable, CaseIterable {
        case less = "<"
        case lessOrEqual = "<="
        case greater = ">"
        case greaterOrEqual = ">="
        case equal = "=="
        case different = "!="
    }

    /// As it was written.
    package let text: String
    let root: Node

    /// The most bytes of an expression.
    package static let textBytesMax = 1000
    /// How deep parentheses and negations may nest.
    package static let depthMax = 32
    /// The most different tags of one expression: each is read before a write.
    package static let referencesMax = 16

    /// Reads an expression.
    ///
    /// Throws an `InterlockError` that says where it is wrong, and what would be right.
    package init(_ text: String) throws(InterlockError) {
        var parser = try InterlockParser(text)
        root = try parser.parse()
        self.text = text
    }

    private init(text: String, root: Node) {
        self.text = text
        self.root = root
    }

    /// The tags it looks at, each once, in the order of their first appearance.
    package var references: [TagReference] {
        var found: [TagReference] = []
        Interlock.visit(root) { operand in
            if case .tag(let reference) = operand, !found.contains(reference) { found.append(reference) }
        }
        return found
    }

    /// The tags that stand alone where only a boolean can.
    package var booleanReferences: [TagReference] {
        var found: [TagReference] = []
        Interlock.visitTruths(root) { reference in if !found.contains(reference) { found.append(reference) } }
        return found
    }

    /// The same condition with `this` standing for a device.
    package func bound(to device: String) -> Interlock {
        Interlock(
            text: text,
            root: Interlock.map(root) { operand in
                guard case .tag(let reference) = operand, reference.device == TagReference.thisDevice else { return operand }
                return .tag(TagReference(device: device, tag: reference.tag))
            })
    }

    /// Whether the condition holds.
    ///
    /// Every tag that is named must be known, Good and fresh, also where another part of the condition would decide by itself: a condition
    /// that is half blind does not hold.
    ///
    /// - Parameters:
    ///   - values: what the tags are, in engineering units.
    ///   - time: now.
    ///   - ageMax: how old a value may be.
    package func verdict(_ values: [TagReference: DataValue], at time: Timestamp, ageMax: Duration) -> Verdict {
        let references = references
        var numbers: [TagReference: Double] = [:]
        for reference in references {
            guard let value = values[reference] else { return .forbids("\(reference) is not known") }
            guard value.status.isGood else {
                let reason = value.reason.map { " (\($0))" } ?? ""
                return .forbids("\(reference) is \(value.status)\(reason), but must be Good")
            }
            let age = time.since(value.time)
            guard age <= ageMax, age >= .zero - ageMax else {
                return .forbids("\(reference) is \(age) old, at most \(ageMax) is allowed")
            }
            guard let number = value.value?.number, !number.isNaN else { return .forbids("\(reference) is not a number") }
            numbers[reference] = number
        }
        if Interlock.holds(root, numbers) { return .permits }
        let present = references.map { reference in "\(reference) is \(values[reference]?.value?.description ?? "not known")" }
        return .forbids("'\(text)' does not hold: \(present.joined(separator: ", "))")
    }

    package enum Verdict: Sendable, Equatable {
        case permits
        /// With what is expected and what is.
        case forbids(String)
    }
}

extension Interlock {
    private static func holds(_ node: Node, _ numbers: [TagReference: Double]) -> Bool {
        func value(_ operand: Operand) -> Double {
            switch operand {
            case .number(let number): number
            case .bool(let bool): bool ? 1 : 0
            case .tag(let reference): numbers[reference] ?? .nan
            }
        }
        switch node {
        case .truth(let operand): return value(operand) == 1
        case .not(let node): return !holds(node, numbers)
        case .all(let nodes): return nodes.allSatisfy { holds($0, numbers) }
        case .any(let nodes): return nodes.contains { holds($0, numbers) }
        case .compare(let left, let comparison, let right):
            let (left, right) = (value(left), value(right))
            return switch comparison {
            case .less: left < right
            case .lessOrEqual: left <= right
            case .greater: left > right
            case .greaterOrEqual: left >= right
            case .equal: left == right
            case .different: left != right
            }
        }
    }

    private static func visit(_ node: Node, _ body: (Operand) -> Void) {
        switch node {
        case .truth(let operand): body(operand)
        case .not(let node): visit(node, body)
        case .all(let nodes), .any(let nodes): for node in nodes { visit(node, body) }
        case .compare(let left, _, let right):
            body(left)
            body(right)
        }
    }

    private static func visitTruths(_ node: Node, _ body: (TagReference) -> Void) {
        switch node {
        case .truth(.tag(let reference)): body(reference)
        case .truth, .compare: break
        case .not(let node): visitTruths(node, body)
        case .all(let nodes), .any(let nodes): for node in nodes { visitTruths(node, body) }
        }
    }

    private static func map(_ node: Node, _ change: (Operand) -> Operand) -> Node {
        switch node {
        case .truth(let operand): .truth(change(operand))
        case .not(let node): .not(map(node, change))
        case .all(let nodes): .all(nodes.map { map($0, change) })
        case .any(let nodes): .any(nodes.map { map($0, change) })
        case .compare(let left, let comparison, let right): .compare(change(left), comparison, change(right))
        }
    }
}

extension Interlock: CustomStringConvertible {
    package var description: String { text }
}

/// What is wrong with an expression, and where.
package struct InterlockError: Error, Hashable, CustomStringConvertible {
    /// Counts Unicode scalars from 1.
    package let column: Int
    package let message: String

    package var description: String { "\(message) (at character \(column))" }
}
