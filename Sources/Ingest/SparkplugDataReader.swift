internal import Sparkplug
internal import Telemetry

/// Reads NDATA and DDATA straight into samples: the hot path. No string, dictionary or allocation per metric that carries an alias.
struct SparkplugDataReader {
    enum Outcome: Equatable {
        case samples
        /// A metric that no birth told of.
        case unknownMetric(String)
        case broken(String)
    }

    /// What a payload says apart from its metrics.
    struct Envelope {
        var timestamp: UInt64?
        var sequence: UInt64?
        var uuid: String?
    }

    /// Looks only at what is around the metrics; `nil` when the bytes are no payload.
    static func envelope(of payload: [UInt8]) -> Envelope? {
        payload.withUnsafeBufferPointer { bytes in
            guard let base = bytes.baseAddress else { return Envelope() }
            var cursor = WireCursor(base, base + bytes.count)
            var envelope = Envelope()
            while !cursor.isAtEnd {
                let tag = cursor.varint()
                switch (tag >> 3, tag & 7) {
                case (1, 0): envelope.timestamp = cursor.varint()
                case (3, 0): envelope.sequence = cursor.varint()
                case (4, 2): envelope.uuid = cursor.text()
                default: cursor.skip(tag & 7)
                }
            }
            return cursor.isBroken ? nil : envelope
        }
    }

    /// Appends the samples of a payload to `chunk`; on any other outcome than `.samples` nothing is appended.
    static func read(
        _ payload: [UInt8], _ sender: inout SparkplugSender, generation: Int, device: String?, isForeign: Bool, payloadTime: UInt64?,
        into chunk: inout SampleChunk
    ) -> Outcome {
        let firstSample = chunk.samples.count
        let firstText = chunk.texts.count
        let deviceIndex = sender.deviceIndex(generation, device)
        guard let deviceIndex else { return .unknownMetric("device \(device ?? "")") }
        let outcome: Outcome = payload.withUnsafeBufferPointer { bytes in
            guard let base = bytes.baseAddress else { return .samples }
            var cursor = WireCursor(base, base + bytes.count)
            while !cursor.isAtEnd {
                let tag = cursor.varint()
                guard tag == 0x12 else {
                    cursor.skip(tag & 7)
                    continue
                }
                var metric = WireMetric()
                metric.read(cursor.nested())
                if metric.isBroken { return .broken("a metric at byte \(cursor.next - base) is not protobuf") }
                let index: Int32
                if let alias = metric.alias {
                    index = sender.metric(generation, alias: alias)
                } else if let name = metric.name {
                    index = sender.metric(generation, device: device, name: name)
                } else {
                    return .broken("a metric has neither name nor alias")
                }
                guard index >= 0 else {
                    return .unknownMetric(metric.alias.map { "alias \($0)" } ?? "metric '\(metric.name?.prefix(80) ?? "")'")
                }
                let known = sender.generations[generation].metrics[Int(index)]
                guard known.device == deviceIndex else { return .broken("alias \(metric.alias ?? 0) belongs to another device") }
                guard let time = metric.timestamp ?? payloadTime else { return .broken("a metric has no time, and the payload has none") }
                append(metric, known, isForeign: isForeign, at: time, to: &chunk)
                if isForeign, let told = metric.status, !metric.isHistorical { sender.told(told, index, in: generation) }
            }
            return cursor.isBroken ? .broken("the payload is not protobuf") : .samples
        }
        if outcome != .samples {
            chunk.samples.removeSubrange(firstSample...)
            chunk.texts.removeSubrange(firstText...)
        }
        return outcome
    }

    @inline(__always)
    private static func append(
        _ metric: WireMetric, _ known: SparkplugSender.Metric, isForeign: Bool, at time: UInt64, to chunk: inout SampleChunk
    ) {
        // Our gateways tell every quality that is not good; others only when it changes.
        var status = metric.status ?? (isForeign && !metric.isHistorical ? known.status : 0)
        var kind = Sample.Kind.none
        var bits: UInt64 = 0
        if metric.isNull || metric.form == .none {
            if status >> 31 == 0 { status = StatusCode.bad.rawValue }
        } else if status >> 31 == 0 {
            (kind, bits) = value(metric, known.datatype, &chunk.texts)
            if kind == .none { status = StatusCode.badDecodingError.rawValue }
        }
        let milliseconds = min(time, UInt64(Int64.max / 1_000_000))
        chunk.samples.append(
            Sample(
                time: Int64(milliseconds) * 1_000_000, series: known.series, status: status, kind: kind, bits: bits,
                isTimeUncertain: metric.isTimeUncertain))
    }

