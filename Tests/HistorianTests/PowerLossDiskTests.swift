import Synchronization
import TestKit
import Testing

@testable import Historian

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The disk that forgets must forget what real ones may, and nothing else: else the proofs made with it prove nothing.
struct PowerLossDiskTests {
    private let folder = TemporaryFolder()

    private func disk(_ inner: any StoreDisk = SystemDisk(), seed: UInt64) -> PowerLossDisk {
        PowerLossDisk(inner, attic: folder.path + "/attic", seed: seed)
    }

    /// A file with some bytes, confirmed with its name.
    private func confirmed(_ name: String, _ bytes: [UInt8], on disk: PowerLossDisk) throws -> OpenFile {
        let file = try OpenFile(creating: folder.path + "/" + name, on: disk)
        try file.write(bytes, at: 0, on: disk)
        try file.synchronize(on: disk)
        try Files.synchronizeFolder(folder.path, on: disk)
        return file
    }

    @Test func whatWasConfirmedIsNeverForgotten() throws {
        let bytes = (0..<10_000).map { UInt8(truncatingIfNeeded: $0) }
        for seed in 1...40 as ClosedRange<UInt64> {
            let disk = disk(seed: seed)
            let file = try confirmed("a", bytes, on: disk)
            try file.write([UInt8](repeating: 0xEE, count: 5000), at: 10_000, on: disk)
            disk.cut()
            #expect(try Array(readBytes(file.path).prefix(10_000)) == bytes)
            try Files.remove(file.path)
        }
    }

    @Test func writesThatNobodyConfirmedComeBackInAnyOrder() throws {
        var outcomes: Set<[UInt8]> = []
        for seed in 1...60 as ClosedRange<UInt64> {
            let disk = disk(seed: seed)
            let file = try confirmed("a", [UInt8](repeating: 1, count: 8192), on: disk)
            try file.write([UInt8](repeating: 2, count: 4096), at: 0, on: disk)
            try file.write([UInt8](repeating: 3, count: 4096), at: 4096, on: disk)
            disk.cut()
            let bytes = try readBytes(file.path)
            outcomes.insert([bytes[0], bytes[4096]])
            try Files.remove(file.path)
        }
        #expect(outcomes == [[1, 1], [2, 1], [1, 3], [2, 3]])
    }

    @Test func namesThatNobodyConfirmedComeAndGo() throws {
        var created: Set<Bool> = []
        var removed: Set<Bool> = []
        var renamed: Set<Bool> = []
        for seed in 1...60 as ClosedRange<UInt64> {
            let disk = disk(seed: seed)
            let kept = try confirmed("kept", [1], on: disk)
            let moved = try confirmed("moved", [2], on: disk)
            _ = try OpenFile(creating: folder.path + "/new", on: disk)
            try Files.remove(kept.path, on: disk)
            try Files.rename(moved.path, to: folder.path + "/target", on: disk)
            disk.cut()
            created.insert(Files.exists(folder.path + "/new"))
            removed.insert(!Files.exists(kept.path))
            renamed.insert(Files.exists(folder.path + "/target"))
            #expect(Files.exists(folder.path + "/target") != Files.exists(moved.path))
            if Files.exists(kept.path) { #expect(try readBytes(kept.path) == [1]) }
            for name in ["new", "kept", "moved", "target"] { try Files.remove(folder.path + "/" + name) }
        }
        #expect(created.count == 2 && removed.count == 2 && renamed.count == 2)
    }

    @Test func aRefusedSynchronizationIsNotMadeGoodByTheNextOne() throws {
        let faulty = FaultyDisk()
        let disk = disk(faulty, seed: 3)
        let file = try confirmed("a", [UInt8](repeating: 1, count: 4096), on: disk)
        try file.write([UInt8](repeating: 2, count: 4096), at: 0, on: disk)
        faulty.faults.withLock { $0.synchronize = Int(EIO) }
        #expect(throws: (any Error).self) { try file.synchronize(on: disk) }
        faulty.faults.withLock { $0.synchronize = 0 }
        try file.synchronize(on: disk)
        disk.cut()
        #expect(try readBytes(file.path) == [UInt8](repeating: 1, count: 4096))
    }

    @Test func whatIsWrittenAnewAfterARefusalIsConfirmed() throws {
        let faulty = FaultyDisk()
        let disk = disk(faulty, seed: 3)
        let file = try confirmed("a", [UInt8](repeating: 1, count: 4096), on: disk)
        try file.write([UInt8](repeating: 2, count: 4096), at: 0, on: disk)
        faulty.faults.withLock { $0.synchronize = Int(EIO) }
        #expect(throws: (any Error).self) { try file.synchronize(on: disk) }
        faulty.faults.withLock { $0.synchronize = 0 }
        try file.write([UInt8](repeating: 2, count: 4096), at: 0, on: disk)
        try file.synchronize(on: disk)
        disk.cut()
        #expect(try readBytes(file.path) == [UInt8](repeating: 2, count: 4096))
    }
}
