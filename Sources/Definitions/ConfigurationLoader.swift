internal import Foundation

/// What a load gave: the site, if everything is in order, the definitions, and all problems.
package struct LoadedConfiguration: Sendable, Equatable {
    /// `nil` if there is no site document, or if any of the files has an error: a half-valid site is never run.
    package var site: Site?
    /// The definitions that are valid by themselves, in the order they were met.
    package var definitions: [ProtocolDefinition]
    /// File by file and in the order of the lines.
    package var diagnostics: [Diagnostic]
    /// Everything that was read.
    package var bundle: ConfigurationBundle
    /// Where the log is, as far as the site document tells, even if it has errors.
    package var logPath: String?

    package var hasErrors: Bool { diagnostics.contains { $0.severity == .error } }
}

/// Loads site documents and protocol definitions from files, whole, with every problem reported.
package struct ConfigurationLoader: Sendable {
    /// The most files of one load, those named by the site included.
    package static let filesMax = 256

    package init() {}

    /// Loads files of one or more documents, and the definition files that their site names.
    ///
    /// - Parameters:
    ///   - files: Paths, absolute or relative to the working directory.
    ///   - environment: What `${NAME}` in the documents refers to.
    package func load(files: [String], environment: [String: String]) -> LoadedConfiguration {
        load(files: files, environment: environment, reading: ConfigurationFile.read)
    }

    /// Loads what was read before; no file is touched.
    package func load(_ bundle: ConfigurationBundle, environment: [String: String]) -> LoadedConfiguration {
        load(files: bundle.given, environment: environment, reading: bundle.read)
    }

    private func load(
        files: [String], environment: [String: String], reading: @escaping (String) -> Result<[UInt8], ConfigurationFile.Problem>
    ) -> LoadedConfiguration {
        var load = Load(environment: environment, given: files, reading: reading)
        for file in files { load.readGiven(file) }
        return load.finish()
    }
}

/// The state of one load.
private struct Load {
    let environment: [String: String]
    private var diagnostics = DiagnosticList()
    private var catalog = DefinitionCatalog()
    private var site: (document: ObjectValue, file: String)?
    private var seen: Set<String> = []
    private var bundle: ConfigurationBundle
    private let reading: (String) -> Result<[UInt8], ConfigurationFile.Problem>

    init(environment: [String: String], given: [String], reading: @escaping (String) -> Result<[UInt8], ConfigurationFile.Problem>) {
        self.environment = environment
        bundle = ConfigurationBundle(given: given)
        self.reading = reading
    }

    /// Reads a file, and keeps what it said.
    private mutating func contents(of file: String) -> Result<[UInt8], ConfigurationFile.Problem> {
        let result = reading(file)
        let bytes = try? result.get()
        bundle.files.append(.init(path: file, text: bytes.map { String(decoding: $0, as: UTF8.self) }))
        return result
    }

    mutating func readGiven(_ file: String) {
        guard isNew(file, namedAt: nil) else { return }
        switch contents(of: file) {
        case .success(let bytes): read(bytes, of: file)
        case .failure(let problem):
            diagnostics.append(Diagnostic(.error, file: file, at: .start, path: "", problem.message, suggestion: problem.suggestion))
        }
    }

    mutating func finish() -> LoadedConfiguration {
        readNamedDefinitions()
        var built: Site?
        if let site {
            var builder = SiteBuilder(file: site.file, catalog: catalog)
            built = builder.build(site.document)
            for diagnostic in builder.diagnostics { diagnostics.append(diagnostic) }
        }
        return LoadedConfiguration(
            site: diagnostics.hasErrors ? nil : built, definitions: catalog.definitions, diagnostics: diagnostics.sorted, bundle: bundle,
            logPath: logPath)
    }

    private var logPath: String? {
        guard let site, let spec = site.document.object("spec") else { return nil }
        let log = spec.object("log") ?? SiteShape.log.defaults(at: spec.position, path: spec.path.key("log"))
        return log.text("path").map { FilePath.resolve($0, besideFile: site.file) }
    }

    /// The files of `spec.definitions`.
    private mutating func readNamedDefinitions() {
        guard let site, let spec = site.document.object("spec") else { return }
        for element in spec.list("definitions") {
            guard case .text(let path) = element.value else { continue }
            let file = FilePath.resolve(path, besideFile: site.file)
            guard isNew(file, namedAt: (site.file, element)) else { continue }
            switch contents(of: file) {
            case .success(let bytes): read(bytes, of: file)
            case .failure(let problem):
                diagnostics.append(
                    Diagnostic(
                        .error, file: site.file, at: element.position, path: element.path.description, problem.message, value: path,
                        suggestion: problem.suggestion ?? "the path begins at the folder of this file"))
            }
        }
    }

