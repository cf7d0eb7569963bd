import Definitions
import Interlock
import Testing

@Suite struct WriteSettingsTests {
    /// A definition with one writable tag beside others, and a site with two devices of it.
    private func site(_ write: String, tag: String = "type: uint16", spec: String = "writes: allowed") -> String {
        definition(
            tags: "{name: speed, address: \"holding:0\", type: uint16}", "{name: running, address: \"coil:1\", type: bool}",
            "{name: label, address: \"holding:9\", type: string, length: 4}",
            "{name: w, address: \"holding:20\", access: readWrite, \(tag), write: {\(write)}}")
                + """
                ---
                apiVersion: edge.indusedge.io/v1
                kind: Site
                metadata: {name: plant}
                spec:
                  \(spec)
                  devices:
                    - {name: p1, definition: pump, connection: {modbusTCP: {host: 127.0.0.1}}}
                    - {name: p2, definition: pump, connection: {modbusTCP: {host: 127.0.0.2}}}
                """
    }

    @Test func `all keys are taken, and have defaults that forbid`() throws {
        let loaded = try load(
            site(
                "interlock: \"this.speed < 50 && !p2.running\", minInterval: 5s, verifyAfter: 0ms, confirm: twoStep, function: multiple"))
        let site = try #require(loaded.site, "\(loaded.diagnostics)")
        #expect(loaded.diagnostics.isEmpty, "\(loaded.diagnostics)")
        #expect(site.writes == .allowed)
        let write = try #require(site.devices[0].tags.last?.write)
        #expect(write.minimumInterval == .seconds(5) && write.verifyAfter == .zero && write.confirmation == .twoStep)
        #expect(write.function == .multiple && !write.allowsReadModifyWrite && write.interlock?.text == "this.speed < 50 && !p2.running")
        let plain = try #require(try load(definition(tags: "{name: t, address: \"holding:0\", type: int16}")).definitions.first?.tags.first)
        #expect(plain.write == WriteSettings() && plain.access == .read)
        #expect(try load(self.site("minInterval: 5s", spec: "description: none")).hasErrors)
        #expect(try load(self.site("minInterval: 5s", spec: "scoring: {enabled: false}")).site?.writes == .refused)
    }

    @Test(arguments: [
        ("interlock: \"this.speed < \"", "the end (at character 14)", true), ("interlock: \"speed < 5\"", "this.speed", true),
        ("interlock: \"this.sped < 5\"", "device 'p1' has no such tag", true),
        ("interlock: \"p3.speed < 5\"", "'p3', which is not defined", true),
        ("interlock: \"this.label == 1\"", "which is a text", true), ("interlock: \"this.speed\"", "but it is a number", true),
        ("readModifyWrite: true", "is for bits of registers", false), ("minInterval: 0s", "minInterval", true),
        ("verifyAfter: 11s", "verifyAfter", true), ("confirm: yes", "confirm", true), ("interlok: \"true\"", "interlock", true),
    ])
    func `what cannot work is told by check`(_ write: String, _ part: String, _ isError: Bool) throws {
        let loaded = try load(site(write))
        #expect(loaded.diagnostics.contains { "\($0)".contains(part) }, "\(loaded.diagnostics)")
        #expect(loaded.hasErrors == isError)
    }

    @Test func `single is for one register, and write needs access`() throws {
        let single = try load(site("function: single", tag: "type: float32"))
        #expect(single.diagnostics.contains { $0.message.contains("carries one register, but float32 takes 2") })
        let read = try load(definition(tags: "{name: t, address: \"holding:0\", type: int16, write: {confirm: twoStep}}"))
        #expect(!read.hasErrors && read.diagnostics.contains { $0.message.contains("'write' has no effect") })
    }

    @Test func `how often a tag is written may be limited, whatever its type`() throws {
        for type in ["uint16", "bool"] {
            let address = type == "bool" ? "coil:0" : "holding:0"
            let loaded = try load(
                definition(tags: "{name: t, address: \"\(address)\", type: \(type), access: readWrite, limits: {writesPerMinute: 6}}"))
            #expect(loaded.diagnostics.isEmpty, "\(loaded.diagnostics)")
            #expect(loaded.definitions.first?.tags.first?.limits == WriteLimits(writesPerMinute: 6))
        }
        for wrong in ["0", "601", "1.5"] {
            #expect(
                try load(
                    definition(
                        tags: "{name: t, address: \"holding:0\", type: uint16, access: readWrite, limits: {writesPerMinute: \(wrong)}}")
                ).hasErrors)
        }
    }
}
