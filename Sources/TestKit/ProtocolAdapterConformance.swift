package import GatewayCore
package import Telemetry

/// What every `ProtocolAdapter` must do: run it on one that is not connected yet, to a device that is there.
///
/// The functions throw a `Violation` that says what was expected and what came.
package struct ProtocolAdapterConformance<Adapter: ProtocolAdapter>: Sendable {
    /// A promise of the contract that was not kept.
    package struct Violation: Error, CustomStringConvertible {
        package var description: String
    }

    /// How the device at the other end is made to misbehave. Each takes effect before it returns.
    package struct Device: Sendable {
        /// It takes requests and does not answer.
        package var fallSilent: @Sendable () async throws -> Void
        /// It refuses every request, in the protocol's own way.
        package var refuse: @Sendable () async throws -> Void
        /// It is well again.
        package var recover: @Sendable () async throws -> Void
        /// It goes away, with its connections.
        package var goAway: @Sendable () async throws -> Void
        /// It comes back where it was.
        package var comeBack: @Sendable () async throws -> Void

        package init(
            fallSilent: @escaping @Sendable () async throws -> Void, refuse: @escaping @Sendable () async throws -> Void,
            recover: @escaping @Sendable () async throws -> Void, goAway: @escaping @Sendable () async throws -> Void,
            comeBack: @escaping @Sendable () async throws -> Void
        ) {
            self.fallSilent = fallSilent
            self.refuse = refuse
            self.recover = recover
            self.goAway = goAway
            self.comeBack = comeBack
        }
    }

    private let adapter: Adapter
    private let plan: ReadPlan
    private let values: [Variant]
    private let device: Device

    /// `values`: what the tags of the plan are while the device is well.
    package init(_ adapter: Adapter, plan: ReadPlan, values: [Variant], device: Device) {
        self.adapter = adapter
        self.plan = plan
        self.values = values
        self.device = device
    }

    private func expect(_ condition: Bool, _ message: @autoclosure () -> String) throws {
        if !condition { throw Violation(description: message()) }
    }

    /// All promises, one after the other. At the end the adapter is disconnected.
    package func run() async throws {
        try await nothingWorksUnconnected()
        try await adapter.connect()
        try await adapter.connect()
        try await goodValues(at: 1_700_000_000_123)
        try await refusalsAreData()
        try await silenceIsData()
        try await lossIsAnErrorAndHeals()
        await adapter.disconnect()
        await adapter.disconnect()
        try await nothingWorksUnconnected()
    }

    /// The error that an operation throws, which must be one of ours and allow another try.
    private func failure(of operation: String, _ body: () async throws -> Void) async throws -> GatewayError {
        do {
            try await body()
        } catch let error as GatewayError {
            try expect(error.isRetryable, "\(operation) threw an error that may not be retried: \(error)")
            try expect(!error.resource.isEmpty && !error.message.isEmpty, "\(operation) threw an error without resource or message")
            return error
        } catch {
            throw Violation(description: "\(operation) threw \(error), expected a GatewayError")
        }
        throw Violation(description: "\(operation) worked, expected an error")
    }

    private func nothingWorksUnconnected() async throws {
        _ = try await failure(of: "reading without a connection") { _ = try await adapter.read(plan, at: Timestamp(nanoseconds: 1)) }
        _ = try await failure(of: "probing without a connection") { _ = try await adapter.probe(plan) }
    }

    private func check(_ result: PollResult, at time: Timestamp) throws {
        try expect(result.batch.stream == plan.stream, "the batch is of stream \(result.batch.stream), expected \(plan.stream)")
        try expect(result.batch.time == time, "the batch is stamped \(result.batch.time), expected the given \(time)")
        let count = result.batch.quality.reduce(0) { $0 + $1.count }
        try expect(count == plan.descriptor.tags.count, "the quality is of \(count) tags, expected \(plan.descriptor.tags.count)")
        try expect(
            plan.descriptor.tags.indices.allSatisfy { result.batch.has($0) }, "a sample is missing: each tag has one, be it Bad")
        try expect(result.batch.isGood == result.reasons.isEmpty, "reasons are \(result.reasons), quality \(result.batch.quality)")
    }

    private func goodValues(at milliseconds: Int64) async throws {
        let time = Timestamp(milliseconds: milliseconds)
        let result = try await adapter.read(plan, at: time)
        try check(result, at: time)
        let read = plan.descriptor.tags.indices.map { result.batch.value(of: $0, in: plan.descriptor)?.value }
        try expect(read == values.map { $0 }, "values are \(read), expected \(values)")
        try expect(result.isAnswered && result.silence == .zero, "a good poll says that nobody answered, or that it waited in vain")
        let probe = try await adapter.probe(plan)
        try expect(probe.isAnswered && probe.reason.isEmpty, "a probe of a device that is well says: \(probe)")
    }

    private func allBad(_ result: PollResult, _ what: String) throws {
        for (tag, descriptor) in plan.descriptor.tags.enumerated() {
            let value = result.batch.value(of: tag, in: plan.descriptor)
            try expect(value?.status.isBad == true && value?.value == nil, "\(descriptor.name) of \(what) is \(String(describing: value))")
        }
    }

    private func refusalsAreData() async throws {
        try await device.refuse()
        let time = Timestamp(milliseconds: 1_700_000_000_500)
        let result = try await adapter.read(plan, at: time)
        try check(result, at: time)
        try allBad(result, "a device that refuses")
        try expect(result.isAnswered, "a refusal is an answer")
        try expect(try await adapter.probe(plan).isAnswered, "a refusal is an answer to a probe")
        try await device.recover()
        try await goodValues(at: 1_700_000_001_000)
    }

    private func silenceIsData() async throws {
        try await device.fallSilent()
        for number in 0..<5 {
            let time = Timestamp(milliseconds: 1_700_000_002_000 + Int64(number))
            let result = try await adapter.read(plan, at: time)
            try check(result, at: time)
            try allBad(result, "a silent device")
            try expect(!result.isAnswered && result.silence > .zero, "a poll of a silent device: \(result.isAnswered), \(result.silence)")
        }
        let probe = try await adapter.probe(plan)
        try expect(!probe.isAnswered && probe.silence > .zero && !probe.reason.isEmpty, "a probe of a silent device says: \(probe)")
        try await device.recover()
        // What is late may still disturb one poll, but never give a wrong value.
        let next = try await adapter.read(plan, at: Timestamp(milliseconds: 1_700_000_003_000))
        if !next.batch.isGood { try allBad(next, "the first poll after silence") }
        try await goodValues(at: 1_700_000_004_000)
    }

    private func lossIsAnErrorAndHeals() async throws {
        try await device.goAway()
        // Some of the first requests may still go out into nothing.
        var isLost = false
        for number in 0..<20 where !isLost {
            do {
                let result = try await adapter.read(plan, at: Timestamp(milliseconds: 1_700_000_005_000 + Int64(number)))
                try allBad(result, "a device that is gone")
            } catch let error as GatewayError {
                try expect(error.isRetryable, "the loss of the connection may not be retried: \(error)")
                isLost = true
            }
        }
        try expect(isLost, "the loss of the connection is never told")
        _ = try await failure(of: "connecting to nobody") { try await adapter.connect() }
        try await device.comeBack()
        try await adapter.connect()
        try await goodValues(at: 1_700_000_006_000)
    }
}
