internal import Definitions

/// Takes known keys out of a table; what nobody asked for is reported at the end, so that no setting is lost without a word.
struct KeyReader {
    let position: SourcePosition
    private let subject: String
    private let entries: [String: ForeignValue.Entry]
    private let order: [ForeignValue.Entry]
    private var taken: Set<String> = []
    private(set) var notes: [ImportNote] = []

    /// `nil` when the value is no table.
    init?(_ value: ForeignValue, subject: String) {
        guard let entries = value.entries else { return nil }
        position = value.position
        self.subject = subject
        order = entries
        self.entries = Dictionary(entries.map { ($0.key, $0) }, uniquingKeysWith: { first, _ in first })
    }

    /// The value of a key whatever it is; it counts as read.
    mutating func value(_ key: String) -> ForeignValue? {
        guard let entry = entries[key] else { return nil }
        taken.insert(key)
        return entry.value
    }

    mutating func text(_ key: String) -> String? {
        guard let value = value(key) else { return nil }
        if case .string(let text) = value.content { return text }
        return wrong(key, value, "a text")
    }

    mutating func integer(_ key: String) -> Int? {
        guard let value = value(key) else { return nil }
        switch value.content {
        case .integer(let number): return Int(exactly: number)
        case .number(let number) where number == number.rounded() && abs(number) < 1e9: return Int(number)
        case .string(let text) where Int(text) != nil: return Int(text)
        default: return wrong(key, value, "a whole number")
        }
    }

    mutating func number(_ key: String) -> Double? {
        guard let value = value(key) else { return nil }
        switch value.content {
        case .integer(let number): return Double(number)
        case .number(let number): return number
        default: return wrong(key, value, "a number")
        }
    }

    mutating func boolean(_ key: String) -> Bool? {
        guard let value = value(key) else { return nil }
        if case .boolean(let flag) = value.content { return flag }
        return wrong(key, value, "true or false")
    }

    mutating func list(_ key: String) -> [ForeignValue]? {
        guard let value = value(key) else { return nil }
        if case .list(let list) = value.content { return list }
        return wrong(key, value, "a list")
    }

    /// Keys that mean nothing where requests are planned by the gateway, or say nothing about devices.
    mutating func ignore(_ keys: [String]) { taken.formUnion(keys) }

    mutating func lost(_ key: String, _ reason: String) {
        guard let entry = entries[key] else { return }
        taken.insert(key)
        notes.append(ImportNote(.lost, at: entry.position, "\(subject): \(key)", reason))
    }

    /// The notes so far and one for every key that was not taken.
    consuming func finished() -> [ImportNote] {
        var notes = notes
        for entry in order where !taken.contains(entry.key) {
            notes.append(ImportNote(.lost, at: entry.position, "\(subject): \(entry.key.prefix(60))", "this key has no counterpart"))
        }
        return notes
    }

    private mutating func wrong<Value>(_ key: String, _ value: ForeignValue, _ wanted: String) -> Value? {
        notes.append(ImportNote(.lost, at: value.position, "\(subject): \(key)", "expected \(wanted), got \(value.kindDescription)"))
        return nil
    }
}

/// Several definitions and their devices, as one file describes them.
struct DraftCollection {
    private(set) var definitions: [DraftDefinition] = []
    private(set) var devices: [DraftDevice] = []
    var notes: [ImportNote] = []
    private var names = UniqueNames()

    static let devicesMax = 1000

    /// A name for a device and its definition.
    mutating func name(for text: String) -> String { names.device(text) }

    mutating func add(_ builder: consuming DraftBuilder, connection: Connection, responseTimeout: Duration?, at position: SourcePosition) {
        notes += builder.notes
        let definition = builder.finished()
        guard !definition.tags.isEmpty else {
            notes.append(ImportNote(.lost, at: position, definition.name, "the device has no tag that could be carried over"))
            return
        }
        guard devices.count < DraftCollection.devicesMax else {
            notes.append(ImportNote(.lost, at: position, definition.name, "a site has at most \(DraftCollection.devicesMax) devices"))
            return
        }
        definitions.append(definition)
        devices.append(
            DraftDevice(name: definition.name, definition: definition.name, connection: connection, responseTimeout: responseTimeout))
    }

    func result(_ format: ImportFormat) -> ImportResult {
        ImportResult(format: format, definitions: definitions, devices: devices, notes: notes.sorted { $0.position < $1.position })
    }
}

extension Duration {
    /// Within what a site document allows for timeouts.
    var asResponseTimeout: Duration { min(max(self, .milliseconds(10)), .seconds(60)) }
}
