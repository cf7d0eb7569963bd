import Foundation
import GatewayCore
import Telemetry
import TestKit
import Testing

@testable import Historian

/// A start's number is one that no other start under the gateway's name has had, also where the store cannot know of the other.
struct EpochTests {
    /// Opens a store at a time, on a boot, and gives the number of that start.
    private func start(_ folder: TemporaryFolder, at time: String, boot: UInt64 = 7) async throws -> UInt32 {
        let clock = ManualTime()
        clock.setWallClock(try #require(Timestamp(time)))
        let log = try openLog(folder, time: clock, boot: BootID(high: 0, low: boot))
        let epoch = log.epoch
        log.append(pumpBatch(try log.register(pump), 1))
        try await log.close()
        return epoch
    }

    @Test func isTheSecondOfTheStartAndAlwaysMoreThanBefore() async throws {
        let folder = TemporaryFolder()
        // 2,373 days after 2020-01-01.
        #expect(try await start(folder, at: "2026-07-01T00:00:10Z") == 2373 * 86_400 + 10 + 7 + 1)
        #expect(try await start(folder, at: "2026-07-01T02:00:00Z") == 2373 * 86_400 + 7201)
        #expect(try await start(folder, at: "2026-07-01T02:00:00Z") == 2373 * 86_400 + 7202, "twice within a second")
        #expect(try await start(folder, at: "2026-06-01T00:00:00Z") == 2373 * 86_400 + 7203, "a clock that was set back")
        #expect(try await start(folder, at: "1970-01-01T00:00:00Z") == 2373 * 86_400 + 7204, "a clock that was lost")
        #expect(try await start(folder, at: "2199-01-01T00:00:00Z") == 1 << 30 + 1, "a clock that is wrong by a century")
        #expect(try await start(folder, at: "2199-01-02T00:00:00Z") == 1 << 30 + 2)
    }

    @Test("a new disk, or an old image, under the old name: no number is used again")
    func isUsedByNoOtherStoreOfTheName() async throws {
        let (folder, image) = (TemporaryFolder(), TemporaryFolder())
        var known: [UInt32] = [try await start(folder, at: "2026-07-01T00:00:00Z")]
        _ = TemporaryFolder.run("cp", "-a", folder.log, image.path + "/kept")
        for hour in 2...4 { known.append(try await start(folder, at: "2026-07-01T0\(hour):00:00Z")) }
        #expect(TemporaryFolder.run("rm", "-r", folder.log) == 0)
        known.append(try await start(folder, at: "2026-07-01T06:00:00Z"))
        #expect(TemporaryFolder.run("rm", "-r", folder.log) == 0 && TemporaryFolder.run("mv", image.path + "/kept", folder.log) == 0)
        known.append(try await start(folder, at: "2026-07-01T08:00:00Z"))
        #expect(zip(known, known.dropFirst()).allSatisfy { $0 < $1 }, "\(known)")
    }

    @Test("a segment that claims the last number there is: refused with words, nothing changed") func hasNoNumberBeyondTheLast()
        async throws
    {
        let folder = TemporaryFolder()
        _ = try await start(folder, at: "2026-07-01T00:00:00Z")
        #expect(TemporaryFolder.run("rm", "-r", folder.log + "/state.sqlite") == 0)
        var segment = try readBytes(folder.segments[0])
        segment.replaceSubrange(12..<16, with: [0xFF, 0xFF, 0xFF, 0xFF])
        let checksum = segment[..<44].withUnsafeBytes { CRC32C.checksum($0) }
        for index in 0..<4 { segment[44 + index] = UInt8(truncatingIfNeeded: checksum >> (8 * UInt32(index))) }
        try writeBytes(segment, to: folder.segments[0])
        let error = #expect(throws: GatewayError.self) { try openLog(folder) }
        #expect(error?.code == .storageCorrupt && error?.message.contains("4294967295") == true, "\(error.debugDescription)")
        #expect(try readBytes(folder.segments[0]) == segment)
    }

    @Test(
        "boxes out of one image, with clocks that nobody has set, differ by the boot",
        arguments: ["1970-01-01T00:00:12Z", "2026-03-01T00:00:12Z"])
    func differsByTheBoot(time: String) async throws {
        var known: Set<UInt32> = []
        for boot in 0..<20 { known.insert(try await start(TemporaryFolder(), at: time, boot: UInt64(boot) * 0x9E37_79B9)) }
        #expect(known.count == 20)
    }
}
