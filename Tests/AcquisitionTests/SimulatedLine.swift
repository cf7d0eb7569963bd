import GatewayCore
import Logging
import Telemetry
import TestKit

import struct Telemetry.Tag

@testable import Acquisition

/// A line in a simulation: one connection on which one request is under way at a time, first come, first served, and what is at its end.
final actor SimulatedLine {
    enum State: Sendable { case up, refusing, blackHole }

    private let simulation: Simulation
    let answerTime: Duration
    let responseTimeout: Duration
    nonisolated let shared = SharedLine()
    private(set) var state = State.up
    private(set) var isConnected = false
    private(set) var attempts: [MonotonicInstant] = []
    private(set) var connections = 0
    private var isBusy = false
    private var queue: [CheckedContinuation<Void, Never>] = []
    /// Time waited for answers that did not come.
    private(set) var silence = Duration.zero

    nonisolated var unownedExecutor: UnownedSerialExecutor { simulation.asUnownedSerialExecutor() }

    init(_ simulation: Simulation, answerTime: Duration = .milliseconds(10), responseTimeout: Duration = .seconds(1)) {
        self.simulation = simulation
        self.answerTime = answerTime
        self.responseTimeout = responseTimeout
    }

    /// The far end changes; whoever restarts or goes away with a word ends the connection, who vanishes does not.
    func set(_ next: State) {
        if next != .blackHole { isConnected = false }
        state = next
    }

    func hangUp() { isConnected = false }

    func connect() async throws {
        if isConnected { return }
        attempts.append(simulation.now)
        guard state == .up else {
            if state == .blackHole { try await simulation.sleep(for: .seconds(3)) }
            throw GatewayError(.connectionFailed, resource: "line", operation: "connect", "nobody is there")
        }
        isConnected = true
        connections += 1
    }

    func disconnect() { isConnected = false }

    /// One request; returns whether an answer came in time.
    func ask(answers: Bool) async throws -> Bool {
        try await occupy {
            try checkConnection()
            let isAnswered = answers && state == .up
            if !isAnswered { silence += responseTimeout }
            try await simulation.sleep(for: isAnswered ? answerTime : responseTimeout)
            try checkConnection()
            return isAnswered
        }
    }

    private func checkConnection() throws {
        if isConnected, state != .refusing { return }
        isConnected = false
        throw GatewayError(.connectionLost, resource: "line", operation: "read", "reset by peer")
    }

    private func occupy<Result: Sendable>(_ body: () async throws -> Result) async throws -> Result {
        if isBusy {
            await withCheckedContinuation {
                if isBusy {
                    queue.append($0)
                } else {
                    isBusy = true
                    $0.resume()
                }
            }
        }
        isBusy = true
        defer {
            isBusy = !queue.isEmpty
            if isBusy { queue.removeFirst().resume() }
        }
        return try await body()
    }
}

/// A unit on a simulated line.
final actor SimulatedUnit: ProtocolAdapter, LineSharing {
    enum Behaviour: Sendable, Equatable {
        case answer, silent, refuse
        /// Each request is lost with this probability.
        case lossy(Double)
        /// Only the first request of each poll is answered.
        case partial
        /// The group with this number is never answered.
        case silentGroup(StreamID)
    }

    private let line: SimulatedLine
    private let simulation: Simulation
    private let retries: Int
    private(set) var behaviour = Behaviour.answer
    private var isAnswering = false
    private(set) var answered = 0
    private(set) var asked = 0
    private(set) var silence = Duration.zero
    private var generator: SeededGenerator

    nonisolated var unownedExecutor: UnownedSerialExecutor { simulation.asUnownedSerialExecutor() }
    nonisolated var sharedLine: SharedLine { line.shared }

    init(_ line: SimulatedLine, _ simulation: Simulation, retries: Int = 1, seed: UInt64 = 1) {
        self.line = line
        self.simulation = simulation
        self.retries = retries
        generator = SeededGenerator(seed: seed)
    }

    func set(_ next: Behaviour) { behaviour = next }
    func connect() async throws {
        try await line.connect()
        isAnswering = false
    }
    func disconnect() async { await line.disconnect() }

    private func doesAnswer(_ plan: ReadPlan, request: Int) -> Bool {
        switch behaviour {
        case .answer, .refuse: true
        case .silent: false
        case .lossy(let probability): Double.random(in: 0..<1, using: &generator) >= probability
        case .partial: request == 0
        case .silentGroup(let stream): plan.stream != stream
        }
    }

    func read(_ plan: ReadPlan, at time: Timestamp) async throws -> PollResult {
        var result = PollResult(
            batch: SampleBatch(stream: plan.stream, descriptor: plan.descriptor, time: time, status: .good), isAnswered: false)
        asked += 1
        var status = StatusCode.good
        for request in 0..<2 {
            var left = isAnswering || result.isAnswered ? retries : 0
            var isAnswered = false
            while true {
                isAnswered = try await line.ask(answers: doesAnswer(plan, request: request))
                if isAnswered { break }
                result.silence += line.responseTimeout
                silence += line.responseTimeout
                if left == 0 { break }
                left -= 1
                result.retries += 1
            }
            guard isAnswered else {
                status = .badTimeout
                result.reasons = ["request \(request): no answer in time"]
                break
            }
            result.isAnswered = true
        }
        isAnswering = result.isAnswered
        if status.isGood, behaviour == .refuse {
            status = .badNodeIdUnknown
            result.reasons = ["exception 02"]
        }
        if status.isGood {
            answered += 1
            // The moment of the reading is the value.
            result.batch.set(.uint(UInt64(simulation.utc.nanoseconds)), tag: 0, in: plan.descriptor)
        }
        result.batch.quality = [QualityRun(count: plan.descriptor.tags.count, status: status)]
        return result
    }

    func probe(_ plan: ReadPlan) async throws -> ProbeResult {
        let isAnswered = try await line.ask(answers: doesAnswer(plan, request: 0))
        if !isAnswered { silence += line.responseTimeout }
        return ProbeResult(
            isAnswered: isAnswered, silence: isAnswered ? .zero : line.responseTimeout, reason: isAnswered ? "" : "no answer in time")
    }
}

