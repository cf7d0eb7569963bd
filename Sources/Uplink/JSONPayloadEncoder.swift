internal import Telemetry

/// Turns batches into JSON documents, one each (`docs/uplink.md` shows one).
///
/// What a stream's documents have in common is worked out once; the rest is written into one buffer that is used again and again.
struct JSONPayloadEncoder {
    private let topicTemplate: TopicTemplate
    private var streams: [StreamID: Stream] = [:]
    private var buffer: [UInt8] = []

    private let documentBytesMax: Int

    /// Throws a `GatewayError` for a template that gives no topic.
    init(
        topicTemplate: String, site: String, resource: String, documentBytesMax: Int = RouteConfiguration.documentBytesMax
    ) throws(GatewayError) {
        self.documentBytesMax = documentBytesMax
        self.topicTemplate = try TopicTemplate(topicTemplate, site: site, resource: resource)
    }

    /// How a tag's slot is written.
    private enum Form {
        case bool
        case signed(width: Int)
        case unsigned(width: Int)
        /// An integer with a scale of 10⁻ᵏ: an exact decimal.
        case signedDecimal(width: Int, decimals: Int)
        case unsignedDecimal(width: Int, decimals: Int)
        case float
        case double
        /// Any number with any other scaling.
        case scaled
        case string
    }

    private struct Column {
        var form: Form
        var offset: Int
        /// Where `,"name":` lies in `Stream.names`.
        var nameStart: Int
        var nameCount: Int
    }

    private struct Stream {
        var descriptor: StreamDescriptor
        var topic: String
        /// `{"device":…,"group":…,"timestamp":`
        var head: [UInt8]
        var names: [UInt8]
        var columns: [Column]
        /// No document of the stream is longer, apart from its quality part.
        var bytesMax: Int
    }

