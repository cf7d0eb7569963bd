import Definitions
import Foundation
import Telemetry
import TestKit
import Testing

/// Random sites of a few devices, and edits as people make them.
private struct SiteMaker {
    var random: SeededGenerator

    init() { random = SeededGenerator() }

    mutating func pick<Element>(_ elements: [Element]) -> Element { elements[Int.random(in: 0..<elements.count, using: &random)] }

    mutating func tag(_ name: String) -> TagDefinition {
        TagDefinition(
            name: name, address: ModbusAddress(table: pick([.holding, .input]), offset: Int.random(in: 0...9, using: &random)),
            unitCount: 1,
            dataType: pick([.int16, .uint16]), stringLength: 0, byteOrder: .abcd, scaling: Scaling(scale: pick([1, 0.1])),
            unit: pick(["", "Cel"]), scanGroup: "fast", deadband: pick([nil, 0.5]), access: pick([.read, .readWrite]),
            description: pick([nil, "prose"]), isScored: pick([true, false]))
    }

    mutating func device(_ name: String) -> Device {
        let tags = (0...Int.random(in: 0...3, using: &random)).map { tag("t\($0)") }
        let group = ScanGroup(name: "fast", period: .milliseconds(pick([100, 200])))
        let definition = ProtocolDefinition(
            name: pick(["a", "b"]), version: pick(["1.0.0", "1.0.1"]), description: pick([nil, "prose"]), wireProtocol: .modbus,
            scanGroups: [group], tags: tags, file: pick(["x.yaml", "y.yaml"]))
        return Device(
            name: name, definition: definition,
            connection: .modbusTCP(ModbusTCPConnection(host: pick(["h1", "h2"]), port: pick([502, 503]), unit: 1)),
            connectTimeout: .seconds(3), responseTimeout: .seconds(pick([1, 2])), scanGroups: [group], tags: tags)
    }

    mutating func route(_ name: String) -> Route {
        Route(
            name: name, payload: pick([.json, .sparkplugB]), group: "g", node: "n", topic: "t",
            clusters: [Cluster(name: "c", host: pick(["b1", "b2"]), port: 8883, isEncrypted: true, weight: 1)], failover: .ordered,
            inFlight: pick([1, 64]), keepAlive: .seconds(30))
    }

    mutating func site() -> Site {
        let devices = (0..<4).shuffled(using: &random).prefix(Int.random(in: 1...4, using: &random)).map { device("d\($0)") }
        var site = Site(
            name: "plant", description: pick([nil, "prose"]), devices: devices,
            assets: devices.map {
                Asset(name: $0.name, members: [AssetMember(device: $0.name), AssetMember(device: "d0", tag: pick(["t0", "t1"]))])
            },
            routes: (0..<2).shuffled(using: &random).prefix(Int.random(in: 0...2, using: &random)).map { route("r\($0)") },
            log: LogSettings(path: pick(["data", "other"]), diskLimit: 1 << 30, commitInterval: .milliseconds(100)),
            scoring: ScoringSettings(isEnabled: pick([true, false]), publishEvery: .seconds(1)), file: pick(["site.yaml", "s.yaml"]))
        site.healthGate.goodTagsDropMax = pick([0.1, 0.2])
        return site
    }

    /// The same site in other words.
    mutating func reworded(_ site: Site) -> Site {
        var site = site
        site.description = pick(["other prose", nil])
        site.file = "elsewhere.yaml"
        site.devices.shuffle(using: &random)
        site.assets.shuffle(using: &random)
        site.routes.shuffle(using: &random)
        for index in site.devices.indices {
            site.devices[index].definition.version = "9.9.9"
            site.devices[index].definition.source = "another edition"
            for tag in site.devices[index].tags.indices { site.devices[index].tags[tag].description = "other prose" }
        }
        for index in site.assets.indices { site.assets[index].members.shuffle(using: &random) }
        return site
    }
}

@Suite struct SiteDifferenceTests {
    @Test("any two sites: the difference makes one of the other, names what changed, and nothing else")
    func appliedGivesTheOther() {
        var maker = SiteMaker()
        for _ in 0..<2000 {
            let (old, new) = (maker.site(), maker.site())
            let difference = SiteDifference(from: old, to: new)
            #expect(difference.applied(to: old) == new.effective, "seed \(maker.random.seed)")
            #expect(difference.isEmpty == (old.effective == new.effective), "seed \(maker.random.seed)")
            #expect(difference.isEmpty == difference.changes.isEmpty, "seed \(maker.random.seed): \(difference)")
            for change in difference.devices {
                let words = difference.changes.contains { $0.hasPrefix("device \(change.name)") }
                #expect(words && change.old != change.new, "seed \(maker.random.seed): \(change)")
            }
            let untouched = Set(new.devices.map(\.name)).subtracting(difference.devices.map(\.name))
            for name in untouched {
                let before = old.devices.first { $0.name == name }?.effective
                let after = new.devices.first { $0.name == name }?.effective
                #expect(before == after, "seed \(maker.random.seed): \(name)")
            }
        }
    }

    @Test("the same in other words is no difference")
    func reworded() {
        var maker = SiteMaker()
        for _ in 0..<500 {
            let site = maker.site()
            let difference = SiteDifference(from: site, to: maker.reworded(site))
            #expect(difference.isEmpty && difference.needsRestart.isEmpty, "seed \(maker.random.seed): \(difference.changes)")
        }
    }

