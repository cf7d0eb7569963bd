import Telemetry
import Testing

@testable import Sparkplug

@Suite struct CommandTests {
    private let node: EdgeNode
    private let births: [SparkplugMessage]

    init() throws {
        var node = try EdgeNode.plant()
        node.register(Pump.fast, Pump.fastTags)
        _ = node.connecting(at: noon)
        births = node.births(at: noon)
        self.node = node
    }

    private func nodeCommand(_ metrics: [SparkplugMetric]) -> EdgeCommand {
        node.command(topic: "spBv1.0/plant-a/NCMD/line-1", payload: SparkplugPayload(timestamp: 1, metrics: metrics).encoded())
    }

    private func deviceCommand(_ metrics: [SparkplugMetric], device: String = "pump-1") -> EdgeCommand {
        node.command(topic: "spBv1.0/plant-a/DCMD/line-1/\(device)", payload: SparkplugPayload(timestamp: 1, metrics: metrics).encoded())
    }

    private func reason(_ command: EdgeCommand) -> String {
        if case .ignored(let reason) = command { return reason }
        return "not ignored: \(command)"
    }

    @Test(
        """
        tck-id-operational-behavior-data-commands-ncmd-rebirth-name, tck-id-operational-behavior-data-commands-ncmd-rebirth-value
        """)
    func rebirth() {
        #expect(nodeCommand([SparkplugMetric(name: "Node Control/Rebirth", datatype: 11, value: .boolean(true))]) == .rebirth)
        let no = SparkplugMetric(name: "Node Control/Rebirth", datatype: 11, value: .boolean(false))
        #expect(reason(nodeCommand([no])).contains("not true"))
        #expect(reason(nodeCommand([SparkplugMetric(name: "Node Control/Reboot", value: .boolean(true))])).contains("Node Control/Reboot"))
        #expect(reason(nodeCommand([])).contains("no metric"))
    }

    @Test(
        """
        tck-id-operational-behavior-data-commands-dcmd-metric-name, tck-id-operational-behavior-data-commands-dcmd-metric-value: by name \
        and by alias
        """)
    func write() throws {
        let alias = try births[1].decoded.metric("speed").alias
        let write = EdgeWriteCommand.Write(metric: "speed", tag: "speed", value: .uint(1200))
        let expected = EdgeCommand.write(EdgeWriteCommand(device: "pump-1", sentAt: Timestamp(milliseconds: 1), writes: [write]))
        #expect(deviceCommand([SparkplugMetric(name: "speed", value: .int(1200))]) == expected)
        #expect(deviceCommand([SparkplugMetric(alias: alias, datatype: 6, value: .int(1200))]) == expected)
        #expect(deviceCommand([SparkplugMetric(alias: alias, value: .long(1200))]) == expected, "older hosts send long values")
    }

    @Test func refusedWrites() {
        #expect(reason(deviceCommand([SparkplugMetric(name: "speed", value: .int(1))], device: "pump-9")).contains("no device 'pump-9'"))
        #expect(reason(deviceCommand([SparkplugMetric(name: "sped", value: .int(1))])).contains("no metric 'sped'"))
        #expect(reason(deviceCommand([SparkplugMetric(alias: 4711, value: .int(1))])).contains("with alias 4711"))
        #expect(reason(deviceCommand([SparkplugMetric(value: .int(1))])).contains("neither name nor alias"))
        #expect(reason(deviceCommand([SparkplugMetric(name: "speed", value: .string("fast"))])).contains("not of its type UInt16"))
        #expect(reason(deviceCommand([SparkplugMetric(name: "speed", value: .int(70_000))])).contains("not of its type UInt16"))
        #expect(reason(deviceCommand([SparkplugMetric(name: "speed", isNull: true)])).contains("not of its type"))
        #expect(reason(deviceCommand([])).contains("0 metrics"))
        let many = [SparkplugMetric](repeating: SparkplugMetric(name: "speed", value: .int(1)), count: 65)
        #expect(reason(deviceCommand(many)).contains("65 metrics, expected 1 to 64"))
        let half = [SparkplugMetric(name: "speed", value: .int(1)), SparkplugMetric(name: "sped", value: .int(1))]
        #expect(reason(deviceCommand(half)).contains("no metric 'sped'"), "one wrong metric refuses the whole command")
    }

    @Test(
        "Topics of others are none of this node's commands",
        arguments: [
            "", "/", "spBv1.0/plant-a/NCMD/line-2", "spBv1.0/plant-b/NCMD/line-1", "spBv1.0/plant-a/NCMD/line-1/pump-1",
            "spBv1.0/plant-a/DCMD/line-1", "spBv1.0/plant-a/DDATA/line-1/pump-1", "spAv1.0/plant-a/NCMD/line-1", "spBv1.0/STATE/host",
            "spBv1.0/plant-a/DCMD/line-1/a/b",
        ])
    func foreignTopics(_ topic: String) {
        let rebirth = SparkplugPayload(metrics: [SparkplugMetric(name: "Node Control/Rebirth", value: .boolean(true))]).encoded()
        #expect(reason(node.command(topic: topic, payload: rebirth)).contains("not one of this node's commands"))
    }

    @Test func garbage() {
        let command = node.command(topic: "spBv1.0/plant-a/NCMD/line-1", payload: Array("{\"rebirth\":true}".utf8))
        #expect(reason(command).contains("byte"))
    }
}
