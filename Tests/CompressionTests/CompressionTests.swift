import Telemetry
import TestKit
import Testing

@testable import Compression

@Suite struct CompressionTests {
    /// Something that repeats itself, with a little noise.
    static func sample(_ count: Int, _ generator: inout SeededGenerator) -> [UInt8] {
        (0..<count).map { $0 % 7 == 0 ? UInt8.random(in: 0...3, using: &generator) : UInt8($0 % 5) }
    }

    @Test(arguments: [CompressionAlgorithm.gzip, .deflate, .zstd]) func `what is compressed comes back`(_ algorithm: CompressionAlgorithm)
        throws
    {
        var generator = SeededGenerator()
        let compressor = Compressor(algorithm)
        for size in [128, 1000, 65_537, 300_000] {
            let payload = CompressionTests.sample(size, &generator)
            let compressed = try #require(compressor.compress(payload))
            #expect(compressed.count < payload.count * 9 / 10)
            let back = try Decompressor.decompress(compressed, algorithm)
            #expect(back == payload)
        }
    }

    @Test(arguments: [CompressionAlgorithm.gzip, .deflate, .zstd]) func `what does not pay stays as it is`(
        _ algorithm: CompressionAlgorithm
    ) {
        var generator = SeededGenerator()
        let noise = (0..<5000).map { _ in UInt8.random(in: 0...255, using: &generator) }
        #expect(Compressor(algorithm).compress(noise) == nil)
        #expect(Compressor(algorithm).compress([UInt8](repeating: 0, count: 100)) == nil)
    }

    @Test(arguments: [CompressionAlgorithm.gzip, .deflate, .zstd]) func `a bomb is refused before it has grown`(
        _ algorithm: CompressionAlgorithm
    ) throws {
        let bomb = try #require(Compressor(algorithm).compress([UInt8](repeating: 0, count: 8 << 20)))
        #expect(bomb.count < 20_000)
        let error = #expect(throws: GatewayError.self) { try Decompressor.decompress(bomb, algorithm, atMost: 1 << 20) }
        #expect(error?.code == .limitExceeded)
        let exact = try Decompressor.decompress(bomb, algorithm, atMost: 8 << 20)
        #expect(exact.count == 8 << 20)
    }

    @Test(arguments: [CompressionAlgorithm.gzip, .deflate, .zstd]) func `damaged bytes are refused or harmless`(
        _ algorithm: CompressionAlgorithm
    ) throws {
        var generator = SeededGenerator()
        let compressed = try #require(Compressor(algorithm).compress(CompressionTests.sample(3000, &generator)))
        for length in stride(from: 0, to: compressed.count, by: 7) {
            #expect(throws: GatewayError.self) { try Decompressor.decompress(Array(compressed.prefix(length)), algorithm) }
        }
        for _ in 0..<500 {
            var damaged = compressed
            let place = Int.random(in: 0..<damaged.count, using: &generator)
            damaged[place] ^= UInt8.random(in: 1...255, using: &generator)
            _ = try? Decompressor.decompress(damaged, algorithm, atMost: 1 << 20)
        }
        if algorithm != .zstd {
            #expect(throws: GatewayError.self) { try Decompressor.decompress(compressed + [0], algorithm) }
        }
    }

    @Test func `the first bytes tell gzip and zstd`() throws {
        let payload = [UInt8](repeating: 7, count: 500)
        #expect(CompressionAlgorithm.detected(in: try #require(Compressor(.gzip).compress(payload))) == .gzip)
        #expect(CompressionAlgorithm.detected(in: try #require(Compressor(.zstd).compress(payload))) == .zstd)
        #expect(CompressionAlgorithm.detected(in: Array("{\"time\":1}".utf8)) == nil)
    }
}
