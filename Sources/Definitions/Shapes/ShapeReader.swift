/// Reads a YAML tree by a shape, reporting everything that does not fit.
struct ShapeReader {
    let file: String
    let expansion: EnvironmentExpansion
    private(set) var diagnostics: [Diagnostic] = []

    init(file: String, environment: [String: String]) {
        self.file = file
        expansion = EnvironmentExpansion(environment: environment)
    }

    /// The object, with an empty slot for each field that is absent without default or wrong; `nil` if the node is no mapping.
    mutating func read(_ node: YAMLNode, as shape: ObjectShape, path: DocumentPath) -> ObjectValue? {
        guard case .mapping(let pairs) = node.content else {
            report(node.position, path, "expected \(ValueType.object(shape).summary), got \(node.kindDescription)")
            return nil
        }
        var slots = [Located?](repeating: nil, count: shape.fields.count)
        var isGiven = [Bool](repeating: false, count: shape.fields.count)
        var isMisspelt: Set<String> = []
        for pair in pairs {
            guard let index = shape.index(of: pair.key) else {
                // The misspelling of a key is not also its absence.
                if let meant = reportUnknown(pair, of: shape, path: path) { isMisspelt.insert(meant) }
                continue
            }
            isGiven[index] = true
            slots[index] = read(pair.value, as: shape.fields[index].type, path: path.key(pair.key))
        }
        if shape.isChoice {
            // A misspelt choice is reported as such, not as missing too.
            if isGiven.contains(true) || pairs.isEmpty { checkChoice(isGiven, of: shape, at: node.position, path: path) }
        } else {
            for (index, field) in shape.fields.enumerated() where !isGiven[index] {
                if let value = field.defaultValue {
                    slots[index] = Located(value: value, position: node.position, path: path.key(field.name))
                } else if field.isRequired, !isMisspelt.contains(field.name) {
                    report(
                        node.position, path, "\(shape.name) has no '\(field.name)'", allowed: field.type.summary,
                        suggestion: "add '\(field.name)': \(field.doc)")
                }
            }
        }
        return ObjectValue(shape: shape, slots: slots, isGiven: isGiven, position: node.position, path: path)
    }

    /// The value; `nil` if it does not fit, which is then reported.
    private mutating func read(_ node: YAMLNode, as type: ValueType, path: DocumentPath) -> Located? {
        let value: Value?
        switch type {
        case .object(let shape): value = read(node, as: shape, path: path).map { .object($0) }
        case .list(let element, let count): value = readList(node, of: element, count: count, path: path)
        case .oneOrMore(let element, let count):
            if case .sequence = node.content {
                value = readList(node, of: element, count: count, path: path)
            } else {
                value = read(node, as: element, path: path).map { .list([$0]) }
            }
        case .map(let key, let element, let count): value = readMap(node, key: key, of: element, count: count, path: path)
        case .text, .bool, .integer, .number, .duration, .size, .word, .literal: value = readScalar(node, as: type, path: path)
        }
        return value.map { Located(value: $0, position: node.position, path: path) }
    }

    private mutating func readScalar(_ node: YAMLNode, as type: ValueType, path: DocumentPath) -> Value? {
        guard case .scalar(let source, _) = node.content else {
            report(node.position, path, "expected \(type.summary), got \(node.kindDescription)")
            return nil
        }
        if node.isNull {
            report(node.position, path, "expected \(type.summary), got nothing", suggestion: "give a value or remove the key")
            return nil
        }
        var text = source
        if source.utf8.contains(UInt8(ascii: "$")) {
            switch expansion.expand(source) {
            case .text(let expanded): text = expanded
            case .failure(let message, let suggestion):
                report(node.position, path, message, value: source, suggestion: suggestion)
                return nil
            }
        }
        if case .text = type, text == source, node.isOtherThanText {
            report(
                node.position, path, "expected text, got \(node.kindDescription)", value: source,
                suggestion: "put it in quotes: \"\(source)\"")
            return nil
        }
        switch type.value(of: text) {
        case .success(let value): return value
        case .failure(let problem):
            report(node.position, path, problem.message, value: text, allowed: problem.allowed, suggestion: problem.suggestion)
            return nil
        }
    }

