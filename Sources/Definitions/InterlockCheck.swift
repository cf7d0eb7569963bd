internal import Interlock
internal import Telemetry

/// Looks whether the interlocks of a site's devices name tags that are there, which only the whole site can tell.
struct InterlockCheck {
    private let file: String
    private var tags: [String: [String: DataType]]
    private(set) var diagnostics: [Diagnostic] = []

    /// `written` are the names of all devices of the document, also of those that could not be made.
    init(file: String, devices: [Device], written: [ObjectValue]) {
        self.file = file
        tags = [:]
        for device in devices {
            tags[device.name] = Dictionary(device.tags.map { ($0.name, $0.dataType) }, uniquingKeysWith: { first, _ in first })
        }
        let positions = Dictionary(
            written.compactMap { source in source.text("name").map { ($0, source) } }, uniquingKeysWith: { first, _ in first })
        for device in devices {
            guard let source = positions[device.name] else { continue }
            for tag in device.tags where tag.access == .readWrite {
                guard let interlock = tag.write.interlock?.bound(to: device.name) else { continue }
                check(interlock, of: tag.name, device: device, source, positions: positions)
            }
        }
    }

    private mutating func check(
        _ interlock: Interlock, of tag: String, device: Device, _ source: ObjectValue, positions: [String: ObjectValue]
    ) {
        for reference in interlock.references {
            guard let known = tags[reference.device] else {
                // A device that could not be made has been reported.
                if positions[reference.device] != nil { continue }
                let names = tags.keys.sorted()
                report(
                    source, "the interlock of '\(tag)' names device '\(reference.device)', which is not defined", value: interlock.text,
                    suggestion: nearestName(to: reference.device, among: names).map { "did you mean '\($0).\(reference.tag)'?" }
                        ?? "for a tag of the same device, write this.\(reference.tag)")
                continue
            }
            guard let type = known[reference.tag] else {
                report(
                    source, "the interlock of '\(tag)' names '\(reference)', but device '\(reference.device)' has no such tag",
                    value: interlock.text,
                    suggestion: nearestName(to: reference.tag, among: known.keys.sorted()).map {
                        "did you mean '\(reference.device).\($0)'?"
                    })
                continue
            }
            if type == .string {
                report(source, "the interlock of '\(tag)' compares '\(reference)', which is a text", value: interlock.text, suggestion: nil)
            } else if type != .bool, interlock.booleanReferences.contains(reference) {
                report(
                    source, "the interlock of '\(tag)' takes '\(reference)' for a condition, but it is a number", value: interlock.text,
                    suggestion: "compare it: \(reference) != 0")
            }
        }
    }

    private mutating func report(_ source: ObjectValue, _ message: String, value: String, suggestion: String?) {
        diagnostics.append(
            Diagnostic(
                .error, file: file, at: source.position(of: "definition"), path: source.path.key("definition").description, message,
                value: value, suggestion: suggestion))
    }
}