    /// The message of a batch.
    ///
    /// Throws a `GatewayError` when the document could become too large.
    ///
    /// Precondition: the batch has the shape of its stream.
    mutating func message(
        for batch: SampleBatch, _ descriptor: StreamDescriptor, isHistorical: Bool = false
    ) throws(GatewayError) -> (topic: String, payload: [UInt8]) {
        let tagCount = descriptor.tags.count
        let stream = stream(batch.stream, descriptor)
        let qualities = Self.qualities(of: batch)
        let needed = stream.bytesMax + (qualities.isEmpty ? 0 : stream.names.count + tagCount * Self.qualityBytesMax)
        guard needed <= documentBytesMax else {
            throw GatewayError(
                .limitExceeded, resource: "stream \(descriptor.device)/\(descriptor.group)", operation: "encode",
                "a document could have \(needed) bytes, at most \(documentBytesMax) are sent")
        }
        if buffer.count < needed { buffer = [UInt8](repeating: 0, count: needed) }
        let count = buffer.withUnsafeMutableBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return 0 }
            var writer = JSONWriter(next: base)
            Self.write(batch, stream, qualities, isHistorical: isHistorical, to: &writer)
            return writer.next - base
        }
        return (stream.topic, Array(buffer[..<count]))
    }

    private mutating func stream(_ id: StreamID, _ descriptor: StreamDescriptor) -> Stream {
        if let known = streams[id] { return known }
        var names: [UInt8] = []
        var bytesMax = 0
        let columns = zip(descriptor.tags, descriptor.offsets).map { tag, offset in
            let start = names.count
            names.append(UInt8(ascii: ","))
            names += JSONWriter.quoted(tag.name)
            names.append(UInt8(ascii: ":"))
            bytesMax += tag.dataType == .string ? tag.stringCapacity * JSONWriter.escapeBytesMax + 2 : JSONWriter.numberBytesMax
            return Column(form: Self.form(of: tag), offset: offset, nameStart: start, nameCount: names.count - start)
        }
        let head =
            Array(#"{"device":"#.utf8) + JSONWriter.quoted(descriptor.device) + Array(#","group":"#.utf8)
            + JSONWriter.quoted(descriptor.group) + Array(#","timestamp":"#.utf8)
        let stream = Stream(
            descriptor: descriptor, topic: topicTemplate.topic(for: descriptor), head: head, names: names, columns: columns,
            bytesMax: head.count + names.count + bytesMax + Self.frameBytesMax)
        streams[id] = stream
        return stream
    }

    /// Room for everything of a document that is neither head, names nor values.
    private static let frameBytesMax = 256
    /// The longest symbolic name of a status, with its quotes.
    private static let qualityBytesMax = 64

    private static func form(of tag: Tag) -> Form {
        let width = tag.dataType.width
        switch tag.dataType {
        case .bool: return .bool
        case .string: return .string
        case .int8, .int16, .int32, .int64:
            if tag.scaling.isIdentity { return .signed(width: width) }
            return tag.scaling.decimals.map { .signedDecimal(width: width, decimals: $0) } ?? .scaled
        case .uint8, .uint16, .uint32, .uint64:
            if tag.scaling.isIdentity { return .unsigned(width: width) }
            return tag.scaling.decimals.map { .unsignedDecimal(width: width, decimals: $0) } ?? .scaled
        case .float32: return tag.scaling.isIdentity ? .float : .scaled
        case .float64: return tag.scaling.isIdentity ? .double : .scaled
        }
    }

    /// The text of each run's status that is not Good; empty when all are Good.
    private static func qualities(of batch: SampleBatch) -> [[UInt8]] {
        batch.isGood
            ? [] : batch.quality.map { $0.status.isGood ? [] : Array(JSONWriter.quoted($0.status.description).prefix(qualityBytesMax)) }
    }

    private static func write(
        _ batch: SampleBatch, _ stream: Stream, _ qualities: [[UInt8]], isHistorical: Bool, to writer: inout JSONWriter
    ) {
        writer.bytes(stream.head)
        writer.integer(batch.time.milliseconds)
        writer.literal(#","epoch":"#)
        writer.unsigned(UInt64(batch.epoch))
        writer.literal(#","stream":"#)
        writer.unsigned(UInt64(batch.stream.rawValue))
        writer.literal(#","sequence":"#)
        writer.unsigned(batch.sequence)
        if isHistorical { writer.literal(#","historical":true"#) }
        if batch.isTimeUncertain { writer.literal(#","timeUncertain":true"#) }
        if let sourceTime = batch.sourceTime {
            writer.literal(#","sourceTime":"#)
            writer.integer(sourceTime.milliseconds)
        }
        writer.literal(#","values":"#)
        stream.names.withUnsafeBufferPointer { names in
            stream.columns.withUnsafeBufferPointer { columns in
                batch.values.withUnsafeBytes { values in
                    guard let names = names.baseAddress else { return writer.literal("{") }
                    object(&writer) { writer in
                        var first = 0
                        for run in batch.quality {
                            let tags = first..<(first + run.count)
                            first += run.count
                            if run.status.isBad { continue }
                            if batch.isComplete {
                                for tag in tags { sample(columns[tag], names, values, stream, tag, batch, &writer) }
                            } else {
                                for tag in tags where batch.has(tag) { sample(columns[tag], names, values, stream, tag, batch, &writer) }
                            }
                        }
                    }
                    guard !qualities.isEmpty else { return }
                    writer.literal(#","quality":"#)
                    object(&writer) { writer in
                        var first = 0
                        for (run, quality) in zip(batch.quality, qualities) {
                            for tag in first..<(first + run.count) where !quality.isEmpty && batch.has(tag) {
                                writer.bytes(names + columns[tag].nameStart, columns[tag].nameCount)
                                writer.bytes(quality)
                            }
                            first += run.count
                        }
                    }
                }
            }
        }
        writer.literal("}")
    }

    /// Writes an object whose members all begin with a comma: the first comma becomes the brace.
    @inline(__always)
    private static func object(_ writer: inout JSONWriter, _ members: (inout JSONWriter) -> Void) {
        let start = writer.next
        members(&writer)
        if writer.next == start { writer.byte(0) }
        start.pointee = UInt8(ascii: "{")
        writer.byte(UInt8(ascii: "}"))
    }

    @inline(__always)
    private static func sample(
        _ column: Column, _ names: UnsafePointer<UInt8>, _ values: UnsafeRawBufferPointer, _ stream: borrowing Stream, _ tag: Int,
        _ batch: borrowing SampleBatch, _ writer: inout JSONWriter
    ) {
        writer.bytes(names + column.nameStart, column.nameCount)
        let offset = column.offset
        switch column.form {
        case .signed(let width): writer.integer(signed(values, offset, width))
        case .unsigned(let width): writer.unsigned(unsigned(values, offset, width))
        case .signedDecimal(let width, let decimals):
            let value = signed(values, offset, width)
            writer.decimal(negative: value < 0, magnitude: value.magnitude, decimals: decimals)
        case .unsignedDecimal(let width, let decimals):
            writer.decimal(negative: false, magnitude: unsigned(values, offset, width), decimals: decimals)
        case .bool: if values[offset] != 0 { writer.literal("true") } else { writer.literal("false") }
        case .float: writer.float(Float(bitPattern: values.littleEndian(UInt32.self, at: offset)))
        case .double: writer.double(Double(bitPattern: values.littleEndian(UInt64.self, at: offset)))
        case .scaled:
            let value = batch.raw(of: tag, in: stream.descriptor).scaled(by: stream.descriptor.tags[tag].scaling)
            writer.double(value.number ?? .nan)
        case .string:
            let length = min(Int(values.littleEndian(UInt16.self, at: offset)), stream.descriptor.tags[tag].stringCapacity)
            writer.string(
                UnsafeRawBufferPointer(rebasing: values[(offset + 2)..<(offset + 2 + length)]).assumingMemoryBound(to: UInt8.self))
        }
    }

    @inline(__always)
    private static func signed(_ values: UnsafeRawBufferPointer, _ offset: Int, _ width: Int) -> Int64 {
        switch width {
        case 2: Int64(values.littleEndian(Int16.self, at: offset))
        case 4: Int64(values.littleEndian(Int32.self, at: offset))
        case 8: values.littleEndian(Int64.self, at: offset)
        default: Int64(values.littleEndian(Int8.self, at: offset))
        }
    }

    @inline(__always)
    private static func unsigned(_ values: UnsafeRawBufferPointer, _ offset: Int, _ width: Int) -> UInt64 {
        switch width {
        case 2: UInt64(values.littleEndian(UInt16.self, at: offset))
        case 4: UInt64(values.littleEndian(UInt32.self, at: offset))
        case 8: values.littleEndian(UInt64.self, at: offset)
        default: UInt64(values.littleEndian(UInt8.self, at: offset))
        }
    }
}