    /// Whether a file was not read before, and may be read.
    private mutating func isNew(_ file: String, namedAt place: (file: String, element: Located)?) -> Bool {
        let identity = URL(fileURLWithPath: file).resolvingSymlinksInPath().path
        guard !seen.contains(identity) else { return false }
        guard seen.count < ConfigurationLoader.filesMax else {
            diagnostics.append(
                Diagnostic(
                    .error, file: place?.file ?? file, at: place?.element.position ?? .start, path: place?.element.path.description ?? "",
                    "more than \(ConfigurationLoader.filesMax) files", suggestion: "put several definitions into one file, divided by ---"))
            return false
        }
        seen.insert(identity)
        return true
    }

    private mutating func read(_ bytes: [UInt8], of file: String) {
        var reader = YAMLReader(file: file)
        let documents = reader.read(bytes)
        for diagnostic in reader.diagnostics { diagnostics.append(diagnostic) }
        if documents.isEmpty, reader.diagnostics.isEmpty {
            diagnostics.append(
                Diagnostic(
                    .error, file: file, at: .start, path: "", "the file has no document",
                    suggestion: "begin with apiVersion: \(ProtocolDefinitionShape.apiVersion) and kind: Site or ProtocolDefinition"))
        }
        for document in documents { read(document, of: file) }
    }

    private mutating func read(_ node: YAMLNode, of file: String) {
        var shapes = ShapeReader(file: file, environment: environment)
        let kinds = [ProtocolDefinitionShape.kind, SiteShape.kind]
        guard case .mapping = node.content else {
            report(file, node.position, "", "expected a mapping with apiVersion, kind, metadata and spec, got \(node.kindDescription)")
            return
        }
        guard let kind = node.value(of: "kind") else {
            report(
                file, node.position, "", "the document has no 'kind'", allowed: kinds.joined(separator: ", "),
                suggestion: "add kind: \(node.value(of: "spec")?.value(of: "tags") == nil ? SiteShape.kind : ProtocolDefinitionShape.kind)")
            return
        }
        switch kind.content {
        case .scalar(ProtocolDefinitionShape.kind, _):
            let document = shapes.read(node, as: ProtocolDefinitionShape.document, path: .document)
            for diagnostic in shapes.diagnostics { diagnostics.append(diagnostic) }
            if let document { addDefinition(document, isSound: shapes.diagnostics.isEmpty, file: file) }
        case .scalar(SiteShape.kind, _):
            let document = shapes.read(node, as: SiteShape.document, path: .document)
            for diagnostic in shapes.diagnostics { diagnostics.append(diagnostic) }
            if let document { addSite(document, file: file) }
        case .scalar(let other, _):
            report(
                file, kind.position, "kind", "'\(other)' is not a kind of document", value: other, allowed: kinds.joined(separator: ", "),
                suggestion: nearestName(to: other, among: kinds).map { "did you mean '\($0)'?" })
        default:
            report(
                file, kind.position, "kind", "expected a kind of document, got \(kind.kindDescription)",
                allowed: kinds.joined(separator: ", "))
        }
    }

    private mutating func addDefinition(_ document: ObjectValue, isSound: Bool, file: String) {
        var builder = DefinitionBuilder(file: file)
        let definition = builder.build(document)
        for diagnostic in builder.diagnostics { diagnostics.append(diagnostic) }
        guard let metadata = document.object("metadata"), let name = metadata.text("name") else { return }
        if let first = catalog.note(name, file: file, line: metadata.position(of: "name").line) {
            report(
                file, metadata.position(of: "name"), "metadata.name",
                "protocol definition '\(name)' is already defined at \(first.file):\(first.line)",
                value: name, suggestion: "give each definition its own name")
            return
        }
        if let definition, isSound, !builder.diagnostics.contains(where: { $0.severity == .error }) { catalog.add(definition) }
    }

    private mutating func addSite(_ document: ObjectValue, file: String) {
        if let site {
            report(
                file, document.position, "", "there is already a site at \(site.file):\(site.document.position.line)",
                suggestion: "a gateway has exactly one site document")
        } else {
            site = (document, file)
        }
    }

    private mutating func report(
        _ file: String, _ position: SourcePosition, _ path: String, _ message: String, value: String? = nil, allowed: String? = nil,
        suggestion: String? = nil
    ) {
        diagnostics.append(
            Diagnostic(.error, file: file, at: position, path: path, message, value: value, allowed: allowed, suggestion: suggestion))
    }
}
