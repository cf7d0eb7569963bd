import Definitions
import Foundation
import Testing

/// A wrong document, and the one problem that must be reported.
struct BadDocument: Sendable, CustomTestStringConvertible {
    var text: String
    /// `line:column: severity: message`.
    var problem: String
    var suggestion: String?

    init(_ text: String, _ problem: String, hint: String? = nil) {
        self.text = text
        self.problem = problem
        suggestion = hint
    }

    init(tag: String, _ problem: String, hint: String? = nil) { self.init(definition(tags: tag), problem, hint: hint) }

    init(tags: [String], _ problem: String, hint: String? = nil) {
        self.init(
            definition(tags: "{name: z, address: \"coil:0\", type: bool}").dropLastLine() + tags.map { "    - \($0)\n" }.joined(), problem,
            hint: hint)
    }

    init(site lines: [String], _ problem: String, hint: String? = nil) {
        self.init(site(lines[0], lines.count > 1 ? lines[1] : "scoring: {enabled: true}"), problem, hint: hint)
    }

    var testDescription: String { problem }
}

extension String {
    fileprivate func dropLastLine() -> String { split(separator: "\n").dropLast().joined(separator: "\n") + "\n" }
}

@Suite struct BadDocumentTests {
    @Test(arguments: tags + definitions + sites + yaml)
    func reportsExactlyTheProblem(_ document: BadDocument) throws {
        let folder = try TemporaryFolder()
        let file = try folder.file("test.yaml", document.text)
        let loaded = ConfigurationLoader().load(files: [file], environment: [:])
        func neutral(_ text: String) -> String { text.replacing(file, with: "FILE").replacing(folder.url.path, with: "FOLDER") }
        #expect(
            loaded.diagnostics.map { neutral("\($0.line):\($0.column): \($0.severity.rawValue): \($0.message)") } == [document.problem])
        if let suggestion = document.suggestion { #expect(loaded.diagnostics.first?.suggestion.map(neutral) == suggestion) }
        #expect((loaded.site == nil) || !loaded.hasErrors)
    }

