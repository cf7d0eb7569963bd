internal import Interlock
internal import Telemetry

/// Makes `WriteSettings` of a tag's `write`, and reports what the shape alone cannot tell.
struct WriteSettingsBuilder {
    let file: String
    private(set) var diagnostics: [Diagnostic] = []

    init(file: String) { self.file = file }

    mutating func build(_ tag: ObjectValue) -> WriteSettings {
        guard let source = tag.object("write") else { return WriteSettings() }
        if tag.text("access") == TagDefinition.Access.read.rawValue {
            report(
                tag, "write", "'write' has no effect: the tag cannot be written", severity: .warning,
                suggestion: "add access: readWrite, or remove it")
        }
        let address = tag.text("address") ?? ""
        let isBitOfRegister = tag.text("type") == DataType.bool.name && address.contains(".")
        if source.bool("readModifyWrite") == true, !isBitOfRegister {
            report(
                source, "readModifyWrite", "readModifyWrite is for bits of registers", severity: .warning, suggestion: "remove it")
        }
        var settings = WriteSettings(
            minimumInterval: source.duration("minInterval"),
            verifyAfter: source.duration("verifyAfter") ?? WriteSettings.verifyAfterDefault,
            confirmation: source.text("confirm").flatMap(WriteSettings.Confirmation.init(rawValue:)) ?? .none,
            function: source.text("function").flatMap(WriteSettings.Function.init(rawValue:)) ?? .automatic,
            allowsReadModifyWrite: source.bool("readModifyWrite") ?? false)
        checkFunction(settings.function, source, tag)
        if let text = source.text("interlock") {
            do throws(InterlockError) {
                settings.interlock = try Interlock(text)
            } catch {
                report(
                    source, "interlock", "the interlock is no condition: \(error)", value: text,
                    allowed: "comparisons of tags and numbers, joined by &&, || and !",
                    suggestion: "for example \"pump-1.speed < 50 && this.mode == 2\"")
            }
        }
        return settings
    }

    private mutating func checkFunction(_ function: WriteSettings.Function, _ source: ObjectValue, _ tag: ObjectValue) {
        guard function == .single, let type = tag.text("type").flatMap(DataType.init(name:)) else { return }
        let bytes = type == .string ? tag.integer("length") ?? 0 : type.width
        guard bytes > 2 else { return }
        report(
            source, "function", "function single carries one register, but \(type.name) takes \((bytes + 1) / 2)", value: "single",
            allowed: "automatic, multiple")
    }

    private mutating func report(
        _ source: ObjectValue, _ field: String, _ message: String, severity: Diagnostic.Severity = .error, value: String? = nil,
        allowed: String? = nil, suggestion: String? = nil
    ) {
        diagnostics.append(
            Diagnostic(
                severity, file: file, at: source.position(of: field), path: source.path.key(field).description, message, value: value,
                allowed: allowed, suggestion: suggestion))
    }
}
