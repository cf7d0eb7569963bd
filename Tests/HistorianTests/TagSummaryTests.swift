import Telemetry
import TestKit
import Testing

import struct Telemetry.Tag

@testable import Historian

/// Summaries that are made of finer summaries.
@Suite struct TagSummaryTests {
    private let tag = Tag("level", .int32)

    private func slot(_ value: Int32) -> [UInt8] { withUnsafeBytes(of: value.littleEndian) { Array($0) } }

    /// What a block gives back of a summary.
    private func restored(_ summary: TagSummary) -> TagSummary {
        var restored = TagSummary(tag)
        if summary.keepsChanges {
            restored.restore(good: summary.good, bad: summary.bad, changes: summary.changes)
        } else {
            restored.restore(
                good: summary.good, bad: summary.bad, minimum: summary.minimum, maximum: summary.maximum, last: summary.last,
                sum: summary.sum)
        }
        return restored
    }

    @Test func theFirstChangeIsBothExtremes() {
        var minute = TagSummary(tag)
        minute.beginBucket()
        slot(6).withUnsafeBytes { minute.add(time: 1, status: .good, slot: $0) }
        let finer = restored(minute)
        #expect(finer.isOfChanges)
        var hour = TagSummary(tag)
        hour.beginBucket()
        hour.add(finer, bucket: 0, changes: finer.changes[...])
        #expect(hour.minimum == [6] && hour.maximum == [6] && hour.last == [6])
    }

    /// Minimum and maximum of a bucket are of its samples, or the value that held when it began; nothing else was ever there.
    @Test(arguments: [UInt64.random(in: 0 ... .max), 1, 2])
    func extremesWereThere(seed: UInt64) {
        print("seed \(seed)")
        var random = SeededGenerator(seed: seed)
        for _ in 0..<200 {
            var coarser = TagSummary(tag)
            var good: [[Int64]] = []
            var bad: [Int64] = []
            var before: [Int64?] = []
            var held: Int64?
            for _ in 0..<Int.random(in: 1...5, using: &random) {
                let values: ClosedRange<Int32> = [5...5, 3...4, -9 ... -7, -1000...1000].randomElement(using: &random) ?? 0...0
                var minute = TagSummary(tag)
                var samples: [[Int64?]] = []
                for bucket in 0..<Int.random(in: 1...40, using: &random) {
                    minute.beginBucket()
                    samples.append([])
                    for _ in 0..<Int.random(in: 0...4, using: &random) {
                        let isBad = Int.random(in: 0..<4, using: &random) == 0
                        let value = Int32.random(in: values, using: &random)
                        // The slot of a Bad sample holds nothing.
                        slot(isBad ? 0 : value).withUnsafeBytes {
                            minute.add(time: Int64(bucket), status: isBad ? .badTimeout : .good, slot: $0)
                        }
                        samples[bucket].append(isBad ? nil : Int64(value))
                    }
                }
                let finer = restored(minute)
                for (bucket, samples) in samples.enumerated() {
                    if bucket % 6 == 0 {
                        coarser.beginBucket()
                        good.append([])
                        bad.append(0)
                        before.append(held)
                    }
                    let changes = finer.changes.filter { $0.bucket == bucket }
                    coarser.add(finer, bucket: bucket, changes: changes[...])
                    good[good.count - 1] += samples.compactMap { $0 }
                    bad[bad.count - 1] += Int64(samples.count { $0 == nil })
                    held = good[good.count - 1].last ?? held
                }
            }
            #expect(coarser.good == good.map { Int64($0.count) } && coarser.bad == bad)
            for (bucket, values) in good.enumerated() {
                guard let least = values.min(), let most = values.max() else { continue }
                #expect([least, min(least, before[bucket] ?? least)].contains(coarser.minimum[bucket]), "bucket \(bucket), seed \(seed)")
                #expect([most, max(most, before[bucket] ?? most)].contains(coarser.maximum[bucket]), "bucket \(bucket), seed \(seed)")
                #expect(coarser.last[bucket] == values.last, "bucket \(bucket), seed \(seed)")
            }
        }
    }
}
