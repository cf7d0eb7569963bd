internal import Telemetry

/// Reads the documents of routes with `payload: json` (docs/uplink.md).
struct JSONDocumentReader {
    /// The largest document that is read: what a route sends at most.
    static let documentBytesMax = 64 << 20
    /// The most values of one document.
    static let valuesMax = 200_000

    /// What a document says apart from its values.
    private struct Head {
        var device: String?
        var group = ""
        var timestamp: Int64?
        var epoch: UInt32?
        var stream: UInt32?
        var sequence: UInt64?
        var isTimeUncertain = false
        var sourceTime: Int64?
    }

    private struct StreamName: Hashable {
        var gateway: Int32
        var device: String
        var group: String
    }

    /// Per stream, its tags' series.
    private var series: [StreamName: [String: Int32]] = [:]
    private var values: [(name: String, value: JSONCursor.Scalar)] = []
    private var qualities: [String: StatusCode] = [:]

    /// Appends the document's samples to `chunk` and returns its key; on an error nothing is appended.
    mutating func read(
        _ payload: [UInt8], gateway: Int32, catalog: inout SeriesCatalog, into chunk: inout SampleChunk
    ) throws(GatewayError) -> SampleChunk.Batch {
        guard payload.count <= Self.documentBytesMax else {
            throw Self.violation("the document has \(payload.count) bytes, at most \(Self.documentBytesMax) are read")
        }
        values.removeAll(keepingCapacity: true)
        qualities.removeAll(keepingCapacity: true)
        var head = Head()
        if let flaw = payload.withUnsafeBufferPointer({ parse($0, &head) }) { throw Self.violation(flaw) }
        guard let device = head.device, let timestamp = head.timestamp, let epoch = head.epoch, let stream = head.stream,
            let sequence = head.sequence
        else { throw Self.violation("device, timestamp, epoch, stream and sequence are needed; the document has not all of them") }
        let firstSample = chunk.samples.count
        let firstText = chunk.texts.count
        do throws(GatewayError) {
            try append(head, device, Timestamp(milliseconds: timestamp).nanoseconds, gateway, &catalog, &chunk)
        } catch {
            chunk.samples.removeSubrange(firstSample...)
            chunk.texts.removeSubrange(firstText...)
            throw error
        }
        return SampleChunk.Batch(
            key: BatchKey(gateway: gateway, epoch: epoch, stream: stream, sequence: sequence), samples: firstSample..<chunk.samples.count,
            sourceTime: head.sourceTime.map { Timestamp(milliseconds: $0).nanoseconds })
    }

    /// Fills `head`, `values` and `qualities`; returns what is wrong with the text.
    private mutating func parse(_ bytes: UnsafeBufferPointer<UInt8>, _ head: inout Head) -> String? {
        guard let base = bytes.baseAddress else { return "the document is empty" }
        var cursor = JSONCursor(bytes, base: base)
        var flaw: String?
        cursor.object { name, cursor in
            switch name {
            case "values":
                cursor.object { name, cursor in
                    if values.count < Self.valuesMax {
                        values.append((name, cursor.scalar()))
                    } else {
                        flaw = "more than \(Self.valuesMax) values"
                    }
                    if flaw != nil { cursor.skip() }
                }
            case "quality":
                cursor.object { name, cursor in
                    guard case .text(let text) = cursor.scalar(), let status = StatusCode(text) else {
                        flaw = flaw ?? "the quality of '\(name.prefix(80))' is not the name of a status"
                        return
                    }
                    if qualities.count < Self.valuesMax { qualities[name] = status } else { flaw = "more than \(Self.valuesMax) qualities" }
                }
            case "device", "group", "timestamp", "epoch", "stream", "sequence", "timeUncertain", "sourceTime":
                if !Self.set(name, cursor.scalar(), in: &head) { flaw = flaw ?? "'\(name)' is not of its type" }
            default: cursor.skip()
            }
        }
        if flaw == nil, cursor.flaw == nil, !cursor.isAtEnd() { return "something follows the document" }
        return cursor.flaw ?? flaw
    }

    private static func set(_ name: String, _ value: JSONCursor.Scalar, in head: inout Head) -> Bool {
        switch (name, value) {
        case ("device", .text(let text)): head.device = text
        case ("group", .text(let text)): head.group = text
        case ("timeUncertain", .boolean(let flag)): head.isTimeUncertain = flag
        case ("timestamp", .integer(let number)) where number.magnitude < UInt64(Int64.max / 1_000_000): head.timestamp = number
        case ("sourceTime", .integer(let number)) where number.magnitude < UInt64(Int64.max / 1_000_000): head.sourceTime = number
        case ("epoch", .integer(let number)):
            guard let epoch = UInt32(exactly: number) else { return false }
            head.epoch = epoch
        case ("stream", .integer(let number)):
            guard let stream = UInt32(exactly: number) else { return false }
            head.stream = stream
        case ("sequence", .integer(let number)):
            guard let sequence = UInt64(exactly: number) else { return false }
            head.sequence = sequence
        default: return false
        }
        return true
    }

    private mutating func append(
        _ head: Head, _ device: String, _ time: Int64, _ gateway: Int32, _ catalog: inout SeriesCatalog, _ chunk: inout SampleChunk
    ) throws(GatewayError) {
        let stream = StreamName(gateway: gateway, device: device, group: head.group)
        // Taken out while it grows, so that it is changed in place.
        var known = series.removeValue(forKey: stream) ?? [:]
        defer { series[stream] = known }
        func index(_ tag: String, _ known: inout [String: Int32]) throws(GatewayError) -> Int32 {
            if let index = known[tag] { return index }
            let name = catalog.gateways[Int(gateway)]
            let index = try catalog.index(of: Series(gateway: name, device: device, group: head.group, tag: tag))
            known[tag] = index
            return index
        }
        for (name, value) in values {
            var sample = Sample(
                time: time, series: try index(name, &known), status: 0, kind: .none, bits: 0, isTimeUncertain: head.isTimeUncertain)
            if !qualities.isEmpty, let status = qualities.removeValue(forKey: name) { sample.status = status.rawValue }
            switch value {
            // Not a number, or infinite: JSON has no word for either.
            case .null: (sample.kind, sample.bits) = (.number, Double.nan.bitPattern)
            case .boolean(let flag): (sample.kind, sample.bits) = (.boolean, flag ? 1 : 0)
            case .integer(let number): (sample.kind, sample.bits) = Sample.exact(number)
            case .number(let number): (sample.kind, sample.bits) = (.number, number.bitPattern)
            case .text(let text):
                (sample.kind, sample.bits) = (.text, UInt64(chunk.texts.count))
                chunk.texts.append(text)
            }
            chunk.samples.append(sample)
        }
        // Tags that are Bad have no value.
        for (name, status) in qualities.sorted(by: { $0.key < $1.key }) {
            chunk.samples.append(
                Sample(
                    time: time, series: try index(name, &known), status: status.rawValue, kind: .none, bits: 0,
                    isTimeUncertain: head.isTimeUncertain))
        }
    }

    private static func violation(_ message: String) -> GatewayError {
        GatewayError(.protocolViolation, resource: "JSON document", operation: "decode", message)
    }
}
