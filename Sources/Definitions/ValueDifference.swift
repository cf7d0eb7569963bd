/// Where two values of one type differ, worked out from their stored properties, so that a new property is never forgotten.
struct ValueDifference: Sendable, Equatable {
    /// The place within the value: `connection.modbusTCP.port`, `tags.level.scaling.scale`; empty for the value itself.
    var path: String
    /// `nil` for something that was added.
    var old: String?
    /// `nil` for something that was removed.
    var new: String?

    /// Deeper values are compared as a whole.
    private static let depthMax = 16

    /// All places, in the order of the properties; empty where the values look alike.
    static func between(_ old: Any, _ new: Any) -> [ValueDifference] {
        var found: [ValueDifference] = []
        compare(old, new, path: "", depth: 0, &found)
        return found
    }

    private static func compare(_ old: Any, _ new: Any, path: String, depth: Int, _ found: inout [ValueDifference]) {
        guard let old = unwrapped(old), let new = unwrapped(new) else {
            return note(path, text(old), text(new), &found)
        }
        let (left, right) = (Mirror(reflecting: old), Mirror(reflecting: new))
        guard depth < depthMax, left.displayStyle == right.displayStyle, !isLeaf(old, left) else {
            return note(path, text(old), text(new), &found)
        }
        switch left.displayStyle {
        case .collection: compareLists(left, right, path: path, depth: depth, &found)
        case .enum:
            guard let (caseName, oldPayload) = left.children.first, let other = right.children.first, other.label == caseName else {
                return note(path, text(old), text(new), &found)
            }
            compare(oldPayload, other.value, path: join(path, caseName), depth: depth + 1, &found)
        default:
            for (child, other) in zip(left.children, right.children) {
                compare(child.value, other.value, path: join(path, child.label), depth: depth + 1, &found)
            }
        }
    }

    /// Elements with names are compared by them, others as a whole.
    private static func compareLists(_ old: Mirror, _ new: Mirror, path: String, depth: Int, _ found: inout [ValueDifference]) {
        let olds = old.children.map(\.value)
        let news = new.children.map(\.value)
        let (oldNames, newNames) = (olds.map(name), news.map(name))
        let names = oldNames.compactMap(\.self)
        let others = newNames.compactMap(\.self)
        guard names.count == olds.count, others.count == news.count, Set(names).count == names.count, Set(others).count == others.count
        else { return note(path, text(olds), text(news), &found) }
        let newByName = Dictionary(zip(others, news), uniquingKeysWith: { first, _ in first })
        let known = Set(names)
        for (name, element) in zip(names, olds) {
            if let other = newByName[name] {
                compare(element, other, path: join(path, name), depth: depth + 1, &found)
            } else {
                found.append(ValueDifference(path: join(path, name), old: text(element), new: nil))
            }
        }
        for (name, element) in zip(others, news) where !known.contains(name) {
            found.append(ValueDifference(path: join(path, name), old: nil, new: text(element)))
        }
        let kept = Set(others)
        let before = names.filter(kept.contains)
        let after = others.filter(known.contains)
        if before != after { note(path, "order \(before.joined(separator: ", "))", "order \(after.joined(separator: ", "))", &found) }
    }

    private static func note(_ path: String, _ old: String, _ new: String, _ found: inout [ValueDifference]) {
        if old != new { found.append(ValueDifference(path: path, old: old, new: new)) }
    }

    private static func join(_ path: String, _ label: String?) -> String {
        guard let label else { return path }
        return path.isEmpty ? label : "\(path).\(label)"
    }

    /// The value within an optional; `nil` for none.
    private static func unwrapped(_ value: Any?) -> Any? {
        guard let value else { return nil }
        let mirror = Mirror(reflecting: value)
        guard mirror.displayStyle == .optional else { return value }
        return unwrapped(mirror.children.first?.value)
    }

    private static func name(_ value: Any) -> String? {
        Mirror(reflecting: value).children.first { $0.label == "name" }?.value as? String
    }

    private static func isLeaf(_ value: Any, _ mirror: Mirror) -> Bool {
        if value is Duration { return true }
        switch mirror.displayStyle {
        case .collection: return false
        case .enum: return mirror.children.isEmpty
        case .struct, .tuple: return value is any CustomStringConvertible || mirror.children.isEmpty
        default: return true
        }
    }

    /// A value for people: durations as documents write them, structures by their properties.
    private static func text(_ value: Any?) -> String {
        guard let value = unwrapped(value) else { return "none" }
        if let duration = value as? Duration { return QuantitySyntax.text(duration) }
        if let number = value as? Double { return numberText(number) }
        let mirror = Mirror(reflecting: value)
        switch mirror.displayStyle {
        case .collection: return "[\(mirror.children.map { text($0.value) }.joined(separator: ", "))]"
        case .struct where !(value is any CustomStringConvertible):
            let parts = mirror.children.compactMap { child in
                unwrapped(child.value).map { "\(child.label ?? "") \(text($0))" }
            }
            return "(\(parts.joined(separator: ", ")))"
        case .enum:
            guard let (label, payload) = mirror.children.first else { return "\(value)" }
            return "\(label ?? "") \(text(payload))"
        default: return "\(value)"
        }
    }
}
