import Telemetry
import TestKit
import Testing

@testable import Sparkplug

@Suite struct PrimaryHostTests {
    private var host: PrimaryHost

    init() throws { host = try PrimaryHost(id: "scada") }

    private mutating func hears(_ isOnline: Bool, _ timestamp: UInt64, topic: String = "spBv1.0/STATE/scada") -> PrimaryHost.Decision {
        host.receive(topic: topic, payload: SparkplugState(isOnline: isOnline, timestamp: timestamp).encoded())
    }

    private func isIgnored(_ decision: PrimaryHost.Decision, _ reason: String) -> Bool {
        if case .ignore(let text) = decision { return text.contains(reason) }
        return false
    }

    @Test(
        """
        tck-id-message-flow-edge-node-birth-publish-phid-wait, tck-id-message-flow-edge-node-birth-publish-phid-wait-online, \
        tck-id-operational-behavior-edge-node-birth-sequence-wait: births wait for online
        """)
    mutating func online() {
        #expect(!host.isOnline)
        let first = hears(true, 1000)
        #expect(first == .online && host.isOnline)
        let again = hears(true, 1000)
        #expect(isIgnored(again, "online already"))
        host.connecting()
        #expect(!host.isOnline, "every session waits anew")
        let retained = hears(true, 1000)
        #expect(retained == .online, "the same message, retained by the server")
    }

    @Test("tck-id-message-flow-edge-node-birth-publish-phid-wait-id: only the host that is waited for counts")
    mutating func otherHost() {
        let other = hears(true, 1000, topic: "spBv1.0/STATE/other")
        #expect(isIgnored(other, "not that of primary host 'scada'"))
        let old = hears(true, 1000, topic: "STATE/scada")
        #expect(isIgnored(old, "not that"))
        #expect(!host.isOnline)
    }

    @Test("tck-id-message-flow-edge-node-birth-publish-phid-wait-timestamp: an older message never says that the host is there")
    mutating func staleOnline() {
        let offline = hears(false, 2000)
        #expect(offline == .offline)
        host.connecting()
        let stale = hears(true, 1999)
        #expect(isIgnored(stale, "older than the last one, of 2000") && !host.isOnline)
        let newer = hears(true, 2000)
        #expect(newer == .online)
    }

    @Test(
        """
        tck-id-message-flow-edge-node-birth-publish-phid-offline, tck-id-operational-behavior-edge-node-termination-host-offline, \
        tck-id-operational-behavior-edge-node-termination-host-offline-timestamp, \
        tck-id-operational-behavior-primary-application-state-with-multiple-servers-walk: offline ends the session, an older one does not
        """)
    mutating func offline() {
        _ = hears(true, 1000)
        let stale = hears(false, 999)
        #expect(isIgnored(stale, "older than the last online") && host.isOnline)
        let same = hears(false, 1000)
        #expect(same == .offline && !host.isOnline, "a will has the time of its birth")
        host.connecting()
        let still = hears(false, 1000)
        #expect(still == .offline, "a session that still waits moves on as well")
    }

    @Test(
        "STATE messages that are none are passed over",
        arguments: [
            "", "ONLINE", "{", "{}", "[]", "true", #"{"online":true}"#, #"{"timestamp":5}"#, #"{"online":"true","timestamp":5}"#,
            #"{"online":1,"timestamp":5}"#, #"{"online":true,"timestamp":"5"}"#, #"{"online":true,"timestamp":-5}"#,
            #"{"online":true,"timestamp":1e300}"#, #"{"online":true,"timestamp":5"#, #"{"online":true,"timestamp":5}}"#,
            #"{"online":true,"online":false,"timestamp":5}"#, #"{"online":true,"timestamp":5,}"#, #"{"online":true "timestamp":5}"#,
            #"{"online":tru,"timestamp":5}"#, #"{"online":true,"timestamp":nan}"#, #"{"a":[1,{"b":"]"}"#, #"{"a\"#, #"{"a":"\"#,
        ])
    mutating func garbage(_ text: String) {
        let decision = host.receive(topic: host.topic, payload: Array(text.utf8))
        guard case .ignore(let reason) = decision else {
            Issue.record("\(text) counted: \(decision)")
            return
        }
        #expect(!reason.isEmpty && !host.isOnline)
    }

