#if canImport(CSystem)
    internal import CSystem
#endif

/// The Castagnoli checksum of iSCSI, eight bytes at a step: by the processor's instruction where it has one, else by tables.
///
/// Source: RFC 3720, 12.1 and B.4 (polynomial 0x1EDC6F41, reflected; test vectors); the slicing of M. Kounavis and
/// F. Berry, "A Systematic Approach to Building High Performance, Software-based, CRC Generators", 2005.
package enum CRC32C {
    /// The checksum of some bytes; `previous` is the checksum of the bytes before them, if there are any.
    package static func checksum(_ bytes: UnsafeRawBufferPointer, after previous: UInt32 = 0) -> UInt32 {
        #if canImport(CSystem)
            if hasInstruction { return ~csystem_crc32c(~previous, bytes.baseAddress, bytes.count) }
        #endif
        return checksumByTables(bytes, after: previous)
    }

    #if canImport(CSystem)
        private static let hasInstruction = csystem_has_crc32c() != 0
    #endif

    /// The same on every processor.
    package static func checksumByTables(_ bytes: UnsafeRawBufferPointer, after previous: UInt32 = 0) -> UInt32 {
        var crc = ~previous
        var offset = 0
        let end = bytes.count
        tables.withUnsafeBufferPointer { table in
            while offset &+ 8 <= end {
                let low = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)) ^ crc
                let high = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset &+ 4, as: UInt32.self))
                crc =
                    table[0x700 | Int(low & 0xFF)] ^ table[0x600 | Int(low >> 8 & 0xFF)]
                    ^ table[0x500 | Int(low >> 16 & 0xFF)] ^ table[0x400 | Int(low >> 24)]
                    ^ table[0x300 | Int(high & 0xFF)] ^ table[0x200 | Int(high >> 8 & 0xFF)]
                    ^ table[0x100 | Int(high >> 16 & 0xFF)] ^ table[Int(high >> 24)]
                offset &+= 8
            }
            while offset < end {
                crc = crc >> 8 ^ table[Int((crc ^ UInt32(bytes[offset])) & 0xFF)]
                offset &+= 1
            }
        }
        return ~crc
    }

    /// Eight tables of 256 words: table `k` moves a byte past `k` zero bytes.
    private static let tables: [UInt32] = {
        var tables = [UInt32](repeating: 0, count: 8 * 256)
        for index in 0..<256 {
            var word = UInt32(index)
            for _ in 0..<8 { word = word & 1 == 1 ? word >> 1 ^ 0x82F6_3B78 : word >> 1 }
            tables[index] = word
        }
        for index in 256..<(8 * 256) {
            let before = tables[index - 256]
            tables[index] = before >> 8 ^ tables[Int(before & 0xFF)]
        }
        return tables
    }()
}
