internal import Telemetry

/// The tallies of a block, which has as many of them as streams and does not change any more: a store has thousands of blocks in memory.
///
/// For each stream, in the order of their numbers: the distance to the number before, `whole`, `partial`, how many tags have a count, and these, all in
/// groups of seven bits. Four bytes instead of sixty for a stream whose batches have all tags.
struct PackedTallies: Sendable, Hashable {
    private let bytes: [UInt8]

    init(_ tallies: StreamTallies) {
        var bytes: [UInt8] = []
        var before: UInt32 = 0
        for stream in tallies.keys.sorted() {
            guard let tally = tallies[stream] else { continue }
            bytes.append(uvarint: UInt64(stream.rawValue - before))
            before = stream.rawValue
            bytes.append(uvarint: tally.whole)
            bytes.append(uvarint: tally.partial)
            bytes.append(uvarint: UInt64(tally.present.count))
            for count in tally.present { bytes.append(uvarint: count) }
        }
        // Without what the array has grown beyond.
        self.bytes = [UInt8](unsafeUninitializedCapacity: bytes.count) { buffer, count in count = buffer.initialize(fromContentsOf: bytes) }
    }

    /// One stream after the other.
    func visit(_ body: (StreamID, Tally) -> Void) {
        bytes.withUnsafeBytes { bytes in
            var reader = ByteReader(bytes)
            var stream: UInt32 = 0
            func next() -> UInt64 {
                guard let number = reader.uvarint() else { preconditionFailure("packed tallies end early") }
                return number
            }
            while reader.remaining > 0 {
                stream += UInt32(next())
                var tally = Tally()
                tally.whole = next()
                tally.partial = next()
                let tags = Int(next())
                tally.present.reserveCapacity(tags)
                for _ in 0..<tags { tally.present.append(next()) }
                body(StreamID(rawValue: stream), tally)
            }
        }
    }

    var unpacked: StreamTallies {
        var tallies = StreamTallies()
        visit { tallies[$0] = $1 }
        return tallies
    }
}
