import Foundation
import GatewayCore
import Synchronization
import Telemetry
import TestKit
import Testing

@testable import Historian

/// What users of gateways suffer from, seen from their side: the disk that fills, the power that goes.
struct ScenarioTests {
    private func storeBytes(_ folder: TemporaryFolder) throws -> Int {
        let names = try Files.names(in: folder.log).map { folder.log + "/" + $0 }.filter(Files.isFile)
        let data = try Files.names(in: folder.journal).map { folder.journal + "/" + $0 }
        return (names + data).reduce(0) { $0 + Files.size($1) }
    }

    @Test("scenario 03: the buffer of an outage stays within its limit and shrinks again when the consumer has caught up")
    func theBufferShrinks() async throws {
        let folder = TemporaryFolder()
        let time = ManualTime()
        let limit = 8 << 20
        let log = try openLog(folder, diskLimit: limit, tail: 64 << 10, keepFor: .seconds(60), time: time)
        let wide = wideDescriptor(1000)
        let stream = try log.register(wide)
        let route = try log.cursor(named: "route/central", from: .oldest)
        func turn() async throws {
            let service = Task { try await log.run() }
            await time.untilAsleep(1)
            time.advance(by: .seconds(2))
            await time.untilAsleep(1)
            service.cancel()
            await #expect(throws: CancellationError.self) { try await service.value }
        }
        for number in 0..<2500 {
            log.append(SampleBatch(stream: stream, descriptor: wide, time: time.utc, status: .good))
            if number % 20 == 19 {
                try await log.flush()
                #expect(try storeBytes(folder) <= limit)
            }
        }
        time.advance(by: .seconds(3600))
        try await turn()
        let during = try storeBytes(folder)
        #expect(during > 4 << 20, "nobody has it yet, so it has to stay")
        var batches = 0
        while route.pendingSamples > 0 {
            let entries = try await route.read(atMost: 200)
            batches += entries.compactMap(\.batch).count
            if let last = entries.last { route.acknowledge(through: last.position) }
        }
        #expect(batches == 2500)
        try await turn()
        let afterwards = try storeBytes(folder)
        #expect(afterwards < during / 3, "\(during) bytes in the outage, \(afterwards) after it")
        #expect(try await log.ledger().isBalanced)
        try await log.close()
    }

