internal import Telemetry

/// One value of one series, as it goes to a database.
package struct Sample: Sendable, Equatable {
    /// How `bits` is meant.
    package enum Kind: UInt8, Sendable {
        /// No value: the status is Bad.
        case none
        /// IEEE 754 double.
        case number
        /// A 64-bit integer that a double cannot hold exactly.
        case integer
        /// 0 or 1.
        case boolean
        /// Index into the texts of the chunk.
        case text
    }

    /// When the value was taken, in nanoseconds since 1970, UTC.
    package var time: Int64
    package var bits: UInt64
    /// Index into the catalogue of series.
    package var series: Int32
    /// OPC UA status code.
    package var status: UInt32
    package var kind: Kind
    /// Whether the gateway's clock was not known to be right when it told `time`.
    package var isTimeUncertain: Bool

    package init(time: Int64, series: Int32, status: UInt32, kind: Kind, bits: UInt64, isTimeUncertain: Bool) {
        self.time = time
        self.bits = bits
        self.series = series
        self.status = status
        self.kind = kind
        self.isTimeUncertain = isTimeUncertain
    }

    /// The largest magnitude below which a double holds every integer.
    private static let exactMax: UInt64 = 1 << 53

    /// A signed integer in the kind that keeps it exactly.
    @inline(__always)
    package static func exact(_ value: Int64) -> (kind: Kind, bits: UInt64) {
        value.magnitude <= exactMax ? (.number, Double(value).bitPattern) : (.integer, UInt64(bitPattern: value))
    }
}

/// Which batch of which gateway: two messages with the same key carry the same samples.
package struct BatchKey: Sendable, Hashable {
    /// Index into the catalogue of gateways.
    package var gateway: Int32
    /// The gateway's start; 0 for senders that have no keys of their own.
    package var epoch: UInt32
    package var stream: UInt32
    package var sequence: UInt64

    package init(gateway: Int32, epoch: UInt32, stream: UInt32, sequence: UInt64) {
        self.gateway = gateway
        self.epoch = epoch
        self.stream = stream
        self.sequence = sequence
    }
}

/// Samples on their way to a database, gathered from many messages and written as one.
package struct SampleChunk: Sendable {
    /// The samples of one key.
    package struct Batch: Sendable {
        package var key: BatchKey
        package var samples: Range<Int>
        /// The device's own time, in nanoseconds since 1970, where the message tells it.
        package var sourceTime: Int64?
    }

    package var samples: [Sample] = []
    package var texts: [String] = []
    package var batches: [Batch] = []
    /// Messages that are acknowledged once this chunk, and all before it, are where they belong.
    package var messages: [MessageToken] = []
    /// Messages that nothing can be made of, and why; they are kept aside.
    package var refused: [(message: IngestMessage, reason: String)] = []
    /// What a writer must know before it reads the numbers of series and gateways in this chunk.
    package var additions = CatalogAdditions()

    package init() {}

    package var isEmpty: Bool { samples.isEmpty && messages.isEmpty && refused.isEmpty }
}

/// A message as its connection knows it.
package struct MessageToken: Sendable, Hashable {
    /// Counts the connections of the process: a message of an older one is not acknowledged any more, it comes again.
    package var connection: UInt32
    /// Counts the messages of the process in the order of their arrival.
    package var number: UInt64

    package init(connection: UInt32, number: UInt64) {
        self.connection = connection
        self.number = number
    }
}
