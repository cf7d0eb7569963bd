import Foundation
import GatewayCore
import TestKit
import Testing

@testable import Uplink

@Suite struct DailyVolumeTests {
    @Test func isNeverTooLowAfterACrashAndExactAfterAnOrderlyEnd() throws {
        let folder = try TemporaryFolder()
        var generator = SeededGenerator()
        let limit = 100_000
        var volume = DailyVolume(day: 19_000)
        for _ in 0..<20 {
            var file = DailyVolumeFile(folder: folder.path + "/routes", route: "a/b", limit: limit)
            if let former = file.load() { volume = former }
            for _ in 0..<Int.random(in: 1...200, using: &generator) {
                let bytes = Int.random(in: 1...50, using: &generator)
                volume.bytes += bytes
                if Bool.random(using: &generator) { volume.backlogBytes += bytes }
                try file.keep(volume)
                let kept = try #require(DailyVolumeFile(folder: folder.path + "/routes", route: "a/b", limit: limit).load())
                #expect(kept.day == volume.day && kept.bytes >= volume.bytes && kept.backlogBytes >= volume.backlogBytes)
                #expect(kept.bytes <= volume.bytes + limit / 256 + 50)
            }
            if Bool.random(using: &generator) {
                try file.settle(volume)
                #expect(file.load() == volume)
            }
        }
        volume = DailyVolume(day: 19_001)
        var file = DailyVolumeFile(folder: folder.path + "/routes", route: "a/b", limit: limit)
        try file.keep(volume)
        #expect(file.load()?.day == 19_001)
    }

    @Test(arguments: ["", "19000", "19000 5", "19000 -1 0", "x y z", "19000 5 99999999999999999999", "1 2 3 4"])
    func aDamagedFileCountsAsNone(text: String) throws {
        let folder = try TemporaryFolder()
        let file = DailyVolumeFile(folder: folder.path, route: "r", limit: 1000)
        try text.write(toFile: folder.path + "/r.volume", atomically: true, encoding: .utf8)
        #expect(file.load() == nil)
    }

    @Test func aDiskThatTakesNothingIsAskedOncePerStep() throws {
        let folder = try TemporaryFolder()
        try "".write(toFile: folder.path + "/file", atomically: true, encoding: .utf8)
        var file = DailyVolumeFile(folder: folder.path + "/file", route: "r", limit: 25_600)
        var failures = 0
        for bytes in 1...250 {
            do { try file.keep(DailyVolume(day: 1, bytes: bytes)) } catch { failures += 1 }
        }
        #expect(failures == 3)
    }
}
