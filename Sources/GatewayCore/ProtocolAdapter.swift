package import Telemetry

/// One request of a read plan: consecutive units of one address area.
package struct ReadRequest: Sendable, Hashable {
    /// The protocol's own number of the area (for Modbus the function code that reads it).
    package var area: UInt8
    package var start: Int
    package var count: Int
    /// Which of the plan's fields are answered by this request: a range of `ReadPlan.fields`.
    package var fields: Range<Int>

    package init(area: UInt8, start: Int, count: Int, fields: Range<Int>) {
        self.area = area
        self.start = start
        self.count = count
        self.fields = fields
    }
}

/// Where one tag's value lies in the answers, and how it is written there.
package struct ReadField: Sendable, Hashable {
    /// The tag's place in the stream's descriptor.
    package var tag: Int
    package var area: UInt8
    /// Address of the first unit (register, coil).
    package var start: Int
    /// How many units the value takes.
    package var count: Int
    /// The raw type. The slot's is the same, or `float64` where a table of `rules` converts the value.
    package var dataType: DataType
    package var byteOrder: ByteOrder
    /// For a single bit of a register, or the first of several: 0 is the least significant.
    package var bit: Int?
    package var encoding: RegisterEncoding
    /// `nil` for a value that is taken as it comes.
    package var rules: ValueRules?

    package init(
        tag: Int, area: UInt8, start: Int, count: Int, dataType: DataType, byteOrder: ByteOrder = .abcd, bit: Int? = nil,
        encoding: RegisterEncoding = .plain, rules: ValueRules? = nil
    ) {
        self.tag = tag
        self.area = area
        self.start = start
        self.count = count
        self.dataType = dataType
        self.byteOrder = byteOrder
        self.bit = bit
        self.encoding = encoding
        self.rules = rules
    }
}

/// What one poll of one scan group asks of a device, worked out once.
package struct ReadPlan: Sendable {
    package var stream: StreamID
    package var descriptor: StreamDescriptor
    package var requests: [ReadRequest]
    /// Sorted by area and address; each belongs to exactly one request.
    package var fields: [ReadField]

    package init(stream: StreamID, descriptor: StreamDescriptor, requests: [ReadRequest], fields: [ReadField]) {
        self.stream = stream
        self.descriptor = descriptor
        self.requests = requests
        self.fields = fields
    }
}

/// A poll's outcome: the samples, and for people what was wrong with the Bad ones.
package struct PollResult: Sendable {
    package var batch: SampleBatch
    /// One sentence per request that failed; empty when all is well.
    package var reasons: [String]
    /// Whether the device gave at least one valid answer, be it a refusal.
    package var isAnswered: Bool
    /// Time that was waited for answers that did not come.
    package var silence: Duration
    /// Requests that were sent again.
    package var retries: Int
    /// The values that came, but are not or hardly to be believed, by tag.
    package var flaws: [ValueFlaw]

    package init(
        batch: SampleBatch, reasons: [String] = [], isAnswered: Bool = true, silence: Duration = .zero, retries: Int = 0,
        flaws: [ValueFlaw] = []
    ) {
        self.batch = batch
        self.reasons = reasons
        self.isAnswered = isAnswered
        self.silence = silence
        self.retries = retries
        self.flaws = flaws
    }
}

/// What became of the question whether a device answers again.
package struct ProbeResult: Sendable {
    /// Whether a valid answer came, be it a refusal.
    package var isAnswered: Bool
    /// Time that was waited for an answer that did not come.
    package var silence: Duration
    /// For people, why there was no answer; empty when there was.
    package var reason: String

    package init(isAnswered: Bool, silence: Duration = .zero, reason: String = "") {
        self.isAnswered = isAnswered
        self.silence = silence
        self.reason = reason
    }
}

/// One connected device, by whatever protocol. An actor, so that an adapter whose library blocks brings its own thread.
///
/// Refusals of the device (an exception code, a missing value) and its silence are statuses of the tags concerned in the batch. Only the
/// loss of the connection is thrown.
package protocol ProtocolAdapter: Actor {
    /// Throws a `GatewayError` when the device cannot be reached.
    func connect() async throws

    /// Carries out the plan's requests. `time` becomes the batch's: the moment the poll began. A time that the device itself gives for the
    /// values goes into `sourceTime`, never into `time`.
    ///
    /// Throws a `GatewayError` when the connection is lost, or was never made.
    func read(_ plan: ReadPlan, at time: Timestamp) async throws -> PollResult

    /// Finds out, with as little as possible, whether a device that was silent answers again.
    ///
    /// Throws a `GatewayError` when the connection is lost, or was never made.
    func probe(_ plan: ReadPlan) async throws -> ProbeResult

    func disconnect() async
}

extension ProtocolAdapter {
    /// A poll whose values are thrown away.
    package func probe(_ plan: ReadPlan) async throws -> ProbeResult {
        let result = try await read(plan, at: Timestamp(nanoseconds: 0))
        return ProbeResult(isAnswered: result.isAnswered, silence: result.silence, reason: result.reasons.joined(separator: "; "))
    }
}
