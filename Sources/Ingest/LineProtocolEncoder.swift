/// Writes chunks in the line protocol of InfluxDB 1.x, a line per sample.
///
/// Source: InfluxDB 1.8 documentation, "Line protocol reference"; VictoriaMetrics takes the same.
package struct LineProtocolEncoder: Sendable {
    /// Who will read it: both take the same lines, but one has numbers only.
    package enum Dialect: Sendable {
        case influxDB
        /// Numbers only: a boolean is 1 or 0, a text becomes the label of a value 1.
        case victoriaMetrics
    }

    package let measurement: String
    private let dialect: Dialect
    /// Per series, the line up to its first field: measurement and tags.
    private var heads: [[UInt8]] = []

    package init(_ dialect: Dialect, measurement: String) {
        self.dialect = dialect
        self.measurement = measurement
    }

    /// Learns of new series, before the chunk that has them.
    package mutating func learn(_ series: [Series]) { for entry in series { heads.append(head(entry)) } }

    /// The lines of some batches of a chunk, in their order.
    package func lines(_ chunk: SampleChunk, _ batches: some Sequence<SampleChunk.Batch>) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(chunk.samples.count * 128)
        for batch in batches {
            for index in batch.samples { append(chunk.samples[index], batch.sourceTime, chunk.texts, to: &bytes) }
        }
        return bytes
    }

    @inline(__always)
    private func append(_ sample: Sample, _ sourceTime: Int64?, _ texts: [String], to bytes: inout [UInt8]) {
        bytes.append(contentsOf: heads[Int(sample.series)])
        var text: String?
        switch sample.kind {
        case .number:
            let value = Double(bitPattern: sample.bits)
            if value.isFinite {
                bytes.append(contentsOf: [0x20, 0x76, 0x61, 0x6C, 0x75, 0x65, 0x3D])
                DecimalText.append(value, to: &bytes)
            } else {
                text = value.isNaN ? "NaN" : value > 0 ? "+Inf" : "-Inf"
            }
        case .integer:
            bytes.append(contentsOf: dialect == .influxDB ? " integer=".utf8 : " value=".utf8)
            DecimalText.append(Int64(bitPattern: sample.bits), to: &bytes)
            if dialect == .influxDB { bytes.append(UInt8(ascii: "i")) }
        case .boolean:
            let isTrue = sample.bits != 0
            switch dialect {
            case .influxDB: bytes.append(contentsOf: isTrue ? " boolean=true".utf8 : " boolean=false".utf8)
            case .victoriaMetrics: bytes.append(contentsOf: isTrue ? " value=1".utf8 : " value=0".utf8)
            }
        case .text: text = texts[Int(sample.bits)]
        case .none: bytes.append(UInt8(ascii: " "))
        }
        if let text {
            switch dialect {
            case .influxDB:
                bytes.append(contentsOf: " text=\"".utf8)
                Self.appendQuoted(text, to: &bytes)
                bytes.append(UInt8(ascii: "\""))
            case .victoriaMetrics:
                // A label may not be empty: the text "" is the absence of the label.
                if !text.isEmpty {
                    bytes.append(contentsOf: ",text=".utf8)
                    Self.appendEscaped(text, to: &bytes)
                }
                bytes.append(contentsOf: " text=1".utf8)
            }
        }
        let isNone = sample.kind == .none
        if sample.status != 0 {
            bytes.append(contentsOf: isNone ? "quality=".utf8 : ",quality=".utf8)
            DecimalText.append(UInt64(sample.status), to: &bytes)
            if dialect == .influxDB { bytes.append(UInt8(ascii: "i")) }
        } else if isNone {
            bytes.append(contentsOf: dialect == .influxDB ? "quality=0i".utf8 : "quality=0".utf8)
        }
        if sample.isTimeUncertain {
            bytes.append(contentsOf: dialect == .influxDB ? ",time_uncertain=true".utf8 : ",time_uncertain=1".utf8)
        }
        if let sourceTime, dialect == .influxDB {
            bytes.append(contentsOf: ",source_time=".utf8)
            DecimalText.append(sourceTime, to: &bytes)
            bytes.append(UInt8(ascii: "i"))
        }
        bytes.append(UInt8(ascii: " "))
        DecimalText.append(sample.time, to: &bytes)
        bytes.append(10)
    }

    private func head(_ series: Series) -> [UInt8] {
        var bytes: [UInt8] = []
        Self.appendEscaped(measurement, to: &bytes)
        // Sorted by name, as the database likes them; an empty tag is no tag.
        for (name, value) in [("device", series.device), ("gateway", series.gateway), ("group", series.group), ("tag", series.tag)]
        where !value.isEmpty {
            bytes.append(UInt8(ascii: ","))
            bytes.append(contentsOf: name.utf8)
            bytes.append(UInt8(ascii: "="))
            Self.appendEscaped(value, to: &bytes)
        }
        return bytes
    }

    /// A tag's value: what would end it gets a backslash. Line breaks cannot be written there, nor a backslash at the end: they become `_`.
    private static func appendEscaped(_ text: String, to bytes: inout [UInt8]) {
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: ","), UInt8(ascii: "="), UInt8(ascii: " "):
                bytes.append(UInt8(ascii: "\\"))
                bytes.append(byte)
            case 0..<0x20, 0x7F, UInt8(ascii: "\\"): bytes.append(UInt8(ascii: "_"))
            default: bytes.append(byte)
            }
        }
    }

    private static func appendQuoted(_ text: String, to bytes: inout [UInt8]) {
        for byte in text.utf8 {
            if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { bytes.append(UInt8(ascii: "\\")) }
            // Line breaks are the end of a line to the readers that split before they parse.
            bytes.append(byte == 10 || byte == 13 ? UInt8(ascii: " ") : byte)
        }
    }
}