    @Test("scenario 03: a corrupt tail does not keep the process from starting", arguments: ["garbage", "zeros", "half a record"])
    func aCorruptTail(damage: String) async throws {
        let folder = TemporaryFolder()
        var log = try openLog(folder)
        let stream = try log.register(pump)
        for number in 0..<50 { log.append(pumpBatch(stream, number)) }
        try await log.close()
        let path = try #require(folder.segments.last)
        let bytes = try readBytes(path)
        switch damage {
        case "garbage": try writeBytes(bytes + (0..<3000).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ 7) }, to: path)
        case "zeros": try writeBytes(bytes + [UInt8](repeating: 0, count: 8192), to: path)
        default: try writeBytes(bytes + bytes[60..<90], to: path)
        }
        log = try openLog(folder)
        #expect(log.recovery.tornBytes > 0)
        log.append(pumpBatch(stream, 50))
        let route = try log.cursor(named: "route/central", from: .oldest)
        let entries = try await drain(route)
        #expect(entries.compactMap(\.batch).map { $0.raw(of: 0, in: pump) } == (0...50).map { .int(Int64($0)) })
        #expect(try await log.ledger().isBalanced)
        try await log.close()
    }

    @Test("scenario 05: power fails during a write, and the store opens with everything that was confirmed", .timeLimit(.minutes(10)))
    func thePowerFails() async throws {
        let seed = seedOfThisRun()
        var random = SeededGenerator(seed: seed)
        let folder = TemporaryFolder()
        var confirmed: [UInt32: Int] = [:]
        for cut in 0..<25 {
            let context = Comment(rawValue: "INDUS_SEED=\(seed), cut \(cut)")
            let disk = PowerLossDisk(SystemDisk(), attic: folder.path + "/attic", seed: random.next())
            let epoch = try await lose(folder, disk, &random, &confirmed)
            let log = try openLog(folder)
            #expect(log.recovery.missingSegments.isEmpty && !log.recovery.catalogueRebuilt, context)
            #expect(log.epoch > epoch, context)
            #expect(try await log.ledger().unbalanced.first == nil, context)
            try await log.close()
        }
        var counts: [UInt32: Int] = [:]
        for entry in try Historian.openReadOnly(folder: folder.log).entries(after: .start, atMost: .max) {
            let batch = try #require(entry.batch)
            let expected = counts[batch.epoch, default: 0]
            // What no commit confirmed may have holes.
            #expect(
                batch.sequence == UInt64(expected) || (expected >= confirmed[batch.epoch, default: 0] && batch.sequence > UInt64(expected)))
            #expect(batch.raw(of: 0, in: pump) == .int(Int64(batch.sequence % 30_000)))
            counts[batch.epoch] = Int(batch.sequence) + 1
        }
        for (epoch, count) in confirmed { #expect(counts[epoch, default: 0] >= count, "INDUS_SEED=\(seed), epoch \(epoch)") }
    }

    /// Writes for a while, commits some of it, and cuts the power in the middle of a commit.
    private func lose(
        _ folder: TemporaryFolder, _ disk: PowerLossDisk, _ random: inout SeededGenerator, _ confirmed: inout [UInt32: Int]
    ) async throws -> UInt32 {
        let refusing = CuttingDisk(disk, calls: Int.random(in: 3...40, using: &random))
        let log = try await whenFree { try openLog(folder, disk: refusing) }
        let stream = try await whenFree { try log.register(pump) }
        var appended = 0
        while !refusing.isCut {
            for _ in 0..<Int.random(in: 1...30, using: &random) {
                log.append(pumpBatch(stream, appended))
                appended += 1
            }
            do {
                try await log.flush()
                confirmed[log.epoch] = appended
            } catch {
                #expect(refusing.isCut)
            }
        }
        return log.epoch
    }

    /// What an object that is just going still holds is free in a moment.
    private func whenFree<Value>(_ body: () throws -> Value) async throws -> Value {
        while true {
            do {
                return try body()
            } catch  where (error as? GatewayError)?.code == .storageLocked {
                await Task.yield()
            }
        }
    }
}

/// Cuts the power at a call, and is dead from then on.
private final class CuttingDisk: StoreDisk {
    private let disk: PowerLossDisk
    private let callsLeft: Mutex<Int>

    init(_ disk: PowerLossDisk, calls: Int) {
        self.disk = disk
        callsLeft = Mutex(calls)
    }

    var isCut: Bool { callsLeft.withLock { $0 <= 0 } }

    private func turn(_ body: () -> Int) -> Int {
        let left = callsLeft.withLock { calls in
            calls -= 1
            return calls
        }
        if left == 0 { disk.cut() }
        return left <= 0 ? -Int(EIO) : body()
    }

    func create(_ path: String) -> Int { turn { disk.create(path) } }
    func open(_ path: String) -> Int { turn { disk.open(path) } }
    func write(_ bytes: UnsafeRawBufferPointer, to file: Int32, at offset: Int) -> Int {
        turn { disk.write(bytes, to: file, at: offset) }
    }
    func synchronize(_ file: Int32) -> Int { turn { disk.synchronize(file) } }
    func rename(_ path: String, to target: String) -> Int { turn { disk.rename(path, to: target) } }
    func remove(_ path: String) -> Int { turn { disk.remove(path) } }
    func truncate(_ path: String, to bytes: Int) -> Int { turn { disk.truncate(path, to: bytes) } }
    func synchronizeFolder(_ path: String) -> Int { turn { disk.synchronizeFolder(path) } }
}
