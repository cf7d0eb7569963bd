internal import CZlib
internal import CZstd
package import Telemetry

/// Brings compressed payloads back.
package enum Decompressor {
    /// The largest payload that is unpacked where nothing else is said, in bytes.
    package static let bytesMax = 64 << 20
    /// Room that is taken before the first byte is known.
    private static let firstRoom = 16 << 10
    /// The largest window that zstd may ask for, as a power of two (RFC 8878, 3.1.1.1.2).
    private static let windowLogMax: Int32 = 26

    /// The payload.
    ///
    /// Throws a `GatewayError` with code `limitExceeded` when it has more than `limit` bytes, and `protocolViolation` for bytes that are
    /// not of this algorithm or end too early. No more room is taken than what comes out, and never more than `limit`.
    package static func decompress(
        _ bytes: [UInt8], _ algorithm: CompressionAlgorithm, atMost limit: Int = bytesMax
    ) throws(GatewayError) -> [UInt8] {
        switch algorithm {
        case .gzip: try zlib(bytes, windowBits: MAX_WBITS + 16, algorithm, limit)
        case .deflate: try zlib(bytes, windowBits: MAX_WBITS, algorithm, limit)
        case .zstd: try zstd(bytes, algorithm, limit)
        // Columns are never larger than twice what they were: a few bytes per field beside it.
        case .columns: try MetricColumns.join(zstd(bytes, algorithm, limit), atMost: limit)
        }
    }

    static func violation(_ algorithm: CompressionAlgorithm, _ message: String) -> GatewayError {
        GatewayError(.protocolViolation, resource: "\(algorithm.rawValue) payload", operation: "decompress", message)
    }

    private static func bomb(_ algorithm: CompressionAlgorithm, _ bytes: Int, _ limit: Int) -> GatewayError {
        GatewayError(
            .limitExceeded, resource: "\(algorithm.rawValue) payload", operation: "decompress",
            "\(bytes) bytes hold more than \(limit), the most that are accepted")
    }

    private static func zstd(_ bytes: [UInt8], _ algorithm: CompressionAlgorithm, _ limit: Int) throws(GatewayError) -> [UInt8] {
        guard let context = ZSTD_createDCtx() else { throw violation(algorithm, "there is no memory for it") }
        defer { ZSTD_freeDCtx(context) }
        ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, windowLogMax)
        var payload: [UInt8] = []
        var position = 0
        var needed = 1
        var failure: String?
        while position < bytes.count || needed > 0 {
            let room = min(max(firstRoom, payload.count), limit - payload.count + 1)
            var written = 0
            let chunk = [UInt8](unsafeUninitializedCapacity: room) { buffer, count in
                bytes.withUnsafeBytes { input in
                    var from = ZSTD_inBuffer(src: input.baseAddress, size: input.count, pos: position)
                    var into = ZSTD_outBuffer(dst: buffer.baseAddress, size: room, pos: 0)
                    needed = ZSTD_decompressStream(context, &into, &from)
                    if ZSTD_isError(needed) != 0 { failure = String(cString: ZSTD_getErrorName(needed)) }
                    written = failure == nil ? into.pos : 0
                    count = written
                    position = from.pos
                }
            }
            if let failure { throw violation(algorithm, failure) }
            payload += chunk
            if payload.count > limit { throw bomb(algorithm, bytes.count, limit) }
            if needed > 0, position == bytes.count, written < room { throw violation(algorithm, "it ends too early") }
        }
        return payload
    }

    private static func zlib(
        _ bytes: [UInt8], windowBits: Int32, _ algorithm: CompressionAlgorithm, _ limit: Int
    ) throws(GatewayError) -> [UInt8] {
        var stream = z_stream()
        guard inflateInit2_(&stream, windowBits, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
            throw violation(algorithm, "there is no memory for it")
        }
        defer { inflateEnd(&stream) }
        var payload: [UInt8] = []
        var position = 0
        var result = Z_OK
        while result != Z_STREAM_END {
            let room = min(max(firstRoom, payload.count), limit - payload.count + 1)
            let available = UInt32(clamping: bytes.count - position)
            var left = UInt32(clamping: room)
            let chunk = [UInt8](unsafeUninitializedCapacity: room) { buffer, count in
                bytes.withUnsafeBufferPointer { input in
                    stream.next_in = UnsafeMutablePointer(mutating: input.baseAddress?.advanced(by: position))
                    stream.avail_in = available
                    stream.next_out = buffer.baseAddress
                    stream.avail_out = left
                    result = inflate(&stream, Z_NO_FLUSH)
                    left = stream.avail_out
                    count = room - Int(left)
                }
            }
            position += Int(available - stream.avail_in)
            payload += chunk
            if payload.count > limit { throw bomb(algorithm, bytes.count, limit) }
            guard result == Z_OK || result == Z_STREAM_END else {
                throw violation(
                    algorithm, result == Z_BUF_ERROR ? "it ends too early" : stream.msg.map { String(cString: $0) } ?? "error \(result)")
            }
            if result == Z_OK, position == bytes.count, left > 0 { throw violation(algorithm, "it ends too early") }
        }
        guard position == bytes.count else { throw violation(algorithm, "\(bytes.count - position) bytes follow its end") }
        return payload
    }
}