    @Test("the words name the place, what stood there and what stands there now")
    func words() throws {
        var maker = SiteMaker()
        var old = maker.site()
        old.devices = [maker.device("pump")]
        old.devices[0].connection = .modbusTCP(ModbusTCPConnection(host: "10.0.0.1", port: 502, unit: 1))
        old.devices[0].tags = [maker.tag("level"), maker.tag("gone")]
        old.devices[0].tags[0].address = ModbusAddress(table: .holding, offset: 40)
        old.devices[0].tags[0].deadband = nil
        old.devices[0].responseTimeout = .seconds(1)
        old.log.path = "data"
        var new = old
        new.devices[0].connection = .modbusTCP(ModbusTCPConnection(host: "10.0.0.2", port: 502, unit: 1))
        new.devices[0].tags[0].address = ModbusAddress(table: .holding, offset: 41)
        new.devices[0].tags[0].deadband = 0.5
        new.devices[0].tags[1].name = "come"
        new.devices[0].responseTimeout = .milliseconds(500)
        new.devices.append(maker.device("new"))
        new.log.path = "elsewhere"
        let difference = SiteDifference(from: old, to: new)
        #expect(difference.changes.prefix(2) == ["device new is added", "device pump: connection.modbusTCP.host 10.0.0.1 → 10.0.0.2"])
        #expect(difference.changes.contains("device pump: responseTimeout 1s → 500ms"))
        #expect(difference.changes.contains("device pump: tags.level.address holding:40 → holding:41"))
        #expect(difference.changes.contains("device pump: tags.level.deadband none → 0.5"))
        #expect(difference.changes.contains("device pump: tags.gone is removed"))
        #expect(difference.changes.contains("device pump: tags.come is added"))
        #expect(difference.changes.contains("site: log.path data → elsewhere"))
        #expect(difference.needsRestart.count == 1 && difference.needsRestart[0].hasPrefix("log.path data → elsewhere: this cannot change"))
        // The order of the tags is the shape of the samples.
        var turned = old
        turned.devices[0].tags.reverse()
        #expect(SiteDifference(from: old, to: turned).changes == ["device pump: tags order level, gone → order gone, level"])
    }

    @Test("percentages are numbers with a sign, 0 to 100", arguments: ["10%", "10 %", "0%", "100%", "2.5 %"])
    func percentages(_ text: String) throws {
        #expect(
            try load(
                site(
                    "healthGate: {within: 5s, goodTagsDropMax: \(text)}",
                    "devices: [{name: d, definition: pump, connection: {modbusTCP: {host: h}}}]")
            ).site != nil)
    }

    @Test("what is no percentage is refused with an example", arguments: ["10", "110%", "-1%", "%", "a%", "1.%", "0.1  %", "1e1%"])
    func noPercentages(_ text: String) throws {
        let loaded = try load(
            site("healthGate: {goodTagsDropMax: '\(text)'}", "devices: [{name: d, definition: pump, connection: {modbusTCP: {host: h}}}]"))
        #expect(loaded.site == nil)
        #expect(loaded.diagnostics.contains { $0.path == "spec.healthGate.goodTagsDropMax" && $0.line > 1 }, "\(loaded.diagnostics)")
    }

    @Test("a load can be repeated from what it read, whatever becomes of the files; any other text has another digest")
    func bundles() throws {
        let folder = try TemporaryFolder()
        _ = try folder.file("d/pump.yaml", definition(tags: "{name: t, address: \"holding:0\", type: int16}"))
        let path = try folder.file(
            "site.yaml",
            """
            apiVersion: edge.indusedge.io/v1
            kind: Site
            metadata: {name: plant}
            spec:
              definitions: [d/pump.yaml]
              devices: [{name: d, definition: pump, connection: {modbusTCP: {host: "${HOST}"}}}]
              log: {path: kept}
            """)
        let environment = ["HOST": "h"]
        let loaded = ConfigurationLoader().load(files: [path], environment: environment)
        #expect(loaded.site != nil && loaded.bundle.files.count == 2 && loaded.logPath?.hasSuffix("/kept") == true)
        try FileManager.default.removeItem(at: folder.url)
        let again = ConfigurationLoader().load(loaded.bundle, environment: environment)
        #expect(again.site == loaded.site && again.bundle == loaded.bundle)
        #expect(ConfigurationLoader().load(files: [path], environment: environment).bundle.digest != loaded.bundle.digest)
        var changed = loaded.bundle
        changed.files[1].text?.append(" ")
        #expect(changed.digest != loaded.bundle.digest)
        // The end of one text is not the beginning of the next.
        let texts = ConfigurationBundle(given: ["a"], files: [.init(path: "a", text: "xy"), .init(path: "b", text: "z")])
        let moved = ConfigurationBundle(given: ["a"], files: [.init(path: "a", text: "x"), .init(path: "b", text: "yz")])
        #expect(texts.digest != moved.digest)
    }

    @Test(
        "the folder of the log is found in documents beyond reading",
        arguments: [
            ("spec:\n  log: {path: /var/x, diskLimit: 1GiB}\n}}}", "/var/x"),
            ("spec:\n  log:\n    diskLimit: 1\n    path: \"a b\" # c\n[", "/s/a b"),
            ("  log: {diskLimit: 64MiB, path: ${DATA:-/d}}\n}", "/d"), ("log:\n  path: ${SET}\n", "/env"), ("nothing: here", "/s/data"),
            ("catalog: {path: /wrong}", "/s/data"), ("log:", "/s/data"), ("log:\n  path:", "/s/data"), ("", "/s/data"),
        ])
    func guesses(_ text: String, _ expected: String) {
        let bundle = ConfigurationBundle(given: ["/s/site.yaml"], files: [.init(path: "/s/site.yaml", text: text)])
        let guesses = LogPathGuess.paths(in: bundle, environment: ["SET": "/env"])
        #expect(guesses.first == expected && guesses.last == "/s/data", "\(guesses)")
    }
}
