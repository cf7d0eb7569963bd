import Definitions
import Foundation
import Telemetry
import Testing

@Suite struct LoadingTests {
    /// Both kinds in one file.
    static let example = """
        apiVersion: edge.indusedge.io/v1
        kind: ProtocolDefinition
        metadata: {name: acme-feed-pump, version: 1.2.0}
        spec:
          protocol: modbus
          byteOrder: bigEndian        # ABCD | CDAB | BADC | DCBA per tag where it differs
          scanGroups: {fast: 100ms, slow: 10s}
          tags:
            - {name: bearingTemperature, address: "holding:40", type: int16, scale: 0.1, unit: Cel, scanGroup: fast, deadband: {absolute: 0.1}}
            - {name: runHours, address: "holding:42", type: uint32, unit: h, scanGroup: slow}
            - {name: speedSetpoint, address: "holding:50", type: uint16, unit: 1/min, access: readWrite, limits: {min: 0, max: 3000, maxStep: 200}}
        ---
        apiVersion: edge.indusedge.io/v1
        kind: Site
        metadata: {name: plant-a-line-1}
        spec:
          devices:
            - {name: pump-1, definition: acme-feed-pump, connection: {modbusTCP: {host: 127.0.0.1, port: 1502, unit: 1}}}
          routes:
            - name: central
              payload: sparkplugB          # or json
              clusters:
                - {name: east, url: "mqtts://broker-east:8883", weight: 70}
                - {name: west, url: "mqtts://broker-west:8883", weight: 30}
              failover: latencyAware
              tls: {ca: ca.crt, certificate: client.crt, key: client.key}
        """

    @Test func exampleLoads() throws {
        let loaded = try load(Self.example)
        #expect(loaded.diagnostics == [])
        let site = try #require(loaded.site)
        #expect(site.name == "plant-a-line-1")
        let device = try #require(site.devices.first)
        #expect(device.connection == .modbusTCP(ModbusTCPConnection(host: "127.0.0.1", port: 1502, unit: 1)))
        #expect(device.responseTimeout == .seconds(1))
        #expect(device.connectTimeout == .seconds(3))
        #expect(device.scanGroups == [ScanGroup(name: "fast", period: .milliseconds(100)), ScanGroup(name: "slow", period: .seconds(10))])
        #expect(device.tags(of: "fast").map(\.name) == ["bearingTemperature", "speedSetpoint"])

        let temperature = device.tags[0]
        #expect(temperature.address == ModbusAddress(table: .holding, offset: 40))
        #expect(temperature.tag == Tag("bearingTemperature", .int16, scaling: Scaling(scale: 0.1), unit: "Cel"))
        #expect(temperature.deadband == 0.1)
        #expect(device.tags[1].unitCount == 2)
        #expect(device.tags[2].access == .readWrite)
        #expect(device.tags[2].limits == WriteLimits(minimum: 0, maximum: 3000, maximumStep: 200))

        #expect(site.assets == [Asset(name: "pump-1", members: [AssetMember(device: "pump-1")])])
        let route = try #require(site.routes.first)
        #expect(route.group == "plant-a-line-1")
        #expect(route.node == "plant-a-line-1")
        #expect(route.inFlight == 64)
        #expect(route.keepAlive == .seconds(30))
        #expect(route.clusters.map(\.host) == ["broker-east", "broker-west"])
        #expect(route.clusters.allSatisfy { $0.isEncrypted && $0.port == 8883 })
        #expect(route.tls?.minimumVersion == .tls13)
        #expect(route.tls.map { $0.certificateAuthority.hasSuffix("/ca.crt") && $0.certificateAuthority.hasPrefix("/") } == true)
        #expect(site.log.diskLimit == 1 << 30)
        #expect(site.log.commitInterval == .milliseconds(100))
        #expect(site.log.keepFor == nil)
        #expect(site.scoring == ScoringSettings(isEnabled: true, publishEvery: .seconds(1)))
        #expect(site.clock == ClockSettings(trust: .synchronized))
    }