    // One row per line reads best, however long.
    // swift-format-ignore
    static let tags: [BadDocument] = [
        BadDocument(tag: "{name: t, address: \"holding:0\", type: int61}", "8:45: error: 'int61' is not one of bool, int8, uint8, int16, uint16, int32, uint32, int64, uint64, float16, float32, float64, bcd16, bcd32, bcd64, string", hint: "did you mean 'int16'?"),
        BadDocument(tag: "{name: t, address: \"holding:0\", type: uint8}", "8:45: error: a uint8 is half a register, and which half is not said", hint: "add byte: high or byte: low; uint16 is the whole register"),
        BadDocument(tag: "{name: t, address: \"holding:0\", type: int16, skale: 2}", "8:52: error: unknown key 'skale' in tag", hint: "did you mean 'scale'?"),
        BadDocument(tag: "{name: t, address: \"holding:0\", type: int16, unit: degC}", "8:58: error: 'degC' is not a UCUM unit", hint: "write 'Cel'"),
        BadDocument(tag: "{name: t, address: \"holding:0\", type: int16, unit: rpm}", "8:58: error: 'rpm' is not a UCUM unit", hint: "write '1/min'"),
        BadDocument(tag: "{name: t, address: \"holding:0\", type: int16, scale: 0}", "8:59: error: scale is 0, which makes every value the same"),
        BadDocument(tag: "{name: t, address: \"holding:0\", type: int16, scale: .nan}", "8:59: error: expected a finite number, got '.nan'"),
        BadDocument(tag: "{name: t, address: \"holding:0\", type: int16, scale: 1e999}", "8:59: error: expected a finite number, got '1e999'"),
        BadDocument(tag: "{name: t, address: \"holding:0\", type: int16, scale: 1e200}", "8:59: error: scale 1e+200 is absurd"),
        BadDocument(tag: "{name: t, address: \"holding:0\", type: int16, scanGroup: fats}", "8:63: error: scan group 'fats' is not defined", hint: "did you mean 'fast'?"),
        BadDocument(tag: "{name: t, address: \"holding:65536\", type: int16}", "8:26: error: address 65536 is beyond the last one, 65535", hint: "addresses are 0-based protocol addresses: the register that manuals call 40001 or 400001 is holding:0"),
        BadDocument(tag: "{name: t, address: \"holding:99999999999999999999\", type: int16}", "8:26: error: address 99999999999999999999 is beyond the last one, 65535"),
        BadDocument(tag: "{name: t, address: \"holding:65535\", type: uint32}", "8:26: error: uint32 at holding:65535 takes 2 registers and ends beyond 65535"),
        BadDocument(tag: "{name: t, address: 40001, type: int16}", "8:26: error: expected text, got the number 40001"),
        BadDocument(tag: "{name: t, address: \"hr40\", type: int16}", "8:26: error: 'hr40' is not table:number, the table one of holding, input, coil, discrete, the number a 0-based protocol address"),
        BadDocument(tag: "{name: t, address: \"holding:1.16\", type: bool}", "8:26: error: a register has no bit 16"),
        BadDocument(tag: "{name: t, address: \"coil:1.3\", type: bool}", "8:26: error: a coil address has no bits"),
        BadDocument(tag: "{name: t, address: \"holding:1\", type: bool}", "8:26: error: a bool in a register needs its bit", hint: "write holding:1.0 for the least significant bit"),
        BadDocument(tag: "{name: t, address: \"holding:1.3\", type: int16}", "8:47: error: a bit of a register is a bool, not int16"),
        BadDocument(tag: "{name: t, address: \"coil:1\", type: int16}", "8:42: error: a coil address holds one bit, not int16"),
        BadDocument(tag: "{name: t, address: \"coil:1\", type: bool, scale: 2}", "8:55: error: 'scale' means nothing for a bool", hint: "remove 'scale'"),
        BadDocument(tag: "{name: t, address: \"holding:1\", type: string}", "8:45: error: a string needs its length in bytes"),
        BadDocument(tag: "{name: t, address: \"holding:1\", type: string, length: 251}", "8:61: error: 251 is out of range 1…250"),
        BadDocument(tag: "{name: t, address: \"holding:1\", type: int16, length: 2}", "8:60: error: only strings have a length; int16 has 2 bytes"),
        BadDocument(tag: "{name: t, address: \"holding:1\", type: int16, access: readWrite, limits: {min: 5, max: 1}}", "8:85: error: limits min 5 is above max 1"),
        BadDocument(tag: "{name: t, address: \"holding:1\", type: int16, access: readWrite, limits: {maxStep: 0}}", "8:89: error: maxStep is 0, but must be more than 0"),
        BadDocument(tag: "{name: t, address: \"holding:1\", type: uint16, access: readWrite, limits: {max: 70000}}", "8:86: error: limits max 70000 does not fit uint16"),
        BadDocument(tag: "{name: t, address: \"holding:1\", type: uint16, limits: {max: 7}}", "8:61: warning: limits have no effect: the tag cannot be written"),
        BadDocument(tag: "{name: t, address: \"input:1\", type: uint16, access: readWrite}", "8:59: error: 't' is in the input table, which cannot be written"),
        BadDocument(tag: "{name: t, address: \"holding:1\", type: int16, deadband: {absolute: -1}}", "8:73: error: deadband is -1, but must be more than 0"),
        BadDocument(tag: "{name: t, address: \"holding:1\", type: int16, deadband: {percentOfRange: 5}}", "8:79: error: a percentage of the range needs the range"),
        BadDocument(tag: "{name: t, address: \"holding:1\", type: int16, deadband: {absolute: 1, percentOfRange: 5}}", "8:62: error: deadband has absolute and percentOfRange, but only one may be given"),
        BadDocument(tag: "{name: t, address: \"holding:1\", type: int16, deadband: {}}", "8:62: error: deadband has none of absolute, percentOfRange"),
        BadDocument(tag: "{name: t, address: \"holding:1\", type: int16, range: {min: 3, max: 3}}", "8:59: error: range min 3 is not below max 3"),
        BadDocument(tag: "{name: t, address: \"holding:1\", type: int16, score: yes}", "8:59: error: expected true or false, got 'yes'", hint: "write true"),
        BadDocument(tag: "{name: t, address: \"holding:1\"}", "8:7: error: tag has no 'type'"),
        BadDocument(tag: "{name: \"a b\", address: \"holding:1\", type: int16}", "8:14: error: 'a b' is not a name of letters, digits, '_', '-', '.' and '/', beginning with a letter or digit, at most 128 characters"),
        BadDocument(tag: "{name: t, address: \"holding:1\", type: int16, unit: }", "8:58: error: expected a UCUM unit, got nothing"),
        BadDocument(tag: "[1, 2]", "8:7: error: expected a mapping (name, address, type, length, byteOrder, scale, offset, unit, scanGroup, deadband, access, limits, write, range, description, score, byte, bitCount, fractionBits, encoding, fill, count, stride, table, valid, notAvailable, labels, bits), got a list"),
        BadDocument(tag: "{name: t, address: \"holding:1\", type: int16, unit: \"${UNIT}\"}", "8:58: error: environment variable 'UNIT' is not set", hint: "set it, or give a default: ${UNIT:-value}"),
        BadDocument(tag: "{name: t, address: \"holding:1\", type: int16, unit: \"${UNIT\"}", "8:58: error: '${' has no closing '}'"),
        BadDocument(tag: "{name: t, address: \"holding:1\", type: int16, unit: !!str Cel, unit: K}", "8:69: error: key 'unit' is given more than once in the same mapping (first at line 8)"),
        BadDocument(tags: ["{name: a, address: \"holding:0\", type: int16}", "{name: a, address: \"holding:1\", type: int16}"], "9:14: error: tag 'a' is already defined at line 8"),
        BadDocument(tags: ["{name: a, address: \"holding:0\", type: uint32}", "{name: b, address: \"holding:1\", type: int16}"], "9:26: error: 'b' (holding:1) overlaps 'a' (holding:0…1, line 8)"),
        BadDocument(tags: ["{name: a, address: \"holding:1\", type: int16}", "{name: b, address: \"holding:0\", type: uint32}"], "9:26: error: 'b' (holding:0…1) overlaps 'a' (holding:1, line 8)"),
        BadDocument(tags: ["{name: a, address: \"holding:0\", type: int16}", "{name: b, address: \"holding:0\", type: uint16}"], "9:26: error: 'b' (holding:0) overlaps 'a' (holding:0, line 8)"),
        BadDocument(tags: ["{name: a, address: \"holding:0\", type: int16}", "{name: b, address: \"holding:0\", type: int16}"], "9:26: warning: 'b' is the same int16 at holding:0 as 'a' (line 8)"),
        BadDocument(tags: ["{name: a, address: \"holding:0.1\", type: bool}", "{name: b, address: \"holding:0.1\", type: bool}"], "9:26: warning: 'b' is the same bool at holding:0.1 as 'a' (line 8)"),
        BadDocument(tags: ["{name: a, address: \"holding:0.1\", type: bool}", "{name: b, address: \"holding:0\", type: int16}"], "9:26: error: 'b' (holding:0) overlaps 'a' (holding:0.1, line 8)"),
    ]

