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
    package var dataType: DataType
    package var byteOrder: ByteOrder
    /// For a single bit of a register: 0 is the least significant.
    package var bit: Int?

    package init(tag: Int, area: UInt8, start: Int, count: Int, dataType: DataType, byteOrder: ByteOrder = .abcd, bit: Int? = nil) {
        self.tag = tag
        self.area = area
        self.start = start
        self.count = count
        self.dataType = dataType
        self.byteOrder = byteOrder
        self.bit = bit
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

    package init(batch: SampleBatch, reasons: [String] = []) {
        self.batch = batch
        self.reasons = reasons
    }
}

/// One connected device, by whatever protocol. An actor, so that an adapter whose library blocks brings its own thread.
///
/// Refusals of the device (an exception code, a missing value) are statuses of the tags concerned in the batch. Only the loss
/// of the connection is thrown.
package protocol ProtocolAdapter: Actor {
    /// Throws a `GatewayError` when the device cannot be reached.
    func connect() async throws

    /// Carries out the plan's requests. `time` becomes the batch's: the moment the poll began. A time that the device itself gives for the
    /// values goes into `sourceTime`, never into `time`.
    ///
    /// Throws a `GatewayError` when the connection is lost or the device answers nothing at all.
    func read(_ plan: ReadPlan, at time: Timestamp) async throws -> PollResult

    func disconnect() async
}
