package import Telemetry

/// What became of every sample, tag by tag and reader by reader, counted independently so that the sums can fail.
///
/// For every tag `sampled = suppressed + stored` and `stored = onDisk + uncommitted + thinned + removed + notOnDisk`; for every reader
/// of it `stored = acknowledged + pending + evicted + refused`, where `stored` counts from where the reader began; for every outage of a
/// reader `samples = delivered + lost + refused + pending`.
package struct Ledger: Sendable, Codable, Hashable {
    /// One tag's part in one reader's account.
    package struct CursorRow: Sendable, Codable, Hashable {
        package var cursor: String
        /// Samples stored since the cursor began.
        package var stored: UInt64
        package var acknowledged: UInt64
        package var pending: UInt64
        /// Gone before the reader had acknowledged them; also if an acknowledgement came later.
        package var evicted: UInt64
        /// Passed over by the reader, because they can never be delivered.
        package var refused: UInt64

        package var isBalanced: Bool { stored == acknowledged &+ pending &+ evicted &+ refused }
    }

    /// One tag's account.
    package struct TagRow: Sendable, Codable, Hashable {
        package var device: String
        package var group: String
        package var tag: String
        package var sampled: UInt64
        package var suppressed: UInt64
        package var stored: UInt64
        /// Of those stored: in the files of the log, as the list of files counts them.
        package var onDisk: UInt64
        /// Of those stored: in memory, waiting for the next commit.
        package var uncommitted: UInt64
        /// Of those stored: replaced on disk by summaries.
        package var thinned: UInt64
        /// Of those stored: gone from the disk by retention.
        package var removed: UInt64
        /// Of those stored: accepted, and given up before they reached the disk.
        package var notOnDisk: UInt64
        package var cursors: [CursorRow]

        /// Whether every sample was either suppressed or stored.
        package var isSampledBalanced: Bool { sampled == suppressed &+ stored }
        /// Whether every stored sample is somewhere.
        package var isStoredBalanced: Bool { stored == onDisk &+ uncommitted &+ thinned &+ removed &+ notOnDisk }
        package var isBalanced: Bool { isSampledBalanced && isStoredBalanced && cursors.allSatisfy(\.isBalanced) }
    }

    /// One outage of one reader.
    package struct OutageRow: Sendable, Codable, Hashable {
        package var number: UInt64
        package var start: Timestamp
        /// `nil` while it goes on.
        package var end: Timestamp?
        /// How often the connection was lost: more than once where neighbouring outages were put together.
        package var losses: UInt64
        /// Pending at the start, and stored until the end.
        package var samples: UInt64
        /// Of these: had been waiting since the outage before.
        package var carriedOver: UInt64
        package var delivered: UInt64
        package var lost: UInt64
        package var refused: UInt64
        /// Not settled yet.
        package var pending: UInt64
        /// When the gateway was off in the meantime: the connection may have been there and nobody to use it.
        package var gatewayOff: [TimeSpan]

        package var isBalanced: Bool { samples == delivered &+ lost &+ refused &+ pending }
    }

    /// The outages of one reader.
    package struct CursorOutages: Sendable, Codable, Hashable {
        package var cursor: String
        /// Oldest first; the newest 256.
        package var outages: [OutageRow]
        /// All before these, added up; they are over and done with.
        package var earlier: OutageSum

        package var isBalanced: Bool {
            earlier.samples == earlier.delivered &+ earlier.lost &+ earlier.refused && outages.allSatisfy(\.isBalanced)
        }
    }

    /// A span of time; its end is before its start where the clock was set back in between.
    package struct TimeSpan: Sendable, Codable, Hashable {
        package var start: Timestamp
        package var end: Timestamp
    }

    /// The gateway was off, or sampled nothing: from the last sample of one run of the process to the first of the next.
    package struct Downtime: Sendable, Codable, Hashable {
        package var span: TimeSpan
        /// The epoch of the run before, and of the run after.
        package var epochBefore: UInt32
        package var epochAfter: UInt32
        /// When the run before ended in order; `nil` where it was killed, crashed, or lost its power.
        package var stopped: Timestamp?
        /// When the run after opened its log.
        package var started: Timestamp?
    }

    /// A reader that is not part of the site any more: what is pending for it goes when its time has come.
    package struct Released: Sendable, Codable, Hashable {
        package var cursor: String
        package var since: Timestamp
    }

    /// In the order of streams and tags.
    package var tags: [TagRow]
    /// In the order of names; readers that never had an outage are left out.
    package var outages: [CursorOutages]
    /// Oldest first.
    package var downtimes: [Downtime]
    /// In the order of names.
    package var released: [Released]

    package init(tags: [TagRow], outages: [CursorOutages] = [], downtimes: [Downtime] = [], released: [Released] = []) {
        self.tags = tags
        self.outages = outages
        self.downtimes = downtimes
        self.released = released
    }

    package var isBalanced: Bool { tags.allSatisfy(\.isBalanced) && outages.allSatisfy(\.isBalanced) }
    /// The tags whose sums fail.
    package var unbalanced: [TagRow] { tags.filter { !$0.isBalanced } }

    /// All tags added up.
    package var total: TagRow {
        var sum = TagRow(
            device: "", group: "", tag: "", sampled: 0, suppressed: 0, stored: 0, onDisk: 0, uncommitted: 0, thinned: 0, removed: 0,
            notOnDisk: 0, cursors: [])
        for row in tags { sum.add(row) }
        return sum
    }
}

extension Ledger.TagRow {
    fileprivate mutating func add(_ row: Ledger.TagRow) {
        sampled &+= row.sampled
        suppressed &+= row.suppressed
        stored &+= row.stored
        onDisk &+= row.onDisk
        uncommitted &+= row.uncommitted
        thinned &+= row.thinned
        removed &+= row.removed
        notOnDisk &+= row.notOnDisk
        for cursor in row.cursors {
            guard let index = cursors.firstIndex(where: { $0.cursor == cursor.cursor }) else {
                cursors.append(cursor)
                continue
            }
            cursors[index].stored &+= cursor.stored
            cursors[index].acknowledged &+= cursor.acknowledged
            cursors[index].pending &+= cursor.pending
            cursors[index].evicted &+= cursor.evicted
            cursors[index].refused &+= cursor.refused
        }
    }
}