    private static let head = "apiVersion: edge.indusedge.io/v1\nkind: ProtocolDefinition\n"
    private static let tail =
        "spec:\n  protocol: modbus\n  scanGroups: {fast: 100ms}\n  tags: [{name: t, address: \"holding:0\", type: int16}]\n"

    // One row per line reads best, however long.
    // swift-format-ignore
    static let definitions: [BadDocument] = [
        BadDocument("", "1:1: error: the file has no document"),
        BadDocument("# nothing\n---\n---\n", "1:1: error: the file has no document"),
        BadDocument("- a\n", "1:1: error: expected a mapping with apiVersion, kind, metadata and spec, got a list"),
        BadDocument("metadata: {name: a}\n", "1:1: error: the document has no 'kind'"),
        BadDocument("kind: site\n", "1:7: error: 'site' is not a kind of document", hint: "did you mean 'Site'?"),
        BadDocument("kind: [Site]\n", "1:7: error: expected a kind of document, got a list"),
        BadDocument("apiVersion: v2\nkind: ProtocolDefinition\nmetadata: {name: p, version: 1.0.0}\n" + tail, "1:13: error: 'v2' is not one of edge.indusedge.io/v1"),
        BadDocument(head + "metadata: {name: p, version: 1.0}\n" + tail, "3:30: error: expected text, got the number 1.0", hint: "put it in quotes: \"1.0\""),
        BadDocument(head + "metadata: {name: p, version: v1.0.0}\n" + tail, "3:30: error: 'v1.0.0' is not a semantic version (major.minor.patch)"),
        BadDocument(head + "metadata: {name: p, version: 1.0.0}\n" + tail.replacing("modbus", with: "opcua"), "5:13: error: 'opcua' is not one of modbus"),
        BadDocument(head + "metadata: {name: p, version: 1.0.0}\n" + tail.replacing("100ms", with: "0ms"), "6:22: error: 0ms is out of range 1ms…1d"),
        BadDocument(head + "metadata: {name: p, version: 1.0.0}\n" + tail.replacing("100ms", with: "1ns"), "6:22: error: 1ns is out of range 1ms…1d"),
        BadDocument(head + "metadata: {name: p, version: 1.0.0}\n" + tail.replacing("100ms", with: "3650d"), "6:22: error: 3650d is out of range 1ms…1d"),
        BadDocument(head + "metadata: {name: p, version: 1.0.0}\n" + tail.replacing("100ms", with: "100"), "6:22: error: expected a duration such as 100ms, got '100'", hint: "add a unit: ns, us, ms, s, m, min, h, d"),
        BadDocument(head + "metadata: {name: p, version: 1.0.0}\n" + tail.replacing("fast", with: "health"), "6:16: error: scan group name 'health' is reserved for what the gateway finds out itself"),
        BadDocument(head + "metadata: {name: p, version: 1.0.0}\n" + tail.replacing("{fast: 100ms}", with: "{}"), "6:15: error: 'spec.scanGroups' is empty, but needs at least 1"),
        BadDocument(head + "metadata: {name: p, version: 1.0.0}\nspec:\n  protocol: modbus\n  scanGroups: {fast: 100ms}\n  tags: []\n", "7:9: error: 'spec.tags' is empty, but needs at least 1"),
        BadDocument(head + "metadata: {name: p, version: 1.0.0}\n" + tail + "---\n" + head + "metadata: {name: p, version: 1.0.0}\n" + tail, "11:18: error: protocol definition 'p' is already defined at FILE:3"),
    ]

