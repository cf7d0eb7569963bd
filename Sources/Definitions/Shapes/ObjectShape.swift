/// What one object of a document may hold: the single description that the reader, the messages, the defaults and the JSON Schema follow.
struct ObjectShape: Sendable {
    /// How messages call the object: `tag`, `device`.
    let name: String
    let doc: String
    let fields: [Field]
    /// Whether exactly one of the fields must be given, instead of every required one.
    let isChoice: Bool

    init(_ name: String, _ doc: String, isChoice: Bool = false, _ fields: [Field]) {
        self.name = name
        self.doc = doc
        self.isChoice = isChoice
        self.fields = fields
    }

    func index(of name: String) -> Int? { fields.firstIndex { $0.name == name } }
}

/// One key of an object.
struct Field: Sendable {
    let name: String
    let type: ValueType
    let isRequired: Bool
    /// What stands for an absent key, in the notation of the document.
    let defaultText: String?
    let doc: String
    /// `defaultText` read as `type`.
    let defaultValue: Value?

    init(_ name: String, _ type: ValueType, _ doc: String) {
        self.init(name, type, isRequired: false, defaultText: nil, doc)
    }

    init(required name: String, _ type: ValueType, _ doc: String) {
        self.init(name, type, isRequired: true, defaultText: nil, doc)
    }

    init(_ name: String, _ type: ValueType, default text: String, _ doc: String) {
        self.init(name, type, isRequired: false, defaultText: text, doc)
    }

    private init(_ name: String, _ type: ValueType, isRequired: Bool, defaultText: String?, _ doc: String) {
        self.name = name
        self.type = type
        self.isRequired = isRequired
        self.defaultText = defaultText
        self.doc = doc
        if let defaultText {
            guard case .success(let value) = type.value(of: defaultText) else {
                preconditionFailure("the default '\(defaultText)' of '\(name)' is not valid")
            }
            defaultValue = value
        } else {
            defaultValue = nil
        }
    }
}

/// The type of a value, with its limits.
indirect enum ValueType: Sendable {
    case text(TextFormat)
    case bool
    case integer(ClosedRange<Int>)
    case number
    case duration(ClosedRange<Duration>)
    case size(ClosedRange<Int64>)
    /// One of some words; words that somebody may rightly expect are refused with a reason.
    case word([String], refused: [String: Refusal] = [:])
    /// A number whose notation matters, as it is written: hexadecimal digits are bits.
    case literal
    case object(ObjectShape)
    /// One element, or a list of them; always read as a list.
    case oneOrMore(ValueType, count: ClosedRange<Int>)
    case list(ValueType, count: ClosedRange<Int>)
    /// Keys chosen by the author, all with values of one type.
    case map(key: TextFormat, ValueType, count: ClosedRange<Int>)
}

/// Why a word that makes sense is not allowed.
struct Refusal: Sendable {
    let reason: String
    let suggestion: String
}

/// A value that was read, in the form its `ValueType` promises.
enum Value: Sendable, Equatable {
    case text(String)
    case bool(Bool)
    case integer(Int)
    case number(Double)
    case duration(Duration)
    case size(Int64)
    case list([Located])
    case object(ObjectValue)
    case map([MapEntry])
}

/// A value and where it stands.
struct Located: Sendable, Equatable {
    var value: Value
    var position: SourcePosition
    var path: DocumentPath
}

struct MapEntry: Sendable, Equatable {
    var key: String
    var keyPosition: SourcePosition
    var value: Located
}
