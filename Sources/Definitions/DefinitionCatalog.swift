/// The protocol definitions of one load, by name.
struct DefinitionCatalog {
    /// In the order they were met.
    private(set) var definitions: [ProtocolDefinition] = []
    private var indexes: [String: Int] = [:]
    /// Every name that was met, including those of definitions that are not valid, so that their devices are not called wrong as well.
    private(set) var names: [String: (file: String, line: Int)] = [:]

    subscript(name: String) -> ProtocolDefinition? { indexes[name].map { definitions[$0] } }

    /// Takes note of a name; where it was met first, if it was.
    mutating func note(_ name: String, file: String, line: Int) -> (file: String, line: Int)? {
        if let first = names[name] { return first }
        names[name] = (file, line)
        return nil
    }

    mutating func add(_ definition: ProtocolDefinition) {
        indexes[definition.name] = definitions.count
        definitions.append(definition)
    }
}
