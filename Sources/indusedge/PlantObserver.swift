internal import Foundation
internal import GatewayCore
internal import Sparkplug
internal import Synchronization
internal import Telemetry
internal import Uplink

/// What a subscriber has learned so far of a plant. Fed by the connection's thread, read by the view.
final class PlantObserver: Sendable {
    struct Machine: Sendable {
        var values: [String: SparkplugUpdate] = [:]
        /// In the order of the birth.
        var names: [String] = []
        var lowestHealth: Double?
        var health: Double?
        var state = ""
        var reason = ""
        /// What the gateway says of its connection to the device, and why; empty until it does.
        var connection = ""
        var connectionReason = ""

        /// In plain words; empty while all is well.
        var trouble: String {
            guard let words = DeviceWords.of(connection) else { return "" }
            return connectionReason.isEmpty ? words : "\(words): \(connectionReason)"
        }
    }

    struct Picture: Sendable {
        var machines: [String: Machine] = [:]
        var tlsVersion: String?
        var isConnected = false
        var trouble = ""
        var messages: UInt64 = 0
        var samples: UInt64 = 0
        var violations: [String] = []
        var violationCount: UInt64 = 0
    }

    private struct State {
        var picture = Picture()
        var reader = SparkplugReader()
        /// Edge nodes whose birth was seen, and those that were asked for one.
        var born: Set<String> = []
        var asked: Set<String> = []
    }

    let broker: String
    let start: MonotonicInstant
    private let state = Mutex(State())
    /// The most violations that are kept for the report.
    private static let violationsMax = 20

    init(broker: String, start: MonotonicInstant) {
        self.broker = broker
        self.start = start
    }

    var picture: Picture { state.withLock { $0.picture } }

    func lost(_ error: any Error) {
        state.withLock { state in
            state.picture.isConnected = false
            state.picture.trouble = error.chain.joined(separator: ": ")
        }
    }

    /// Takes what the connection tells; returns what to publish.
    func receive(_ event: Subscriber.Event, at time: Timestamp) -> [Subscriber.Publication] {
        state.withLock { state in
            switch event {
            case .connected(let tlsVersion):
                state.picture.isConnected = true
                state.picture.trouble = ""
                state.picture.tlsVersion = tlsVersion
                state.asked = []
                return []
            case .message(let topic, let payload):
                let reception = state.reader.receive(topic: topic, payload: payload)
                guard let source = reception.topic, source.type != .nodeCommand, source.type != .deviceCommand else { return [] }
                state.picture.messages += 1
                let node = "\(source.group)/\(source.node)"
                if source.type == .nodeBirth { state.born.insert(node) }
                guard state.born.contains(node) else {
                    // We came after its births: aliases mean nothing yet, so it is asked to say its names again, once.
                    return state.asked.insert(node).inserted ? [rebirth(of: source, at: time)] : []
                }
                state.picture.violationCount += UInt64(reception.violations.count)
                state.picture.violations.append(
                    contentsOf: reception.violations.prefix(Self.violationsMax - state.picture.violations.count))
                // A birth repeats known values; only data is new samples.
                if source.type == .deviceData || source.type == .nodeData { state.picture.samples += UInt64(reception.updates.count) }
                for update in reception.updates { state.picture.take(update) }
                return []
            }
        }
    }

    /// Source: Sparkplug 3.0.0, tck-id-operational-behavior-data-commands-rebirth-verb and its neighbours.
    private func rebirth(of source: SparkplugTopic, at time: Timestamp) -> Subscriber.Publication {
        let milliseconds = UInt64(max(0, time.milliseconds))
        let payload = SparkplugPayload(
            timestamp: milliseconds,
            metrics: [
                SparkplugMetric(
                    name: "Node Control/Rebirth", timestamp: milliseconds, datatype: SparkplugDataType.boolean.rawValue,
                    value: .boolean(true))
            ])
        return .init(topic: "\(SparkplugTopic.namespace)/\(source.group)/NCMD/\(source.node)", payload: payload.encoded())
    }

    private struct Report: Encodable {
        struct Health: Encodable {
            let min: Double?
            let last: Double?
            let reason: String
        }
        let samples: UInt64
        let messages: UInt64
        let tls: String?
        let health: [String: Health]
        let violations: UInt64
        let firstViolations: [String]
    }

    func write(_ file: String) {
        let picture = picture
        let report = Report(
            samples: picture.samples, messages: picture.messages, tls: picture.tlsVersion,
            health: picture.machines.mapValues { .init(min: $0.lowestHealth, last: $0.health, reason: $0.reason) },
            violations: picture.violationCount, firstViolations: picture.violations)
        do {
            try JSONEncoder().encode(report).write(to: URL(fileURLWithPath: file), options: .atomic)
        } catch {
            Output.trouble("error: the report \(file) cannot be written: \(error)")
        }
    }
}

extension PlantObserver.Picture {
    fileprivate mutating func take(_ update: SparkplugUpdate) {
        guard let device = update.device else { return }
        var machine = machines[device, default: .init()]
        switch update.name {
        case "Health/score":
            // Uncertain while learning: shown, but not taken for a verdict.
            if let score = update.value.value?.number, update.value.status.isGood {
                machine.health = score
                machine.lowestHealth = min(machine.lowestHealth ?? score, score)
            }
        case "Health/state": machine.state = update.value.value?.description ?? ""
        case "Diagnostics/state": machine.connection = update.value.value?.description ?? ""
        case "Diagnostics/reason": machine.connectionReason = update.value.value?.description ?? ""
        case "Health/reason": machine.reason = update.value.value?.description ?? ""
        default:
            if machine.values.updateValue(update, forKey: update.name) == nil { machine.names.append(update.name) }
        }
        machines[device] = machine
    }
}
