/// Which definition a device is an instance of.
package struct TemplateName: Sendable, Hashable {
    package var name: String
    /// For people, for example `1.2.0`; `nil` for none.
    package var version: String?

    package init(name: String, version: String? = nil) {
        self.name = name
        self.version = version
    }
}

/// The template definitions that births tell of.
///
/// An instance has all members of its definition and no others, so devices whose tags differ, by overrides or because of their firmware,
/// need definitions of their own: the first shape of a name has just that name, further ones a number after it.
struct TemplateShapes: Sendable {
    private struct Shape: Hashable {
        struct Member: Hashable {
            var name: String
            var datatype: SparkplugDataType
            var unit: String
        }

        var template: TemplateName
        var members: [Member]

        init(_ template: TemplateName, _ members: [MetricDefinition]) {
            self.template = template
            self.members = members.map { Member(name: $0.name, datatype: $0.datatype, unit: $0.unit) }
        }
    }

    /// By order of their first births; names never change as long as the process lives.
    private var shapes: [Shape] = []
    private var names: [Shape: String] = [:]
    /// Those that the last NBIRTH told of.
    private var told: Set<Shape> = []

    /// Definitions lie in this folder, which their names in instances leave out, as hosts expect it.
    static let folder = "_types_/"

    mutating func beginBirths() { told = [] }

    /// The name of the definition with these members, for an instance; `nil` without template or members.
    mutating func reference(of members: [MetricDefinition], _ template: TemplateName?) -> String? {
        guard let template, !members.isEmpty else { return nil }
        let shape = Shape(template, members)
        told.insert(shape)
        if let name = names[shape] { return name }
        let others = shapes.count { $0.template.name == template.name }
        let name = others == 0 ? template.name : "\(template.name) \(others + 1)"
        shapes.append(shape)
        names[shape] = name
        return name
    }

    /// Whether the last NBIRTH had the definition, or none is needed.
    func isTold(_ members: [MetricDefinition], _ template: TemplateName?) -> Bool {
        guard let template, !members.isEmpty else { return true }
        return told.contains(Shape(template, members))
    }

    /// What the NBIRTH tells: members without values, because a definition is of no device.
    func definitions(at milliseconds: UInt64) -> [SparkplugMetric] {
        shapes.filter(told.contains).map { shape in
            let members = shape.members.map { member in
                SparkplugMetric(
                    name: member.name, timestamp: milliseconds, datatype: member.datatype.rawValue, isNull: true,
                    properties: member.unit.isEmpty ? [] : [.unit(member.unit)])
            }
            let definition = SparkplugTemplate(version: shape.template.version, metrics: members, isDefinition: true)
            return SparkplugMetric(
                name: TemplateShapes.folder + (names[shape] ?? shape.template.name), timestamp: milliseconds,
                datatype: SparkplugDataType.template.rawValue, value: .template(definition))
        }
    }
}