    // One row per line reads best, however long.
    // swift-format-ignore
    static let sites: [BadDocument] = [
        BadDocument(site: ["devices: []"], "15:12: error: 'spec.devices' is empty, but needs at least 1"),
        BadDocument(site: [oneDevice.replacing("definition: pump", with: "definition: pmup")], "15:36: error: protocol definition 'pmup' is not known", hint: "did you mean 'pump'?"),
        BadDocument(site: [oneDevice.replacing("127.0.0.1", with: "127.0.0.1, port: 70000")], "15:90: error: 70000 is out of range 1…65535"),
        BadDocument(site: [oneDevice.replacing("127.0.0.1", with: "127.0.0.1, unit: 300")], "15:90: error: 300 is out of range 0…255"),
        BadDocument(site: [oneDevice.replacing("modbusTCP", with: "opcua")], "15:55: error: unknown key 'opcua' in connection"),
        BadDocument(site: ["devices: [{name: p1, definition: pump, connection: {modbusRTU: {port: /dev/ttyS0, dataBits: 7}}}]"], "15:95: error: Modbus RTU needs 8 data bits; 7 is for Modbus ASCII"),
        BadDocument(site: [oneDevice.replacing("}]", with: ", scanGroups: {fsat: 1s}}]")], "15:99: error: definition 'pump' has no scan group 'fsat'", hint: "did you mean 'fast'?"),
        BadDocument(site: [oneDevice.replacing("}]", with: ", disabledTags: [u]}]")], "15:101: error: definition 'pump' has no tag 'u'"),
        BadDocument(site: [oneDevice.replacing("}]", with: ", disabledTags: [t, label]}]")], "15:100: error: every tag of the device is disabled"),
        BadDocument(site: [oneDevice.replacing("}]", with: "}, {name: p1, definition: pump, connection: {modbusTCP: {host: b}}}]")], "15:94: error: device 'p1' is already defined at line 15"),
        BadDocument(site: ["devices:"], "15:11: error: expected a list, got nothing"),
        BadDocument(site: ["devices: [{name: p1, definition: pump, connection: {modbusRTU: {port: /dev/ttyS0}}}, {name: p2, definition: pump, connection: {modbusRTU: {port: /dev/ttyS0, parity: odd}}}]"], "15:148: error: serial line '/dev/ttyS0' has other settings at line 15"),
        BadDocument(site: ["devices: [{name: p1, definition: pump, connection: {modbusTCP: {host: h}}}, {name: p2, definition: pump, connection: {modbusRTUoverTCP: {host: h, port: 502}}}]"], "15:146: error: the line to 'h:502' has other settings at line 15"),
        BadDocument(site: ["devices: [{name: p1, definition: pump, connection: {modbusTCP: {host: h}}}, {name: p2, definition: pump, responseTimeout: 2s, connection: {modbusTCP: {host: h}}}]"], "15:125: error: unit 1 has another responseTimeout at line 15"),
        BadDocument(site: ["devices: [{name: p1, definition: pump, connection: {modbusTCP: {host: h}}}, {name: p2, definition: pump, connectTimeout: 2s, connection: {modbusTCP: {host: h, unit: 2}}}]"], "15:124: warning: the connection is shared with the device at line 15, whose connectTimeout holds"),
        BadDocument(site: ["devices: [{name: p1, definition: pump, connection: {modbusASCII: {port: /dev/ttyS0, rs485: rtsHigh}}}]"], "15:94: error: RTS is switched by the gateway with modbusRTU only"),
        BadDocument(site: ["devices: [{name: p1, definition: pump, connection: {modbusRTU: {port: /dev/ttyS0, rtsDelay: 1ms}}}]"], "15:95: warning: rtsDelay has no effect unless RTS is switched by the gateway"),
        BadDocument(site: ["devices: [{name: p1, definition: pump, connection: {modbusRTUoverTCP: {host: h}}}]"], "15:73: error: modbusRTUoverTCP has no 'port'"),
        BadDocument(site: ["devices: [{name: p1, definition: pump, connection: {modbusTLS: {host: h, ca: a, certificate: b, key: c, minimumVersion: \"1.2\"}}}]"], "15:123: warning: TLS 1.2 is accepted: do so only for devices that know nothing newer"),
        BadDocument(site: [oneDevice, "assets: [{name: a}]"], "16:19: error: the asset has neither devices nor tags"),
        BadDocument(site: [oneDevice, "assets: [{name: a, devices: [p2]}]"], "16:32: error: device 'p2' is not defined", hint: "did you mean 'p1'?"),
        BadDocument(site: [oneDevice, "assets: [{name: a, tags: [p1.x]}]"], "16:29: error: device 'p1' has no tag 'x'"),
        BadDocument(site: [oneDevice, "assets: [{name: a, tags: [p1.label]}]"], "16:29: warning: 'p1.label' is not scored, so that it adds nothing to the asset"),
        BadDocument(site: [oneDevice, "routes: [{name: r, failover: fastest, clusters: [{name: c, url: \"mqtts://b\"}], tls: {ca: a, certificate: b, key: c}}]"], "16:32: error: 'fastest' is not one of ordered, latencyAware, weighted, mirror"),
        BadDocument(site: [oneDevice, "routes: [{name: r, delivery: {rateLimit: fast}, clusters: [{name: c, url: \"mqtts://b\"}], tls: {ca: a, certificate: b, key: c}}]"], "16:44: error: expected a size such as 1GiB, got 'fast'"),
        BadDocument(site: [oneDevice, "routes: [{name: r, delivery: {backlogShare: 0}, clusters: [{name: c, url: \"mqtts://b\"}], tls: {ca: a, certificate: b, key: c}}]"], "16:47: error: 0 is out of range 1…100"),
        BadDocument(site: [oneDevice, "routes: [{name: r, delivery: {quietHours: {from: \"22:00\"}}, clusters: [{name: c, url: \"mqtts://b\"}], tls: {ca: a, certificate: b, key: c}}]"], "16:45: error: quiet hours has no 'to'"),
        BadDocument(site: [oneDevice, "routes: [{name: r, delivery: {quietHours: {from: \"24:00\", to: \"06:00\"}}, clusters: [{name: c, url: \"mqtts://b\"}], tls: {ca: a, certificate: b, key: c}}]"], "16:52: error: '24:00' is not a time of day \"HH:MM\""),
        BadDocument(site: [oneDevice, "routes: [{name: r, delivery: {quietHours: {from: \"06:00\", to: \"06:00\"}}, clusters: [{name: c, url: \"mqtts://b\"}], tls: {ca: a, certificate: b, key: c}}]"], "16:65: error: the quiet hours end when they begin"),
        BadDocument(site: [oneDevice, "routes: [{name: r, delivery: {rateLimit: 1KiB, backlogRate: 2KiB}, clusters: [{name: c, url: \"mqtts://b\"}], tls: {ca: a, certificate: b, key: c}}]"], "16:63: warning: backlogRate is more than rateLimit, which holds"),
        BadDocument(site: [oneDevice, "routes: [{name: r, delivery: {alarmGroups: [fats]}, clusters: [{name: c, url: \"mqtts://b\"}], tls: {ca: a, certificate: b, key: c}}]"], "16:46: warning: no device has a scan group 'fats'"),
        BadDocument(site: [oneDevice, "routes: [{name: r, recoveryTimeout: 2h, clusters: [{name: c, url: \"mqtts://b\"}], tls: {ca: a, certificate: b, key: c}}]"], "16:39: error: 2h is out of range 100ms…1h"),
        BadDocument(site: [oneDevice, "routes: [{name: r, probeInterval: 0s, clusters: [{name: c, url: \"mqtts://b\"}], tls: {ca: a, certificate: b, key: c}}]"], "16:37: error: 0s is out of range 100ms…1h"),
        BadDocument(site: [oneDevice, "routes: [{name: r, failover: weighted, clusters: [{name: c, url: \"mqtts://b\", weight: 1001}], tls: {ca: a, certificate: b, key: c}}]"], "16:89: error: 1001 is out of range 0…1000"),
        BadDocument(site: [oneDevice, "routes: [{name: r, clusters: [{name: c, url: \"mqtts://b\", weight: 2}], tls: {ca: a, certificate: b, key: c}}]"], "16:69: warning: failover 'ordered' takes the clusters in their order, whatever their weight"),
        BadDocument(site: [oneDevice, "routes: [{name: r, failover: mirror, clusters: [{name: c, url: \"mqtts://b\", weight: 2}], tls: {ca: a, certificate: b, key: c}}]"], "16:87: warning: failover 'mirror' gives everything to each cluster, whatever their weight"),
        BadDocument(site: [oneDevice, "routes: [{name: r, clusters: [{name: c, url: \"mqtts://b\"}]}]"], "16:48: error: mqtts needs certificates, but the route has no tls", hint: "add tls: {ca: ca.crt, certificate: gateway.crt, key: gateway.key} to the route"),
        BadDocument(site: [oneDevice, "routes: [{name: r, clusters: [{name: c, url: \"mqtt://b\"}]}]"], "16:48: error: mqtt:// sends everything unencrypted"),
        BadDocument(site: [oneDevice, "routes: [{name: r, plaintext: allowed, clusters: [{name: c, url: \"mqtt://b:0\"}]}]"].map { $0.replacing("mqtt://b:0", with: "http://b") }, "16:68: error: 'http://b' is not mqtts://host:port or mqtt://host:port"),
        BadDocument(site: [oneDevice, "routes: [{name: r, plaintext: allowed, payload: json, topic: \"a/{devise}\", clusters: [{name: c, url: \"mqtts://b\"}], tls: {ca: a, certificate: b, key: c}}]"], "16:64: error: '{devise}' is not a placeholder of the topic", hint: "did you mean '{device}'?"),
        BadDocument(site: [oneDevice, "routes: [{name: r, inFlight: 1001, clusters: [{name: c, url: \"mqtts://b\"}], tls: {ca: a, certificate: b, key: c}}]"], "16:32: error: 1001 is out of range 1…1000"),
        BadDocument(site: [oneDevice, "routes: [{name: r, clusters: [{name: c, url: \"mqtts://b:99999\"}], tls: {ca: a, certificate: b, key: c}}]"], "16:48: error: 'mqtts://b:99999' has no valid host and port"),
        BadDocument(site: [oneDevice, "routes: [{name: r, clusters: [{name: c, url: \"mqtts://b\"}], tls: {ca: a, certificate: b}}]"], "16:68: error: tls has no 'key'"),
        BadDocument(site: [oneDevice, "log: {diskLimit: 1MiB}"], "16:20: error: 1MiB is out of range 8MiB…64TiB"),
        BadDocument(site: [oneDevice, "log: {commitInterval: 1ms}"], "16:25: error: 1ms is out of range 10ms…10s"),
        BadDocument(site: [oneDevice, "definitions: [nowhere/x.yaml]"], "16:17: error: cannot read 'FOLDER/nowhere/x.yaml': no such file", hint: "the folder 'FOLDER/nowhere' does not exist"),
        BadDocument(site: [oneDevice, "definitions: [tset.yaml]"], "16:17: error: cannot read 'FOLDER/tset.yaml': no such file", hint: "did you mean 'test.yaml'?"),
    ]

    // One row per line reads best, however long.
    // swift-format-ignore
    static let yaml: [BadDocument] = [
        BadDocument("kind: [Site\n", "2:1: error: this is not YAML: did not find expected ',' or ']' (while parsing a flow sequence, line 1)"),
        BadDocument("kind: Site\n\tspec: 1\n", "2:1: error: this is not YAML: found a tab character that violates indentation (while scanning a plain scalar, line 1)", hint: "line 2 is indented with a tab; YAML wants spaces"),
        BadDocument("kind: Site\u{1}\n", "1:11: error: control character 1 is not allowed in YAML"),
        BadDocument("kind: Si\u{200B}te\u{80}\n", "1:12: error: an invisible control character is not allowed in YAML"),
        BadDocument("kind: *nothing\n", "1:7: error: this is not YAML: found undefined alias"),
        BadDocument("a: &a [1]\n? *a\n: 2\n", "2:1: error: a key must be a plain name in a file that uses aliases (*name)"),
    ]
}