    private mutating func readList(_ node: YAMLNode, of element: ValueType, count: ClosedRange<Int>, path: DocumentPath) -> Value? {
        guard case .sequence(let nodes) = node.content else {
            report(node.position, path, "expected a list, got \(node.kindDescription)", suggestion: "begin each element with '- '")
            return nil
        }
        guard checkCount(nodes.count, count, "elements", node, path) else { return nil }
        var elements: [Located] = []
        elements.reserveCapacity(nodes.count)
        for (index, node) in nodes.enumerated() {
            if let located = read(node, as: element, path: path.element(index)) { elements.append(located) }
        }
        return .list(elements)
    }

    private mutating func readMap(
        _ node: YAMLNode, key: TextFormat, of element: ValueType, count: ClosedRange<Int>, path: DocumentPath
    ) -> Value? {
        guard case .mapping(let pairs) = node.content else {
            report(node.position, path, "expected a mapping, got \(node.kindDescription)")
            return nil
        }
        guard checkCount(pairs.count, count, "entries", node, path) else { return nil }
        var entries: [MapEntry] = []
        for pair in pairs {
            if case .failure(let problem) = ValueType.text(key).value(of: pair.key) {
                report(pair.keyPosition, path.key(pair.key), problem.message, value: pair.key, allowed: problem.allowed)
                continue
            }
            if let value = read(pair.value, as: element, path: path.key(pair.key)) {
                entries.append(MapEntry(key: pair.key, keyPosition: pair.keyPosition, value: value))
            }
        }
        return .map(entries)
    }

    private mutating func checkCount(
        _ actual: Int, _ allowed: ClosedRange<Int>, _ what: String, _ node: YAMLNode, _ path: DocumentPath
    ) -> Bool {
        if allowed.contains(actual) { return true }
        let message = actual == 0 ? "is empty, but needs at least \(allowed.lowerBound)" : "has \(actual) \(what)"
        report(
            node.position, path, "'\(path)' \(message)", value: String(actual), allowed: "\(ValueType.text(allowed)) \(what)")
        return false
    }

    private mutating func checkChoice(_ isGiven: [Bool], of shape: ObjectShape, at position: SourcePosition, path: DocumentPath) {
        let given = zip(shape.fields, isGiven).filter(\.1).map(\.0.name)
        guard given.count != 1 else { return }
        let names = shape.fields.map(\.name).joined(separator: ", ")
        report(
            position, path,
            given.isEmpty
                ? "\(shape.name) has none of \(names)" : "\(shape.name) has \(given.joined(separator: " and ")), but only one may be given",
            allowed: "exactly one of \(names)")
    }

    /// Reports a key the object does not have; the one that is probably meant.
    private mutating func reportUnknown(_ pair: YAMLNode.Pair, of shape: ObjectShape, path: DocumentPath) -> String? {
        let names = shape.fields.map(\.name)
        let meant = nearestName(to: pair.key, among: names)
        let mergeAdvice = pair.key == "<<" ? "merge keys are not supported; write the keys out" : nil
        report(
            pair.keyPosition, path.key(pair.key), "unknown key '\(pair.key)' in \(shape.name)", value: pair.key,
            allowed: names.joined(separator: ", "), suggestion: mergeAdvice ?? meant.map { "did you mean '\($0)'?" })
        return meant
    }

    private mutating func report(
        _ position: SourcePosition, _ path: DocumentPath, _ message: String, value: String? = nil, allowed: String? = nil,
        suggestion: String? = nil
    ) {
        guard diagnostics.count < DiagnosticList.countMax else { return }
        diagnostics.append(
            Diagnostic(
                .error, file: file, at: position, path: path.description, message, value: value, allowed: allowed, suggestion: suggestion))
    }
}