    @Test("Space, order and further keys do not matter")
    func tolerated() throws {
        let text =
            " {\n \"x\" : [1, {\"online\": false}, \"}\"], \"timestamp\" : 1.7672688e12 ,\"s\":\"a\\\"b\",\"n\":null, \"online\":true }\r\n"
        #expect(try SparkplugState(decoding: Array(text.utf8)) == SparkplugState(isOnline: true, timestamp: 1_767_268_800_000))
        #expect(throws: GatewayError.self) { try SparkplugState(decoding: [UInt8](repeating: 32, count: 5000)) }
        var random = SeededGenerator()
        let whole = SparkplugState(isOnline: false, timestamp: 1_767_268_800_123).encoded()
        #expect(try SparkplugState(decoding: whole) == SparkplugState(isOnline: false, timestamp: 1_767_268_800_123))
        for _ in 0..<2000 {
            var damaged = whole
            for _ in 0..<3 where !damaged.isEmpty { random.damage(&damaged) }
            _ = try? SparkplugState(decoding: damaged)
        }
    }

    @Test(
        """
        tck-id-operational-behavior-primary-application-state-with-multiple-servers-state-subs: the topic, and ids that can be none
        """)
    func topic() {
        #expect(host.topic == "spBv1.0/STATE/scada")
        for id in ["", "a/b", "+", "#"] { #expect(throws: GatewayError.self) { try PrimaryHost(id: id) } }
    }
}

@Suite struct CommandFreshnessTests {
    private func command(_ metric: String = "speed", at time: Timestamp?, device: String = "pump-1") -> EdgeWriteCommand {
        EdgeWriteCommand(device: device, sentAt: time, writes: [.init(metric: metric, tag: metric, value: .uint(1))])
    }

    @Test("scenario 24: a command counts once, near its time, and never after a newer one")
    func replays() {
        var freshness = CommandFreshness(startedAt: noon.adding(milliseconds: -500_000))
        func refusal(_ command: EdgeWriteCommand, isClockUncertain: Bool = false) -> String {
            freshness.refusal(of: command, at: noon, isClockUncertain: isClockUncertain) ?? "none"
        }
        #expect(refusal(command(at: nil)).contains("no timestamp"))
        #expect(refusal(command(at: noon), isClockUncertain: true).contains("clock"))
        #expect(refusal(command(at: noon.adding(milliseconds: -60_001))).contains("ago"))
        #expect(refusal(command(at: noon.adding(milliseconds: 60_001))).contains("ahead"))
        #expect(refusal(command(at: noon.adding(milliseconds: -60_000))) == "none")
        #expect(refusal(command(at: noon)) == "none")
        #expect(refusal(command(at: noon)).contains("twice, or late"))
        #expect(refusal(command(at: noon.adding(milliseconds: -1))).contains("twice, or late"))
        #expect(refusal(command(at: noon, device: "pump-2")) == "none", "other devices have their own times")
        #expect(refusal(command("mode", at: noon)) == "none")
        #expect(refusal(command(at: noon.adding(milliseconds: 1))) == "none")
    }

    @Test("What was sent before the route started may have been obeyed by the run before")
    func restart() {
        var freshness = CommandFreshness(startedAt: noon)
        let old = freshness.refusal(of: command(at: noon.adding(milliseconds: -1)), at: noon, isClockUncertain: false)
        #expect(old?.contains("before this route started") == true)
        #expect(freshness.refusal(of: command(at: noon), at: noon, isClockUncertain: false) == nil)
    }
}
