internal import CZlib
internal import CZstd
internal import Synchronization

/// Makes payloads smaller, one after the other. Owns what the libraries need between two of them.
package final class Compressor: Sendable {
    package let algorithm: CompressionAlgorithm
    private let context: Mutex<Context>

    /// The owner of zstd's working memory; without it for other algorithms.
    private struct Context: ~Copyable {
        let pointer: OpaquePointer?

        deinit { ZSTD_freeCCtx(pointer) }
    }

    /// Payloads of fewer bytes are not worth it.
    package static let bytesMin = 128
    /// The share of its size that a payload must lose.
    package static let gainPercentMin = 10
    /// The level for zstd: the columns leave little for higher ones to find.
    static let zstdLevel: Int32 = 3
    static let zlibLevel: Int32 = 6

    package init(_ algorithm: CompressionAlgorithm) {
        self.algorithm = algorithm
        context = Mutex(Context(pointer: algorithm == .zstd || algorithm == .columns ? ZSTD_createCCtx() : nil))
    }

    /// The compressed bytes, where they are enough smaller; `nil` where the payload had better stay as it is, or has no columns.
    package func compress(_ payload: [UInt8]) -> [UInt8]? {
        guard payload.count >= Compressor.bytesMin else { return nil }
        let compressed: [UInt8]?
        switch algorithm {
        case .gzip: compressed = zlib(payload, windowBits: MAX_WBITS + 16)
        case .deflate: compressed = zlib(payload, windowBits: MAX_WBITS)
        case .zstd: compressed = zstd(payload)
        case .columns: compressed = MetricColumns.split(payload).flatMap(zstd)
        }
        guard let compressed, compressed.count * 100 <= payload.count * (100 - Compressor.gainPercentMin) else { return nil }
        return compressed
    }

    private func zstd(_ payload: [UInt8]) -> [UInt8]? {
        context.withLock { context in
            guard let pointer = context.pointer else { return nil }
            var isDone = false
            let room = ZSTD_compressBound(payload.count)
            let compressed = [UInt8](unsafeUninitializedCapacity: room) { buffer, count in
                let size = ZSTD_compressCCtx(pointer, buffer.baseAddress, room, payload, payload.count, Compressor.zstdLevel)
                isDone = ZSTD_isError(size) == 0
                count = isDone ? size : 0
            }
            return isDone ? compressed : nil
        }
    }

    private func zlib(_ payload: [UInt8], windowBits: Int32) -> [UInt8]? {
        var stream = z_stream()
        let size = Int32(MemoryLayout<z_stream>.size)
        guard deflateInit2_(&stream, Compressor.zlibLevel, Z_DEFLATED, windowBits, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, size) == Z_OK,
            let available = UInt32(exactly: payload.count)
        else { return nil }
        defer { deflateEnd(&stream) }
        let room = Int(deflateBound(&stream, UInt(payload.count)))
        var isDone = false
        let compressed = [UInt8](unsafeUninitializedCapacity: room) { buffer, count in
            payload.withUnsafeBufferPointer { input in
                stream.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
                stream.avail_in = available
                stream.next_out = buffer.baseAddress
                stream.avail_out = UInt32(clamping: room)
                isDone = deflate(&stream, Z_FINISH) == Z_STREAM_END
            }
            count = isDone ? room - Int(stream.avail_out) : 0
        }
        return isDone ? compressed : nil
    }
}