    /// What a value means for a datatype; `.none` if it cannot be one of it.
    @inline(__always)
    private static func value(_ metric: WireMetric, _ datatype: UInt32, _ texts: inout [String]) -> (Sample.Kind, UInt64) {
        let bits = metric.bits
        switch (datatype, metric.form) {
        case (10, .double): return (.number, bits)
        case (9, .float): return (.number, shortest(Float(bitPattern: UInt32(truncatingIfNeeded: bits))).bitPattern)
        case (11, .boolean): return (.boolean, bits == 0 ? 0 : 1)
        case (1, .integer): return Sample.exact(Int64(Int8(truncatingIfNeeded: bits)))
        case (2, .integer): return Sample.exact(Int64(Int16(truncatingIfNeeded: bits)))
        case (3, .integer): return Sample.exact(Int64(Int32(truncatingIfNeeded: bits)))
        case (4, .integer): return Sample.exact(Int64(bitPattern: bits))
        case (5, .integer): return bits <= 0xFF ? (.number, Double(bits).bitPattern) : (.none, 0)
        case (6, .integer): return bits <= 0xFFFF ? (.number, Double(bits).bitPattern) : (.none, 0)
        case (7, .integer): return bits <= 0xFFFF_FFFF ? (.number, Double(bits).bitPattern) : (.none, 0)
        case (8, .integer), (13, .integer):
            if let signed = Int64(exactly: bits) { return Sample.exact(signed) }
            // No database here has unsigned integers of 64 bits.
            texts.append(String(bits))
            return (.text, UInt64(texts.count - 1))
        case (12, .text), (14, .text), (15, .text):
            texts.append(metric.text)
            return (.text, UInt64(texts.count - 1))
        default: return (.none, 0)
        }
    }

    /// The double whose shortest text is that of the float: 0.1 stays 0.1.
    private static func shortest(_ value: Float) -> Double {
        let exact = Double(value)
        if exact == exact.rounded() || !exact.isFinite { return exact }
        return Double(value.description) ?? exact
    }
}

/// One metric of a data payload.
private struct WireMetric {
    enum Form { case none, integer, float, double, boolean, text, other }

    var name: String?
    var alias: UInt64?
    var timestamp: UInt64?
    var isHistorical = false
    var isNull = false
    var form = Form.none
    var bits: UInt64 = 0
    var text = ""
    /// OPC UA status of the property `Quality`.
    var status: UInt32?
    var isTimeUncertain = false
    var isBroken = false

    @inline(__always)
    mutating func read(_ content: WireCursor) {
        var cursor = content
        while !cursor.isAtEnd {
            let tag = cursor.varint()
            switch tag {
            case 0x10: alias = cursor.varint()
            case 0x18: timestamp = cursor.varint()
            case 0x69:
                form = .double
                bits = cursor.fixed(UInt64.self)
            case 0x50, 0x58:
                form = .integer
                bits = cursor.varint()
                if tag == 0x50 { bits &= 0xFFFF_FFFF }
            case 0x65:
                form = .float
                bits = UInt64(cursor.fixed(UInt32.self))
            case 0x70:
                form = .boolean
                bits = cursor.varint()
            case 0x28: isHistorical = cursor.varint() != 0
            case 0x38: isNull = cursor.varint() != 0
            case 0x0A: name = cursor.text()
            case 0x7A:
                form = .text
                text = cursor.text()
            case 0x4A: properties(cursor.nested(), &cursor)
            default:
                if (16...19).contains(tag >> 3) { form = .other }
                cursor.skip(tag & 7)
            }
        }
        isBroken = cursor.isBroken
    }

    /// The two properties that belong to a sample: keys and values lie in two lists.
    private mutating func properties(_ content: WireCursor, _ outer: inout WireCursor) {
        var cursor = content
        var keys: [WireCursor] = []
        var values: [WireCursor] = []
        while !cursor.isAtEnd {
            let tag = cursor.varint()
            switch tag {
            case 0x0A: keys.append(cursor.nested())
            case 0x12: values.append(cursor.nested())
            default: cursor.skip(tag & 7)
            }
            if keys.count > SparkplugPayload.propertiesMax || values.count > SparkplugPayload.propertiesMax { cursor.fail() }
        }
        guard !cursor.isBroken, keys.count == values.count else { return outer.fail() }
        for (key, value) in zip(keys, values) {
            if Self.equals(key, SparkplugProperty.qualityKey) {
                if let code = Self.integer(value, field: 3) {
                    status = SparkplugQuality(rawValue: UInt32(truncatingIfNeeded: code))?.status.rawValue
                }
            } else if Self.equals(key, SparkplugProperty.timeUncertainKey) {
                isTimeUncertain = Self.integer(value, field: 7) == 1
            }
        }
    }

    private static func equals(_ key: WireCursor, _ name: String) -> Bool {
        UnsafeBufferPointer(start: key.next, count: key.end - key.next).elementsEqual(name.utf8)
    }

    private static func integer(_ value: WireCursor, field: UInt64) -> UInt64? {
        var cursor = value
        var found: UInt64?
        while !cursor.isAtEnd {
            let tag = cursor.varint()
            if tag == field << 3 { found = cursor.varint() } else { cursor.skip(tag & 7) }
        }
        return cursor.isBroken ? nil : found
    }
}
