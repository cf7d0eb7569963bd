internal import Yams

/// Reads the YAML documents of one file into `YAMLNode` trees, within named limits.
///
/// What the parser below refuses altogether (bad syntax) ends the file with one error; repeated keys are reported one by one, and the
/// documents that hold them are still checked.
struct YAMLReader {
    /// The largest file, in bytes.
    static let fileBytesMax = 8 * 1024 * 1024
    /// The most nodes of one file after its aliases are written out.
    static let nodesMax = 500_000
    /// The deepest nesting of lists and mappings.
    static let depthMax = 32
    /// The most documents of one file.
    static let documentsMax = 256
    /// The most repeated keys that are reported in one file; each costs one parse.
    static let repeatedKeysMax = 20

    let file: String
    private(set) var diagnostics: [Diagnostic] = []
    private var nodes = 0
    private var documents: [YAMLNode] = []
    /// Problems of the documents themselves, kept apart because a file with repeated keys is read several times.
    private var problems: [Diagnostic] = []
    /// Keys renamed in the text so that the parser accepts their repetition: what the renamed key was.
    private var renamed: [String: String] = [:]

    init(file: String) { self.file = file }

    /// The documents of a file, without empty ones; those before a syntax error if there is one.
    mutating func read(_ bytes: [UInt8]) -> [YAMLNode] {
        let check = SourceText(bytes)
        if let problem = check.problem {
            report(problem.position, problem.message, suggestion: problem.suggestion)
            return []
        }
        var text = check.text
        while true {
            nodes = 0
            documents = []
            problems = []
            do {
                try readDocuments(of: text)
                diagnostics += problems
                return documents
            } catch let problem as LimitReached {
                report(problem.position, problem.message)
                return []
            } catch YamlError.duplicatedKeysInMapping(let keys, let context) {
                let position = SourcePosition(line: max(1, context.mark.line), column: max(1, context.mark.column))
                guard let patched = renameKey(at: position, of: keys, in: text) else {
                    report(
                        position, "key '\(keys.first ?? "")' is given more than once in the same mapping", suggestion: "keep one of them")
                    return []
                }
                text = patched
            } catch {
                reportSyntax(error, in: text)
                diagnostics += problems
                return documents
            }
        }
    }

    private struct LimitReached: Error {
        var position: SourcePosition
        var message: String
    }

    private mutating func readDocuments(of text: String) throws {
        let parser = try Parser(yaml: text, resolver: .basic, constructor: Constructor([:], [:], [:]), encoding: .utf8)
        while let root = try parser.nextRoot() {
            let document = try convert(root, depth: 0)
            if document.isNull { continue }
            guard documents.count < YAMLReader.documentsMax else {
                throw LimitReached(position: document.position, message: "more than \(YAMLReader.documentsMax) documents in one file")
            }
            documents.append(document)
        }
    }

    private mutating func convert(_ node: Node, depth: Int) throws -> YAMLNode {
        let position = node.mark.map { SourcePosition(line: max(1, $0.line), column: max(1, $0.column)) } ?? .start
        nodes += 1
        if nodes > YAMLReader.nodesMax {
            throw LimitReached(position: position, message: "more than \(YAMLReader.nodesMax) values in one file, aliases written out")
        }
        if depth > YAMLReader.depthMax {
            throw LimitReached(position: position, message: "lists and mappings are nested more than \(YAMLReader.depthMax) deep")
        }
        let tag = node.tag.rawValue
        if !YAMLReader.plainTags.contains(tag) {
            problems.append(
                Diagnostic(.error, file: file, at: position, path: "", "YAML tag '\(tag)' has no meaning here", suggestion: "leave it out"))
        }
        switch node {
        case .scalar(let scalar):
            let isPlain = scalar.style == .plain || scalar.style == .any
            return YAMLNode(content: .scalar(scalar.string, isPlain: isPlain), position: position)
        case .sequence(let sequence):
            var elements: [YAMLNode] = []
            elements.reserveCapacity(sequence.count)
            for element in sequence { elements.append(try convert(element, depth: depth + 1)) }
            return YAMLNode(content: .sequence(elements), position: position)
        case .mapping(let mapping):
            return YAMLNode(content: .mapping(try convert(mapping, depth: depth)), position: position)
        case .alias:
            return YAMLNode(content: .scalar("", isPlain: true), position: position)
        }
    }

    private mutating func convert(_ mapping: Node.Mapping, depth: Int) throws -> [YAMLNode.Pair] {
        var pairs: [YAMLNode.Pair] = []
        pairs.reserveCapacity(mapping.count)
        for (key, value) in mapping {
            let keyPosition = key.mark.map { SourcePosition(line: $0.line, column: $0.column) } ?? .start
            guard case .scalar(let scalar) = key else {
                problems.append(
                    Diagnostic(.error, file: file, at: keyPosition, path: "", "a key must be a plain name, not a list or a mapping"))
                continue
            }
            let name = renamed[scalar.string] ?? scalar.string
            let converted = try convert(value, depth: depth + 1)
            if !renamed.isEmpty, let first = pairs.first(where: { $0.key == name }) {
                problems.append(
                    Diagnostic(
                        .error, file: file, at: keyPosition, path: "",
                        "key '\(name)' is given more than once in the same mapping (first at line \(first.keyPosition.line))", value: name,
                        suggestion: "keep one of them"))
                continue
            }
            pairs.append(YAMLNode.Pair(key: name, keyPosition: keyPosition, value: converted))
        }
        return pairs
    }

    /// The tags of nodes that have none of their own.
    private static let plainTags: Set<String> = ["tag:yaml.org,2002:str", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map"]

    /// Replaces the first letter of a repeated key by a private-use character, so that the rest of the file can be read as well.
    private mutating func renameKey(at position: SourcePosition, of keys: [String], in text: String) -> String? {
        guard renamed.count < YAMLReader.repeatedKeysMax, let marker = Unicode.Scalar(0xE000 + UInt32(renamed.count)) else { return nil }
        var scalars = text.unicodeScalars
        guard var index = SourceText.index(of: position, in: scalars) else { return nil }
        if scalars[index] == "\"" || scalars[index] == "'" { index = scalars.index(after: index) }
        guard index < scalars.endIndex,
            let key = keys.first(where: { !$0.isEmpty && scalars[index...].starts(with: $0.unicodeScalars) })
        else { return nil }
        scalars.replaceSubrange(index...index, with: CollectionOfOne(marker))
        var name = String.UnicodeScalarView([marker])
        name.append(contentsOf: key.unicodeScalars.dropFirst())
        renamed[String(name)] = renamed[key] ?? key
        return String(scalars)
    }

    private mutating func report(_ position: SourcePosition, _ message: String, suggestion: String? = nil) {
        diagnostics.append(Diagnostic(.error, file: file, at: position, path: "", message, suggestion: suggestion))
    }

    private mutating func reportSyntax(_ error: any Error, in text: String) {
        switch error {
        case YamlError.scanner(let context, let problem, let mark, _), YamlError.parser(let context, let problem, let mark, _),
            YamlError.composer(let context, let problem, let mark, _):
            let position = SourcePosition(line: max(1, mark.line), column: max(1, mark.column))
            var message = "this is not YAML: \(problem)"
            if let context { message += " (\(context.text), line \(context.mark.line))" }
            report(position, message, suggestion: SourceText.hint(for: position, in: text))
        case YamlError.reader(let problem, let offset, _, _):
            let position = offset.map { SourceText.position(ofCharacter: $0, in: text) } ?? .start
            report(position, "this is not YAML: \(problem)")
        default:
            report(.start, "this is not YAML: \(error)")
        }
    }
}
