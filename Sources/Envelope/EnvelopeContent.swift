internal import Telemetry

/// What is inside of an envelope: `[topic, batch key or null, payload]`.
struct EnvelopeContent {
    var topic: String
    var payload: [UInt8]
    var batch: EnvelopeBatchKey?

    func encoded() throws(GatewayError) -> [UInt8] {
        let topicBytes = topic.utf8.count
        guard (1...EnvelopeLimits.topicBytesMax).contains(topicBytes), payload.count <= EnvelopeLimits.envelopeBytesMax - topicBytes - 4096
        else {
            throw GatewayError(
                .limitExceeded, resource: "envelope", operation: "seal",
                "the topic has \(topicBytes) bytes and the payload \(payload.count), but an envelope has room for "
                    + "\(EnvelopeLimits.envelopeBytesMax - 4096) together")
        }
        var writer = CBORWriter(capacity: payload.count + topicBytes + 48)
        writer.array(3)
        writer.text(topic)
        if let batch {
            writer.array(3)
            writer.unsigned(UInt64(batch.epoch))
            writer.unsigned(UInt64(batch.stream))
            writer.unsigned(batch.sequence)
        } else {
            writer.null()
        }
        writer.byteString(payload)
        return writer.bytes
    }

    init(topic: String, payload: [UInt8], batch: EnvelopeBatchKey?) {
        self.topic = topic
        self.payload = payload
        self.batch = batch
    }

    init(decoding bytes: [UInt8]) throws(EnvelopeRefusal) {
        var reader = CBORReader(bytes)
        _ = try reader.array("the content", 3...3)
        topic = try reader.text("the topic", 1...EnvelopeLimits.topicBytesMax)
        if !reader.skipNull() {
            _ = try reader.array("the batch's key", 3...3)
            let epoch = try reader.unsigned("the batch's epoch", atMost: UInt64(UInt32.max))
            let stream = try reader.unsigned("the batch's stream", atMost: UInt64(UInt32.max))
            batch = EnvelopeBatchKey(epoch: UInt32(epoch), stream: UInt32(stream), sequence: try reader.unsigned("the batch's sequence"))
        }
        payload = Array(bytes[try reader.byteString("the payload", 0...EnvelopeLimits.envelopeBytesMax)])
        try reader.finish("the content")
    }
}
