/// How the group commit does.
package struct CommitStatistics: Sendable, Hashable {
    /// Commits that reached the disk.
    package var commits: UInt64 = 0
    /// Bytes of records that reached the disk.
    package var bytes: UInt64 = 0
    /// Bytes that went to disk in all: pages of segments and of the database, blocks.
    package var bytesWritten: UInt64 = 0
    /// Samples in them.
    package var samples: UInt64 = 0
    /// How long the log waits between commits: longer than asked for where the write budget demands it.
    package var commitInterval: Duration = .zero
    /// Whether more is written than the budget allows, even so.
    package var isOverBudget = false
    /// Bytes of blocks written beside them.
    package var bytesSealed: UInt64 = 0
    /// Commits that the disk refused.
    package var failures: UInt64 = 0
    /// How long the last commit took, from encoding to the disk's confirmation.
    package var lastDuration: Duration = .zero
    /// Bytes of all files of the store.
    package var storeBytes = 0
    /// Segments that retention has removed.
    package var removedSegments: UInt64 = 0
    /// Whether the last try failed.
    package var isFailing = false

    private var durations: [Duration] = []
    private var nextDuration = 0
    /// Commits that `p99Duration` looks back on.
    private static let durationsMax = 1024

    package init() {}

    /// 99 of 100 of the latest 1,024 commits took no longer than this.
    package var p99Duration: Duration {
        let sorted = durations.sorted()
        return sorted.isEmpty ? .zero : sorted[min(sorted.count - 1, sorted.count * 99 / 100)]
    }

    mutating func didCommit(bytes count: Int, in duration: Duration) {
        commits += 1
        bytes += UInt64(count)
        lastDuration = duration
        isFailing = false
        if durations.count < CommitStatistics.durationsMax {
            durations.append(duration)
        } else {
            durations[nextDuration] = duration
            nextDuration = (nextDuration + 1) % CommitStatistics.durationsMax
        }
    }

    mutating func didFail() {
        failures += 1
        isFailing = true
    }
}
