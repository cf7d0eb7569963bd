/// What a text must look like: a test, and the same as a regular expression for the JSON Schema where one can say it.
struct TextFormat: Sendable {
    /// For messages: `a name of letters, digits, _ and -`.
    let description: String
    /// ECMA 262, as JSON Schema wants it; `nil` where only the loader can judge.
    let pattern: String?
    let lengthMax: Int
    let example: String
    let accepts: @Sendable (String) -> Bool

    init(_ description: String, pattern: String?, lengthMax: Int, example: String, accepts: @escaping @Sendable (String) -> Bool) {
        self.description = description
        self.pattern = pattern
        self.lengthMax = lengthMax
        self.example = example
        self.accepts = accepts
    }
}

extension TextFormat {
    /// Names of devices, groups, clusters: they become parts of topics, file names and labels.
    static let name = TextFormat(
        "a name of letters, digits, '_' and '-', beginning with a letter or digit, at most 64 characters",
        pattern: "^[A-Za-z0-9][A-Za-z0-9_-]*$", lengthMax: 64, example: "pump-1"
    ) { isName($0, extra: "_-") }

    /// Names of tags: as names, and `.` and `/` to build hierarchies.
    static let tagName = TextFormat(
        "a name of letters, digits, '_', '-', '.' and '/', beginning with a letter or digit, at most 128 characters",
        pattern: "^[A-Za-z0-9][A-Za-z0-9_./-]*$", lengthMax: 128, example: "bearingTemperature"
    ) { isName($0, extra: "_-./") }

    /// A device's name, a dot, and a tag's name.
    static let tagReference = TextFormat(
        "device.tag", pattern: "^[A-Za-z0-9][A-Za-z0-9_-]*\\.[A-Za-z0-9][A-Za-z0-9_./-]*$", lengthMax: 193,
        example: "pump-1.bearingTemperature"
    ) { text in
        guard let dot = text.firstIndex(of: ".") else { return false }
        return isName(text[..<dot], extra: "_-") && isName(text[text.index(after: dot)...], extra: "_-./")
    }

    /// Semantic Versioning 2.0.0, clauses 2, 9 and 10.
    static let semanticVersion = TextFormat(
        "a semantic version (major.minor.patch)",
        pattern: "^(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)(-[0-9A-Za-z.-]+)?(\\+[0-9A-Za-z.-]+)?$", lengthMax: 128,
        example: "1.2.0"
    ) { isSemanticVersion($0) }

    static let address = TextFormat(
        "table:number, the table one of holding, input, coil, discrete, the number a 0-based protocol address",
        pattern: "^(holding|input|coil|discrete):[0-9]+(\\.[0-9]+)?$", lengthMax: 32, example: "holding:40"
    ) { text in
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, ModbusAddress.Table(rawValue: String(parts[0])) != nil else { return false }
        let numbers = parts[1].split(separator: ".", omittingEmptySubsequences: false)
        return numbers.count <= 2 && numbers.allSatisfy { !$0.isEmpty && $0.utf8.allSatisfy(isASCIIDigit) }
    }

    static let brokerURL = TextFormat(
        "mqtts://host:port or mqtt://host:port", pattern: "^mqtts?://[^/?#@\\s]+$", lengthMax: 300, example: "mqtts://broker:8883"
    ) { text in
        guard let rest = text.hasPrefix("mqtts://") ? text.dropFirst(8) : text.hasPrefix("mqtt://") ? text.dropFirst(7) : nil else {
            return false
        }
        return !rest.isEmpty && !rest.unicodeScalars.contains { "/?#@".unicodeScalars.contains($0) || $0.properties.isWhitespace }
    }

    /// Sparkplug 3.0, 4.1: group and edge node identifiers become levels of a topic.
    static let topicLevel = TextFormat(
        "a text without '/', '+' and '#', at most 128 characters", pattern: "^[^/+#\\u0000-\\u001f]+$", lengthMax: 128, example: "plant-a"
    ) { !$0.isEmpty && !$0.unicodeScalars.contains { "/+#".unicodeScalars.contains($0) || $0.value < 32 } }

    static let topicTemplate = TextFormat(
        "a topic without '+' and '#'", pattern: "^[^+#\\u0000-\\u001f]+$", lengthMax: 512, example: "indusedge/{site}/{device}/{group}"
    ) { !$0.isEmpty && !$0.unicodeScalars.contains { "+#".unicodeScalars.contains($0) || $0.value < 32 } }

    static let hostName = TextFormat(
        "a host name or an IP address", pattern: "^[A-Za-z0-9.:_%-]+$", lengthMax: 253, example: "192.168.1.20"
    ) { !$0.isEmpty && $0.utf8.allSatisfy { isASCIILetter($0) || isASCIIDigit($0) || ".:_%-".utf8.contains($0) } }

    static let clientID = TextFormat(
        "an MQTT client identifier of letters, digits, '_', '-' and '.', at most 128 characters", pattern: "^[A-Za-z0-9][A-Za-z0-9_.-]*$",
        lengthMax: 128, example: "gateway-7"
    ) { isName($0, extra: "_-.") }

    static func filePath(_ example: String) -> TextFormat {
        TextFormat("a file path", pattern: "^[^\\u0000]+$", lengthMax: 4096, example: example) { !$0.isEmpty && !$0.utf8.contains(0) }
    }

    /// The raw value that a label names, or the number of a bit.
    static let integerKey = TextFormat("an integer", pattern: "^(-?[0-9]+|0x[0-9A-Fa-f]+)$", lengthMax: 20, example: "1") {
        parseInteger($0) != nil
    }

    static let label = TextFormat("a text of at most 64 characters", pattern: nil, lengthMax: 64, example: "running") { !$0.isEmpty }

    static let prose = TextFormat("a text", pattern: nil, lengthMax: 2000, example: "Feed pump of line 1") { _ in true }

    /// Judged by `Interlock`, not here: a wrong condition deserves a message with its place.
    static let interlock = TextFormat("a condition", pattern: nil, lengthMax: 1000, example: "pump-1.speed < 50") { _ in true }

    /// Judged by `UCUM`, not here: a wrong unit deserves a better message.
    static let unit = TextFormat("a UCUM unit", pattern: nil, lengthMax: 64, example: "Cel") { _ in true }

    private static func isName(_ text: some StringProtocol, extra: String) -> Bool {
        guard let first = text.utf8.first, isASCIILetter(first) || isASCIIDigit(first) else { return false }
        return text.utf8.allSatisfy { isASCIILetter($0) || isASCIIDigit($0) || extra.utf8.contains($0) }
    }

    private static func isSemanticVersion(_ text: String) -> Bool {
        let build = text.split(separator: "+", maxSplits: 1, omittingEmptySubsequences: false)
        let release = build[0].split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        let numbers = release[0].split(separator: ".", omittingEmptySubsequences: false)
        let isNumbered =
            numbers.count == 3
            && numbers.allSatisfy { number in
                !number.isEmpty && number.utf8.allSatisfy(isASCIIDigit) && (number.count == 1 || !number.hasPrefix("0"))
            }
        let labels = release.dropFirst() + build.dropFirst()
        return isNumbered
            && labels.allSatisfy { label in
                !label.isEmpty && label.utf8.allSatisfy { isASCIILetter($0) || isASCIIDigit($0) || ".-".utf8.contains($0) }
            }
    }
}
