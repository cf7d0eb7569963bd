internal import Telemetry

/// The ledger in words: every number of it, and what does not add up.
extension Ledger {
    /// What became of the samples of all tags, a sentence per account.
    package var explanation: [String] {
        let total = total
        var sentences = [
            "\(grouped(total.sampled)) samples were taken: \(grouped(total.suppressed)) were suppressed by deadbands, "
                + "\(grouped(total.stored)) were stored.",
            "Of those stored, \(grouped(total.onDisk)) are on disk"
                + (total.uncommitted > 0 ? ", \(grouped(total.uncommitted)) wait for the next commit" : "")
                + (total.thinned > 0 ? ", \(grouped(total.thinned)) were replaced by summaries" : "")
                + ", \(grouped(total.removed)) were removed by retention, \(grouped(total.notOnDisk)) never reached the disk.",
        ]
        for cursor in total.cursors {
            sentences.append(
                "\(cursor.reader): of \(grouped(cursor.stored)) samples stored since it began, \(grouped(cursor.acknowledged)) were "
                    + "acknowledged, \(grouped(cursor.pending)) are pending, \(grouped(cursor.evicted)) were evicted before that, "
                    + "\(grouped(cursor.refused)) were refused because they can never be delivered.")
        }
        return sentences
    }

    /// A sentence for every sum that fails, with its tag and reader.
    package var imbalances: [String] {
        var sentences: [String] = []
        for row in tags where !row.isBalanced {
            if !row.isSampledBalanced {
                sentences.append(
                    "\(row.name): \(row.sampled) sampled, but \(row.suppressed) suppressed + \(row.stored) stored = "
                        + "\(row.suppressed &+ row.stored)")
            }
            if !row.isStoredBalanced {
                let sum = row.onDisk &+ row.uncommitted &+ row.thinned &+ row.removed &+ row.notOnDisk
                sentences.append(
                    "\(row.name): \(row.stored) stored, but \(row.onDisk) on disk + \(row.uncommitted) uncommitted + \(row.thinned) thinned + "
                        + "\(row.removed) removed + \(row.notOnDisk) not on disk = \(sum)")
            }
            for cursor in row.cursors where !cursor.isBalanced {
                let sum = cursor.acknowledged &+ cursor.pending &+ cursor.evicted &+ cursor.refused
                sentences.append(
                    "\(row.name), \(cursor.reader): \(cursor.stored) stored, but \(cursor.acknowledged) acknowledged + "
                        + "\(cursor.pending) pending + \(cursor.evicted) evicted + \(cursor.refused) refused = \(sum)")
            }
        }
        for cursor in outages {
            for outage in cursor.outages where !outage.isBalanced {
                let sum = outage.delivered &+ outage.lost &+ outage.refused &+ outage.pending
                sentences.append(
                    "\(cursor.reader), outage \(outage.number): \(outage.samples) samples, but \(outage.delivered) delivered + "
                        + "\(outage.lost) lost + \(outage.refused) refused + \(outage.pending) pending = \(sum)")
            }
            let earlier = cursor.earlier
            if earlier.samples != earlier.delivered &+ earlier.lost &+ earlier.refused {
                sentences.append(
                    "\(cursor.reader), earlier outages: \(earlier.samples) samples, but \(earlier.delivered) delivered + "
                        + "\(earlier.lost) lost + \(earlier.refused) refused")
            }
        }
        return sentences
    }
}

extension Ledger.TagRow {
    /// `device.folder/tag`.
    package var name: String { "\(device).\(StreamDescriptor.folder(ofGroup: group).map { $0 + "/" } ?? "")\(tag)" }
}

extension Ledger.CursorRow {
    /// The reader's name as people say it.
    package var reader: String { readerName(cursor) }
}

extension Ledger.CursorOutages {
    /// The reader's name as people say it.
    package var reader: String { readerName(cursor) }

    /// A sentence about one outage of this reader, for example "route central: 2026-03-01 08:02:11–08:09:40, 44,900 samples pending,
    /// 44,900 delivered late, 0 lost". Times are UTC.
    package func sentence(_ outage: Ledger.OutageRow) -> String {
        var parts: [String] = []
        if let end = outage.end {
            parts = [Ledger.TimeSpan(start: outage.start, end: end).text]
        } else {
            parts = ["since \(outage.start.text), not connected yet"]
        }
        if outage.losses > 1 { parts.append("connection lost \(grouped(outage.losses)) times") }
        parts.append("\(grouped(outage.samples)) samples pending")
        if outage.carriedOver > 0 { parts.append("\(grouped(outage.carriedOver)) of them since the outage before") }
        parts.append("\(grouped(outage.delivered)) delivered late")
        parts.append("\(grouped(outage.lost)) lost")
        if outage.refused > 0 { parts.append("\(grouped(outage.refused)) refused") }
        if outage.pending > 0 { parts.append("\(grouped(outage.pending)) still pending") }
        for span in outage.gatewayOff { parts.append("the gateway was off \(span.text)") }
        return "\(reader): " + parts.joined(separator: ", ")
    }

    /// A sentence about the outages that are not told of singly; `nil` if there are none.
    package var earlierSentence: String? {
        guard earlier.outages > 0 else { return nil }
        let span = earlier.from.flatMap { from in earlier.through.map { ", " + Ledger.TimeSpan(start: from, end: $0).text } } ?? ""
        return "\(reader): \(grouped(earlier.outages)) earlier outages\(span), \(grouped(earlier.samples)) samples pending, "
            + "\(grouped(earlier.delivered)) delivered late, \(grouped(earlier.lost)) lost"
            + (earlier.refused > 0 ? ", \(grouped(earlier.refused)) refused" : "")
    }
}

extension Ledger.Released {
    /// A sentence that says since when nobody reads with this cursor, and what that means.
    package var sentence: String {
        "\(readerName(cursor)): not part of the site since \(since.text); what is pending for it keeps nothing from removal"
    }
}

extension Ledger.Downtime {
    /// For example "not sampled 2026-03-01 08:02:11–08:09:40, the gateway was off (stopped in order)". Times are UTC.
    package var sentence: String {
        "not sampled \(span.text), the gateway was off ("
            + (stopped.map { "stopped in order at \($0.text)" } ?? "killed, crashed, or without power: the moment is not known")
            + (started.map { ", started again at \($0.text)" } ?? "") + ")"
    }
}

extension Ledger.TimeSpan {
    /// Start and end in UTC, the date once where both have the same.
    var text: String {
        let (start, end) = (self.start.text, self.end.text)
        let sameDay = start.prefix(10) == end.prefix(10)
        return "\(start)–\(sameDay ? String(end.dropFirst(11)) : end)"
            + (self.end < self.start ? " (the clock was set back meanwhile)" : "")
    }
}

extension Timestamp {
    /// Date and time to the second, in UTC.
    var text: String {
        let text = description
        return "\(text.prefix(10)) \(text.dropFirst(11).prefix(8))"
    }
}

private func readerName(_ cursor: String) -> String {
    let prefix = "route/"
    return cursor.hasPrefix(prefix) ? "route \(cursor.dropFirst(prefix.count))" : "reader \(cursor)"
}

/// A number with commas between its thousands.
func grouped(_ number: UInt64) -> String {
    let digits = Array(String(number))
    var text = ""
    for (index, digit) in digits.enumerated() {
        if index > 0, (digits.count - index) % 3 == 0 { text.append(",") }
        text.append(digit)
    }
    return text
}
