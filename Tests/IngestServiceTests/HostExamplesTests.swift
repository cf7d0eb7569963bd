import Foundation
import Sparkplug
import Telemetry
import TestKit
import Testing

/// The programs of docs/hosts, with which others read what the gateway publishes.
@Suite struct HostExamplesTests {
    private static let node = ["/usr/bin/node", "/usr/bin/nodejs", "/usr/local/bin/node"].first {
        FileManager.default.isExecutableFile(atPath: $0)
    }

    /// Calls the function node's body with each line's topic and payload, and prints what it gives.
    private static let harness = """
        const fs = require("fs"), store = {};
        const body = new Function("msg", "context", "Buffer", fs.readFileSync(process.argv[1], "utf8"));
        const context = {get: key => store[key], set: (key, value) => { store[key] = value; }};
        for (const line of fs.readFileSync(process.argv[2], "utf8").trim().split("\\n")) {
            const [topic, hex] = line.split(" ");
            console.log(JSON.stringify(body({topic, payload: Buffer.from(hex, "hex")}, context, Buffer)));
        }
        """

    @Test("The function node for Node-RED gives our metrics their names, and asks for births that it missed", .enabled(if: node != nil))
    func functionNode() async throws {
        let folder = try TemporaryFolder()
        let noon = Timestamp(milliseconds: 1_767_268_800_000)
        let stream = StreamID(rawValue: 1)
        let tags = StreamDescriptor(
            device: "pump-1", group: "fast",
            tags: [Telemetry.Tag("temperature", .int16, scaling: Scaling(scale: 0.1)), Telemetry.Tag("level", .int16)])
        var edge = try EdgeNode(groupID: "plant", nodeID: "line-1", version: "1", epoch: 3)
        edge.register(stream, tags)
        _ = edge.connecting(at: noon)
        let births = edge.births(at: noon)
        func data(_ number: UInt64, _ quality: [QualityRun]) -> [SparkplugMessage] {
            var values: [UInt8] = []
            for value in [Int16(235), -7] { withUnsafeBytes(of: value.littleEndian) { values += Array($0) } }
            var batch = SampleBatch(stream: stream, time: noon, quality: quality, values: values)
            batch.epoch = 3
            batch.sequence = number
            return edge.data(batch, isHistorical: false, at: noon)
        }
        let good = data(1, [QualityRun(count: 2, status: .good)])
        let bad = data(2, [QualityRun(count: 1, status: .good), QualityRun(count: 1, status: .badTimeout)])
        let lines = (good + births + good + bad).map { message in
            message.topic + " " + message.payload.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        }
        try lines.joined(separator: "\n").write(toFile: folder.path + "/lines", atomically: true, encoding: .utf8)
        let process = try ForeignProcess(
            try #require(Self.node),
            ["-e", Self.harness, Checkout.root.appendingPathComponent("docs/hosts/node-red-sparkplug.js").path, folder.path + "/lines"])
        let status = try await process.waitForExit()
        try await process.drained()
        #expect(status == 0, "\(process.errorText)")
        let output = process.allLines
        try #require(output.count == lines.count)
        // Data before births: nothing to show, and a request for them that the gateway obeys.
        #expect(output[0].hasPrefix("[null,"))
        let rebirth = Array("Node Control/Rebirth".utf8)
        let request: [UInt8] = [0x12, UInt8(rebirth.count + 6), 0x0A, UInt8(rebirth.count)] + rebirth + [0x20, 11, 0x70, 1]
        #expect(output[0].contains("\"data\":[\(request.map(String.init).joined(separator: ","))]"))
        #expect(edge.command(topic: "spBv1.0/plant/NCMD/line-1", payload: request) == .rebirth)
        #expect(output[lines.count - 2].contains(#""temperature":{"value":23.5,"time":1767268800000,"quality":192}"#))
        #expect(output[lines.count - 2].contains(#""level":{"value":-7,"time":1767268800000,"quality":192}"#))
        #expect(output[lines.count - 1].contains(#""level":{"value":null,"time":1767268800000,"quality":0}"#))
        #expect(output[1...].allSatisfy { $0.hasSuffix(",null]") })
    }
}
