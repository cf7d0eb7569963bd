import GatewayCore
import Synchronization
import Telemetry
import TestKit
import Testing

import struct Telemetry.Tag

@testable import Historian

/// Thinning where blocks are damaged or gone, or the disk refuses.
struct ThinningFaultTests {
    private static let noise = StreamDescriptor(device: "press", group: "fast", tags: (0..<100).map { Tag("n\($0)", .float64) })

    private static func batch(_ stream: StreamID, _ number: Int, _ random: inout SeededGenerator) -> SampleBatch {
        var batch = SampleBatch(
            stream: stream, descriptor: noise, time: Timestamp(milliseconds: 1_700_006_400_000 + Int64(number) * 1000), status: .good)
        for tag in 0..<100 { batch.set(.double(Double(UInt64.random(in: 0 ... .max, using: &random) >> 11)), tag: tag, in: noise) }
        return batch
    }

    private func open(_ folder: TemporaryFolder, limit: Int, disk: any StoreDisk = SystemDisk()) throws -> Historian {
        try Historian(
            configuration: HistorianConfiguration(folder: folder.log, diskLimit: limit, memoryTailBytes: 1 << 20, disk: disk),
            time: SystemTime(), logger: quiet)
    }

    /// A closed store of several blocks, all of it acknowledged, that must be thinned when it is opened with the smaller limit.
    private func makeStore(_ folder: TemporaryFolder) async throws -> [String] {
        var random = SeededGenerator()
        let log = try open(folder, limit: 12 << 20)
        let stream = try log.register(ThinningFaultTests.noise)
        let live = try log.cursor(named: "route/live", from: .oldest)
        for number in 0..<7000 {
            log.append(ThinningFaultTests.batch(stream, number, &random))
            if number % 200 == 199 {
                try await log.flush()
                if let last = try await live.read(atMost: 1000).last { live.acknowledge(through: last.position) }
            }
        }
        try await log.flush()
        try await log.seal()
        try await log.close()
        return try blocks(folder, level: 0)
    }

    private static let smallLimit = 7 << 20

    private func blocks(_ folder: TemporaryFolder, level: UInt8) throws -> [String] {
        try Files.names(in: folder.journal).filter { BlockFormat.parse(fileName: $0)?.level == level }
    }

    @Test func aDamagedBlockStaysAndThoseBehindItAreThinned() async throws {
        let folder = TemporaryFolder()
        let names = try await makeStore(folder)
        try #require(names.count >= 3)
        let path = folder.journal + "/" + names[0]
        var bytes = try readBytes(path)
        bytes[bytes.count / 2] ^= 4
        try writeBytes(bytes, to: path)
        let log = try open(folder, limit: ThinningFaultTests.smallLimit)
        try await log.seal()
        // The first try meets the damage and books nothing; the second leaves the block out.
        try await log.seal()
        #expect(try readBytes(path) == bytes)
        #expect(try !blocks(folder, level: 1).isEmpty)
        let ledger = try await log.ledger()
        #expect(ledger.imbalances == [])
        #expect(ledger.total.thinned > 0)
        #expect(ledger.total.thinned + ledger.total.onDisk == 700_000)
        // Who comes now is told of the damage as a gap, and given the rest.
        let entries = try await drain(try log.cursor(named: "route/new", from: .oldest))
        #expect(entries.contains { $0.gap != nil })
        #expect(try await log.ledger().isBalanced)
        try await log.close()
    }

    @Test(arguments: [0, 1]) func aBlockThatSomebodyRemovedHoldsNothingUp(place: Int) async throws {
        let folder = TemporaryFolder()
        let names = try await makeStore(folder)
        try #require(names.count >= 3)
        let log = try open(folder, limit: ThinningFaultTests.smallLimit)
        try Files.remove(folder.journal + "/" + names[place])
        try await log.seal()
        try await log.seal()
        #expect(try !blocks(folder, level: 1).isEmpty)
        #expect(try await log.ledger().imbalances == [])
        try await log.close()
        let again = try open(folder, limit: ThinningFaultTests.smallLimit)
        #expect(try await again.ledger().imbalances == [])
        try await again.close()
    }