/// Devices on lines, polled in a simulation.
final class SimulatedPlant {
    struct Member {
        let name: String
        let unit: SimulatedUnit
        let monitor: DeviceMonitor
        let streams: [StreamID]
        let task: Task<Void, any Error>
    }

    let simulation = Simulation()
    let log = MemoryLog()
    let recorder = LogRecorder()
    private(set) var members: [Member] = []
    private let logger: Logger

    /// `isRecorded`: whether what is logged is kept in `recorder`.
    init(isRecorded: Bool = true) {
        logger = isRecorded ? recorder.logger : Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    }

    func line(answerTime: Duration = .milliseconds(10), responseTimeout: Duration = .seconds(1)) -> SimulatedLine {
        SimulatedLine(simulation, answerTime: answerTime, responseTimeout: responseTimeout)
    }

    /// A device that is polled from now on.
    @discardableResult
    func add(
        to line: SimulatedLine, periods: [Duration] = [.seconds(1)], patience: DevicePatience = DevicePatience(), retries: Int = 1,
        keepsSamples: Bool = false, seed: UInt64 = 1
    ) -> Member {
        let name = "d\(members.count)"
        let unit = SimulatedUnit(line, simulation, retries: retries, seed: seed)
        let monitor = DeviceMonitor()
        let log: any TelemetryLog = keepsSamples ? self.log : CountingLog(log)
        var streams: [StreamID] = []
        let groups = periods.enumerated().map { index, period in
            let descriptor = StreamDescriptor(device: name, group: "g\(index)", tags: [Tag("readAt", .uint64), Tag("b", .uint16)])
            let stream = self.log.register(descriptor)
            streams.append(stream)
            return ScanGroup(
                plan: ReadPlan(stream: stream, descriptor: descriptor, requests: [], fields: []), period: period,
                phase: .nanoseconds(period.nanoseconds / 16 * Int64(members.count % 16 + 1)), deadbands: [nil, nil])
        }
        let runner = DeviceRunner(
            name: name, adapter: unit, groups: groups, log: log, time: simulation, logger: logger, patience: patience,
            monitor: monitor)
        let task = Task(executorPreference: simulation) { try await runner.run() }
        let member = Member(name: name, unit: unit, monitor: monitor, streams: streams, task: task)
        members.append(member)
        return member
    }

    func run(for duration: Duration) { simulation.run(for: duration) }

    /// Does something inside the simulation, at the present moment.
    func perform<Result: Sendable>(_ body: @escaping @Sendable () async throws -> Result) async throws -> Result {
        let task = Task(executorPreference: simulation) { try await body() }
        simulation.run(for: .zero)
        return try await task.value
    }

    func set(_ behaviour: SimulatedUnit.Behaviour, _ index: Int) async throws {
        let unit = members[index].unit
        try await perform { await unit.set(behaviour) }
    }

    func answered(_ index: Int) async throws -> Int {
        let unit = members[index].unit
        return try await perform { await unit.answered }
    }

    /// Ends every runner; each must end as cancelled.
    func end() async -> Bool {
        for member in members { member.task.cancel() }
        simulation.run(for: .seconds(10))
        for member in members {
            switch await member.task.result {
            case .success: return false
            case .failure(let error): if !(error is CancellationError) { return false }
            }
        }
        return true
    }
}

/// A log that keeps nothing.
private final class CountingLog: TelemetryLog {
    private let inner: MemoryLog
    init(_ inner: MemoryLog) { self.inner = inner }
    var epoch: UInt32 { inner.epoch }
    func register(_ descriptor: StreamDescriptor) throws -> StreamID { inner.register(descriptor) }
    func descriptor(of stream: StreamID) -> StreamDescriptor? { inner.descriptor(of: stream) }
    func append(_ batch: SampleBatch) {}
    func adopt(_ mapping: ClockMapping) {}
    func countSuppressedPoll(of stream: StreamID) {}
    func cursor(named name: String, from: CursorStart) throws -> any LogCursor { inner.cursor(named: name, from: from) }
}