    @Test func everyKeyIsUsed() throws {
        let text =
            definition(
                tags:
                    "{name: a, address: \"input:3\", type: float32, byteOrder: CDAB, scale: 2, offset: -1, unit: kPa, scanGroup: slow, score: false, description: d}",
                "{name: b, address: \"holding:7.15\", type: bool}", "{name: c, address: \"coil:7\", type: bool, access: readWrite}",
                "{name: d, address: \"discrete:65535\", type: bool}",
                "{name: e, address: \"holding:20\", type: float64, byteOrder: littleEndian, range: {min: 0, max: 50}, deadband: {percentOfRange: 2}}",
                "{name: f, address: \"holding:30\", type: string, length: 5}")
                + """
                ---
                apiVersion: edge.indusedge.io/v1
                kind: Site
                metadata: {name: plant}
                spec:
                  clock: {trust: system}
                  devices:
                    - name: p1
                      definition: pump
                      connection: {modbusRTU: {port: /dev/ttyS0, baudRate: 9600, parity: none, stopBits: 2, unit: 17}}
                      responseTimeout: 250ms
                      connectTimeout: 1m
                      scanGroups: {slow: 1m}
                      disabledTags: [b]
                  assets:
                    - {name: skid, devices: [p1], tags: [p1.e]}
                  routes:
                    - name: r
                      payload: json
                      topic: "x/{device}"
                      group: g
                      node: n
                      clusters: [{name: c, url: "mqtt://[::1]"}]
                      inFlight: 1
                      keepAlive: 5s
                      clientID: me
                      plaintext: allowed
                  log: {path: /var/lib/x, diskLimit: 8MiB, commitInterval: 10ms, keepFor: 30d}
                  scoring: {enabled: false, publishEvery: 500ms}
                """
        let loaded = try load(text)
        #expect(loaded.diagnostics.map(\.description).filter { $0.contains(": error: ") } == [])
        #expect(loaded.diagnostics.map(\.message) == ["this cluster is reached without encryption"])
        let site = try #require(loaded.site)
        let device = site.devices[0]
        #expect(
            device.connection
                == .modbusRTU(ModbusRTUConnection(port: "/dev/ttyS0", baudRate: 9600, parity: .none, dataBits: 8, stopBits: 2, unit: 17)))
        #expect(device.responseTimeout == .milliseconds(250))
        #expect(device.connectTimeout == .seconds(60))
        #expect(device.scanGroups.map(\.period) == [.milliseconds(100), .seconds(60)])
        #expect(device.tags.map(\.name) == ["a", "c", "d", "e", "f"])
        #expect(device.tags[0].byteOrder == .cdab)
        #expect(device.tags[0].scaling == Scaling(scale: 2, offset: -1))
        #expect(!device.tags[0].isScored)
        #expect(device.definition.tags[1].address == ModbusAddress(table: .holding, offset: 7, bit: 15))
        #expect(device.definition.tags[1].unitCount == 1)
        #expect(device.tags[3].byteOrder == .dcba)
        #expect(device.tags[3].deadband == 1)
        #expect(device.tags[3].unitCount == 4)
        #expect(device.tags[4].unitCount == 3)
        #expect(device.tags[4].stringLength == 5)
        #expect(site.assets == [Asset(name: "skid", members: [AssetMember(device: "p1"), AssetMember(device: "p1", tag: "e")])])
        let route = site.routes[0]
        #expect(route.payload == .json)
        #expect(route.topic == "x/{device}")
        #expect((route.group, route.node) == ("g", "n"))
        #expect(route.clusters == [Cluster(name: "c", host: "::1", port: 1883, isEncrypted: false, weight: 1)])
        #expect(route.clientID == "me")
        #expect(route.tls == nil)
        #expect(
            site.log
                == LogSettings(path: "/var/lib/x", diskLimit: 8 << 20, commitInterval: .milliseconds(10), keepFor: .seconds(30 * 86_400)))
        #expect(site.scoring == ScoringSettings(isEnabled: false, publishEvery: .milliseconds(500)))
        #expect(site.clock == ClockSettings(trust: .system))
    }

    @Test func demoPlantLoads() throws {
        let file = repository.appendingPathComponent("firmware-config/demo/site.yaml").path
        let loaded = ConfigurationLoader().load(files: [file], environment: ["INDUS_BROKER_PORT": "20001", "INDUS_DATA": "/tmp/d"])
        #expect(loaded.diagnostics == [])
        let site = try #require(loaded.site)
        #expect(site.devices.map(\.name) == ["feed-pump", "cnc-spindle", "air-compressor"])
        #expect(site.devices.map(\.tags.count) == [9, 7, 8])
        #expect(site.routes[0].clusters[0].port == 20001)
        #expect(site.log.path == "/tmp/d")
        #expect(site.devices[0].connection == .modbusTCP(ModbusTCPConnection(host: "127.0.0.1", port: 15021, unit: 1)))
        #expect(site.routes[0].tls?.key == repository.appendingPathComponent("firmware-config/demo").path + "/identity/gateway.key")
        let pump = site.devices[0].tags
        #expect(pump.map(\.address.offset) == [0, 1, 2, 3, 4, 5, 6, 8, 10])
        #expect(pump[8].unitCount == 8)
    }

    @Test func everyShippedDefinitionLoads() throws {
        let folder = repository.appendingPathComponent("protocols")
        let files = try #require(FileManager.default.enumerator(atPath: folder.path)).compactMap { $0 as? String }.filter {
            $0.hasSuffix(".yaml")
        }
        #expect(files.count >= 3)
        for file in files {
            let loaded = ConfigurationLoader().load(files: [folder.appendingPathComponent(file).path], environment: [:])
            #expect(loaded.diagnostics == [], "\(file)")
            #expect(loaded.definitions.count >= 1, "\(file)")
        }
    }

    @Test func definitionsInOtherFilesAreFound() throws {
        let folder = try TemporaryFolder()
        _ = try folder.file("library/pump.yaml", definition(tags: "{name: t, address: \"holding:0\", type: int16}"))
        let file = try folder.file(
            "sites/site.yaml",
            """
            apiVersion: edge.indusedge.io/v1
            kind: Site
            metadata: {name: plant}
            spec:
              definitions: [../library/pump.yaml]
              devices: [{name: p1, definition: pump, connection: {modbusTCP: {host: localhost}}}]
            """)
        let loaded = ConfigurationLoader().load(files: [file], environment: [:])
        #expect(loaded.diagnostics == [])
        #expect(loaded.site?.devices.first?.definition.name == "pump")
        #expect(loaded.site?.log.path.hasSuffix("/sites/data") == true)

        let both = ConfigurationLoader().load(files: [file, folder.url.path + "/library/pump.yaml"], environment: [:])
        #expect(both.diagnostics == [], "a file that is given and named is read once")
    }

    @Test func documentedExampleLoadsWithoutAWord() throws {
        let page = try String(contentsOf: repository.appendingPathComponent("docs/configuration.md"), encoding: .utf8)
        let block = try #require(page.split(separator: "```").first { $0.hasPrefix("yaml\napiVersion") })
        let loaded = try load(String(block.dropFirst(5)))
        #expect(loaded.diagnostics == [])
        #expect(loaded.site?.name == "plant-a-line-1")
    }

    @Test func environmentVariables() throws {
        let text = site(
            "devices: [{name: p1, definition: pump, connection: {modbusTCP: {host: \"${HOST}\", port: \"${PORT:-1502}\"}}}]",
            "log: {path: \"/x/$${A}/${EMPTY:-y}\"}")
        let loaded = try load(text, environment: ["HOST": "plc", "EMPTY": ""])
        #expect(loaded.diagnostics == [])
        #expect(loaded.site?.devices[0].connection == .modbusTCP(ModbusTCPConnection(host: "plc", port: 1502, unit: 1)))
        #expect(loaded.site?.log.path == "/x/${A}/y")
    }

    @Test func windowsLineEndingsAndByteOrderMarkAreAccepted() throws {
        let folder = try TemporaryFolder()
        let text = "\u{FEFF}" + Self.example.replacingOccurrences(of: "\n", with: "\r\n")
        let loaded = ConfigurationLoader().load(files: [try folder.file("a.yaml", text)], environment: [:])
        #expect(!loaded.hasErrors)
        #expect(loaded.site != nil)
    }

    @Test func aliasesAreWrittenOut() throws {
        let loaded = try load(
            definition(
                tags: "{name: a, address: \"holding:0\", type: int16, deadband: &fine {absolute: 0.5}}",
                "{name: b, address: \"holding:1\", type: int16, deadband: *fine}"))
        #expect(loaded.diagnostics == [])
        #expect(loaded.definitions[0].tags[1].deadband == 0.5)
    }
}
