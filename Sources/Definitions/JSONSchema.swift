/// The JSON Schemas (draft 7) that editors complete and check documents with, made from the same tables the loader reads by.
package enum JSONSchema {
    /// The schema of `kind: Site` documents.
    package static var site: String { text(of: SiteShape.document) }

    /// The schema of `kind: ProtocolDefinition` documents.
    package static var protocolDefinition: String { text(of: ProtocolDefinitionShape.document) }

    private static func text(of shape: ObjectShape) -> String {
        var members: [(String, JSONText)] = [
            ("$schema", .string("http://json-schema.org/draft-07/schema#")), ("title", .string(shape.name)),
        ]
        members += object(shape)
        // Any value may come from the environment, which an editor cannot know.
        members.append(
            (
                "definitions",
                .object([
                    ("variable", .object([("type", .string("string")), ("pattern", .string("\\$\\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\\}"))]))
                ])
            ))
        return JSONText.object(members).rendered() + "\n"
    }

    private static func object(_ shape: ObjectShape) -> [(String, JSONText)] {
        var members: [(String, JSONText)] = [("description", .string(shape.doc)), ("type", .string("object"))]
        members.append(("properties", .object(shape.fields.map { ($0.name, property($0)) })))
        let required = shape.fields.filter(\.isRequired).map { JSONText.string($0.name) }
        if !required.isEmpty { members.append(("required", .array(required))) }
        if shape.isChoice { members += [("minProperties", .number(1)), ("maxProperties", .number(1))] }
        members.append(("additionalProperties", .bool(false)))
        return members
    }

    private static func property(_ field: Field) -> JSONText {
        var members = schema(field.type)
        members.removeAll { $0.0 == "description" }
        members.insert(("description", .string(field.doc)), at: 0)
        if let text = field.defaultText { members.append(("default", defaultValue(text, field.type))) }
        return .object(members)
    }

    private static func defaultValue(_ text: String, _ type: ValueType) -> JSONText {
        switch type {
        case .bool: .bool(text == "true")
        case .integer, .number: parseNumber(text).map { .number($0) } ?? .string(text)
        default: .string(text)
        }
    }

    private static func schema(_ type: ValueType) -> [(String, JSONText)] {
        switch type {
        case .text(let format):
            var members: [(String, JSONText)] = [("type", .string("string"))]
            if let pattern = format.pattern { members.append(("pattern", .string(pattern))) }
            members.append(("maxLength", .number(Double(format.lengthMax))))
            let isLimited = format.pattern != nil
            return (isLimited ? orVariable(members) : members) + [("examples", .array([.string(format.example)]))]
        case .bool: return orVariable([("type", .string("boolean"))])
        case .integer(let range):
            return orVariable([
                ("type", .string("integer")), ("minimum", .number(Double(range.lowerBound))),
                ("maximum", .number(Double(range.upperBound))),
            ])
        case .number: return orVariable([("type", .string("number"))])
        case .duration: return orVariable([("type", .string("string")), ("pattern", .string(QuantitySyntax.durationPattern))])
        case .size: return orVariable([("type", .string("string")), ("pattern", .string(QuantitySyntax.sizePattern))])
        case .word(let words, _):
            // `1.3` without quotes is a number to YAML, and meant all the same.
            let values = words.map { JSONText.string($0) } + words.compactMap { parseNumber($0).map { .number($0) } }
            return orVariable([("enum", .array(values))])
        case .literal: return orVariable([("type", .string("number"))])
        case .oneOrMore(let element, let count):
            return [
                (
                    "anyOf",
                    .array([
                        .object(schema(element)),
                        .object([
                            ("type", .string("array")), ("items", .object(schema(element))),
                            ("minItems", .number(Double(count.lowerBound))),
                            ("maxItems", .number(Double(count.upperBound))),
                        ]),
                    ])
                )
            ]
        case .object(let shape): return object(shape)
        case .list(let element, let count):
            return [
                ("type", .string("array")), ("items", .object(schema(element))), ("minItems", .number(Double(count.lowerBound))),
                ("maxItems", .number(Double(count.upperBound))),
            ]
        case .map(let key, let element, let count):
            var names: [(String, JSONText)] = [("maxLength", .number(Double(key.lengthMax)))]
            if let pattern = key.pattern { names.append(("pattern", .string(pattern))) }
            return [
                ("type", .string("object")), ("propertyNames", .object(names)), ("additionalProperties", .object(schema(element))),
                ("minProperties", .number(Double(count.lowerBound))), ("maxProperties", .number(Double(count.upperBound))),
            ]
        }
    }

    private static func orVariable(_ members: [(String, JSONText)]) -> [(String, JSONText)] {
        [("anyOf", .array([.object(members), .object([("$ref", .string("#/definitions/variable"))])]))]
    }
}

/// JSON with the members of objects in the order given, so that generated files do not change by themselves.
indirect enum JSONText {
    case string(String)
    case number(Double)
    case bool(Bool)
    case array([JSONText])
    case object([(String, JSONText)])

    func rendered(indent: String = "") -> String {
        let deeper = indent + "  "
        switch self {
        case .string(let text): return JSONText.quoted(text)
        case .number(let number): return numberText(number)
        case .bool(let flag): return flag ? "true" : "false"
        case .array(let elements):
            if elements.isEmpty { return "[]" }
            return "[\n" + elements.map { deeper + $0.rendered(indent: deeper) }.joined(separator: ",\n") + "\n\(indent)]"
        case .object(let members):
            if members.isEmpty { return "{}" }
            let lines = members.map { "\(deeper)\(JSONText.quoted($0.0)): \($0.1.rendered(indent: deeper))" }
            return "{\n" + lines.joined(separator: ",\n") + "\n\(indent)}"
        }
    }

    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\t": result += "\\t"
            default:
                if scalar.value < 32 {
                    let hexadecimal = String(scalar.value, radix: 16)
                    result += "\\u" + String(repeating: "0", count: 4 - hexadecimal.count) + hexadecimal
                } else {
                    result.unicodeScalars.append(scalar)
                }
            }
        }
        return result + "\""
    }
}
