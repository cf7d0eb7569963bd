/// An object as read by its shape. A field that was absent has its default; one that was present but wrong has nothing, and its error is
/// already reported.
struct ObjectValue: Sendable, Equatable {
    private let shape: ObjectShape
    private let slots: [Located?]
    /// Which fields the document has, rightly or wrongly filled.
    private let isGiven: [Bool]
    let position: SourcePosition
    let path: DocumentPath

    init(shape: ObjectShape, slots: [Located?], isGiven: [Bool], position: SourcePosition, path: DocumentPath) {
        self.shape = shape
        self.slots = slots
        self.isGiven = isGiven
        self.position = position
        self.path = path
    }

    static func == (left: ObjectValue, right: ObjectValue) -> Bool {
        left.shape.name == right.shape.name && left.slots == right.slots && left.position == right.position && left.path == right.path
    }

    /// The value of a field with its place.
    ///
    /// Precondition: the shape has the field.
    func located(_ name: String) -> Located? {
        guard let index = shape.index(of: name) else { preconditionFailure("'\(shape.name)' has no field '\(name)'") }
        return slots[index]
    }

    /// Whether the document does not have the field, so that its default stands.
    func isAbsent(_ name: String) -> Bool {
        guard let index = shape.index(of: name) else { preconditionFailure("'\(shape.name)' has no field '\(name)'") }
        return !isGiven[index]
    }

    /// Where a field stands; the object's own place if it is absent.
    func position(of name: String) -> SourcePosition { located(name)?.position ?? position }

    func text(_ name: String) -> String? {
        guard case .text(let value) = located(name)?.value else { return nil }
        return value
    }

    func bool(_ name: String) -> Bool? {
        guard case .bool(let value) = located(name)?.value else { return nil }
        return value
    }

    func integer(_ name: String) -> Int? {
        guard case .integer(let value) = located(name)?.value else { return nil }
        return value
    }

    func number(_ name: String) -> Double? {
        guard case .number(let value) = located(name)?.value else { return nil }
        return value
    }

    func duration(_ name: String) -> Duration? {
        guard case .duration(let value) = located(name)?.value else { return nil }
        return value
    }

    func size(_ name: String) -> Int64? {
        guard case .size(let value) = located(name)?.value else { return nil }
        return value
    }

    func object(_ name: String) -> ObjectValue? {
        guard case .object(let value) = located(name)?.value else { return nil }
        return value
    }

    /// The elements of a list; none if it is absent or wrong.
    func list(_ name: String) -> [Located] {
        guard case .list(let value) = located(name)?.value else { return [] }
        return value
    }

    func objects(_ name: String) -> [ObjectValue] {
        list(name).compactMap {
            guard case .object(let value) = $0.value else { return nil }
            return value
        }
    }

    /// The entries of a map, in the order of the file; none if it is absent or wrong.
    func map(_ name: String) -> [MapEntry] {
        guard case .map(let value) = located(name)?.value else { return [] }
        return value
    }
}

extension ObjectShape {
    /// The object that stands for one that is absent: every field has its default.
    func defaults(at position: SourcePosition, path: DocumentPath) -> ObjectValue {
        let slots = fields.map { field in field.defaultValue.map { Located(value: $0, position: position, path: path.key(field.name)) } }
        return ObjectValue(
            shape: self, slots: slots, isGiven: [Bool](repeating: false, count: fields.count), position: position, path: path)
    }
}
