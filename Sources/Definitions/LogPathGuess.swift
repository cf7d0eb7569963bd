/// Where the log of a site document may be that is broken beyond reading.
package enum LogPathGuess {
    /// The folders to look in, the likeliest first: what stands after `path:` at or behind `log:`, then the default.
    package static func paths(in bundle: ConfigurationBundle, environment: [String: String]) -> [String] {
        var found: [String] = []
        func note(_ path: String, _ file: String) {
            let resolved = FilePath.resolve(path, besideFile: file)
            if !found.contains(resolved) { found.append(resolved) }
        }
        let expansion = EnvironmentExpansion(environment: environment)
        for file in bundle.files {
            guard let text = file.text, let written = value(of: "path", after: "log", in: text) else { continue }
            if case .text(let path) = expansion.expand(written), !path.isEmpty { note(path, file.path) }
        }
        for path in bundle.given { note("data", path) }
        return found
    }

    /// How far behind the outer key the inner one is looked for, in lines.
    private static let linesMax = 12

    private static func value(of inner: String, after outer: String, in text: String) -> String? {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() {
            guard let rest = tail(of: line, behind: outer) else { continue }
            for candidate in [rest] + lines[(index + 1)...].prefix(linesMax) {
                if let found = tail(of: candidate, behind: inner) { return scalar(found) }
            }
        }
        return nil
    }

    /// What follows `key:` in a line, where the key is a word of its own.
    private static func tail(of line: Substring, behind key: String) -> Substring? {
        var rest = line
        while let colon = rest.firstIndex(of: ":") {
            let before = line[..<colon]
            if before.hasSuffix(key), before.dropLast(key.count).last.map({ " {,".contains($0) }) ?? true {
                return line[line.index(after: colon)...]
            }
            rest = rest[rest.index(after: colon)...]
        }
        return nil
    }

    private static func scalar(_ text: Substring) -> String? {
        let trimmed = text.drop { $0 == " " }
        if let quote = trimmed.first, quote == "\"" || quote == "'" {
            let inside = trimmed.dropFirst()
            return inside.firstIndex(of: quote).map { String(inside[..<$0]) }
        }
        // A variable has braces of its own.
        var depth = 0
        var result = ""
        for character in trimmed {
            if character == "{" { depth += 1 }
            if character == "}" {
                if depth == 0 { break }
                depth -= 1
            }
            if depth == 0, character == "," || character == " " || character == "#" || character == "\r" { break }
            result.append(character)
        }
        return result.isEmpty ? nil : result
    }
}