    @Test func aDiskThatRefusesLeavesTheBlocksAsTheyAre() async throws {
        let folder = TemporaryFolder()
        let disk = FaultyDisk()
        let names = try await makeStore(folder)
        let log = try open(folder, limit: ThinningFaultTests.smallLimit, disk: disk)
        disk.faults.withLock { $0.write = 28 }
        await #expect(throws: GatewayError.self) { try await log.seal() }
        #expect(try blocks(folder, level: 0) == names)
        #expect(try await log.ledger().total.thinned == 0)
        disk.faults.withLock { $0.write = 0 }
        try await log.seal()
        #expect(try !blocks(folder, level: 1).isEmpty)
        #expect(try await log.ledger().imbalances == [])
        try await log.close()
    }

    @Test func damagedSummariesAreNotMadeCoarser() async throws {
        let folder = TemporaryFolder()
        _ = try await makeStore(folder)
        let log = try open(folder, limit: ThinningFaultTests.smallLimit)
        try await log.seal()
        try await log.close()
        let name = try #require(try blocks(folder, level: 1).first)
        let path = folder.journal + "/" + name
        var bytes = try readBytes(path)
        bytes[bytes.count / 2] ^= 4
        try writeBytes(bytes, to: path)
        let again = try open(folder, limit: ThinningFaultTests.smallLimit)
        let before = try await again.ledger().total
        let segment = try #require(try Historian.openReadOnly(folder: folder.log).look().segments.first { $0.fileName == name })
        let job = ThinningJob(blocks: [segment], level: 2, bucket: .seconds(3600))
        let error = #expect(throws: GatewayError.self) {
            try job.carryOut(journal: folder.journal, disk: SystemDisk(), created: Timestamp(milliseconds: 0), clock: ClockBook()) {
                again.descriptor(of: $0)
            }
        }
        #expect(error?.code == .storageCorrupt)
        #expect(try blocks(folder, level: 2).isEmpty && readBytes(path) == bytes)
        #expect(try await again.ledger().total == before)
        // Questions say that something is missing instead of answering without it.
        let reader = try Historian.openReadOnly(folder: folder.log)
        let snapshot = try reader.snapshot()
        let report = try reader.columns(of: TagSelection(all: snapshot.streams), in: snapshot) { _ in true }
        #expect(report.damagedSummaries == 1 && report.thinned < before.thinned && !report.isComplete)
        try await again.close()
    }

    /// Why the header of a segment or a block is refused.
    private static func refusal(of bytes: [UInt8]) -> SegmentHeader.Refusal? {
        bytes.withUnsafeBytes { raw in
            do throws(SegmentHeader.Refusal) {
                if raw.count == JournalFormat.segmentHeaderBytes {
                    _ = try SegmentHeader(decoding: raw)
                } else {
                    _ = try BlockHeader(decoding: raw)
                }
                return nil
            } catch {
                return error
            }
        }
    }

    @Test func aDamagedVersionIsNotTakenForANewerOne() {
        var segment: [UInt8] = []
        SegmentHeader(epoch: 1, number: 1, base: 1, created: Timestamp(milliseconds: 0)).encode(into: &segment)
        let block = BlockHeader(
            epoch: 1, number: 1, firstNumber: 1, base: 1, end: 2, created: Timestamp(milliseconds: 0), indexOffset: 80, indexBytes: 8,
            indexChecksum: 0, level: 0
        )
        .encode()
        for version in [UInt8(0), 9] {
            for (bytes, isSealed) in [(segment, true), (segment, false), (block, true), (block, false)] {
                var changed = bytes
                changed[8] = version
                if isSealed {
                    let end = bytes.count - 4
                    let checksum = changed[..<end].withUnsafeBytes { CRC32C.checksum($0) }
                    changed.withUnsafeMutableBytes { $0.storeLittleEndian(checksum, at: end) }
                }
                let refusal = ThinningFaultTests.refusal(of: changed)
                #expect(refusal != nil)
                // A version that is newer was written with its own checksum.
                #expect((refusal == .newer(version: 9)) == (version == 9 && isSealed), "\(String(describing: refusal))")
            }
        }
    }
}
