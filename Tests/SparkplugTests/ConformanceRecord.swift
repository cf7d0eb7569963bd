import Telemetry
import TestKit
import Testing

@testable import Sparkplug

/// A random life of an edge node: sessions with births, data, late devices, removals, rebirths and replays; what it published, in order.
struct ConformanceRecord {
    /// A message, and what it says: read once for all tests.
    struct Published {
        let topic: String
        let payload: [UInt8]
        let qualityOfService: Int32
        let retain: Bool
        private let result: Result<SparkplugPayload, any Error>
        var decoded: SparkplugPayload { get throws { try result.get() } }

        init(_ message: SparkplugMessage) {
            topic = message.topic
            payload = message.payload
            qualityOfService = message.qualityOfService
            retain = message.retain
            result = Result { try message.decoded }
        }
    }

    struct Session {
        var will: SparkplugMessage
        var messages: [Published] = []
    }

    static let flat = Result { try ConformanceRecord(withTemplates: false) }
    static let templated = Result { try ConformanceRecord(withTemplates: true) }

    private(set) var sessions: [Session] = []

    static let templates = ["pump-1": TemplateName(name: "feed-pump", version: "1.2.0"), "pump-2": TemplateName(name: "feed-pump")]
    private static let devices: [(StreamID, StreamDescriptor)] = [
        (Pump.fast, Pump.fastTags), (Pump.slow, Pump.slowTags), (Pump.health, Pump.healthTags),
        (StreamID(rawValue: 20), StreamDescriptor(device: "pump-2", group: "fast", tags: Pump.fastTags.tags)),
        (StreamID(rawValue: 21), StreamDescriptor(device: "fan", group: "fast", tags: [Tag("flow", .float32, unit: "m3/h")])),
        (StreamID(rawValue: 22), StreamDescriptor(device: "mill", group: "fast", tags: (0..<70).map { Tag("t\($0)", .int16) })),
    ]

    init(withTemplates: Bool) throws {
        var random = SeededGenerator()
        var node = try EdgeNode(
            groupID: "plant-a", nodeID: "line-1", version: "1.2.3", templates: withTemplates ? Self.templates : [:])
        var known = 2
        for (stream, descriptor) in Self.devices[..<known] { node.register(stream, descriptor) }
        var time = noon
        for _ in 0..<4 {
            var session = Session(will: node.connecting(at: time))
            session.messages = node.births(at: time).map(Published.init)
            for _ in 0..<300 {
                time = time.adding(milliseconds: Int64.random(in: 1...50, using: &random))
                if known < Self.devices.count, random.chance(2) {
                    node.register(Self.devices[known].0, Self.devices[known].1)
                    known += 1
                }
                if random.chance(1) {
                    let gone: Set<StreamID> = random.chance(50) ? [] : [StreamID(rawValue: 20)]
                    node.retain(Set(Self.devices[..<known].map(\.0)).subtracting(gone))
                }
                if random.chance(1) { session.messages += node.births(at: time).map(Published.init) }
                guard let (stream, descriptor) = Self.devices[..<known].randomElement(using: &random) else { continue }
                var batch = random.batch(stream, descriptor)
                batch.time = time
                session.messages += node.data(batch, isHistorical: random.chance(20), at: time).map(Published.init)
            }
            sessions.append(session)
        }
    }

    /// Every message but the wills.
    var messages: [Published] { sessions.flatMap(\.messages) }

    /// The messages of these types, decoded.
    func payloads(_ types: SparkplugMessageType...) throws -> [SparkplugPayload] {
        try messages.filter { SparkplugTopic($0.topic).map { types.contains($0.type) } ?? false }.map { try $0.decoded }
    }
}

extension SparkplugPayload {
    /// The metrics, and those within templates instead of the templates.
    var leaves: [SparkplugMetric] { metrics.flatMap(\.leaves) }
}

extension SparkplugMetric {
    fileprivate var leaves: [SparkplugMetric] {
        if case .template(let template)? = value { return template.metrics.flatMap(\.leaves) }
        return [self]
    }

    var template: SparkplugTemplate? {
        if case .template(let template)? = value { return template }
        return nil
    }
}
