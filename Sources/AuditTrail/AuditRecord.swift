/// One entry of the audit trail.
package struct AuditRecord: Sendable, Hashable, Codable {
    package enum Kind: String, Sendable, Hashable, Codable, CaseIterable {
        /// An attempt that was not carried out; nothing was sent to the device.
        case refused
        /// An attempt that was only to be judged.
        case dryRun
        /// The first step of two: somebody asked, and was given a token to confirm with.
        case confirmationAsked
        /// A write is about to be sent. Without an outcome after it, nobody saw the end of it.
        case intent
        /// What came of an intent.
        case outcome
        /// The first record of each file.
        case begin
        /// The oldest file was removed to keep the trail within its size.
        case removed
        /// Something was found on opening that a crash leaves behind.
        case recovered
    }

    /// Counts the records of the trail from 1, over all files.
    package internal(set) var number: UInt64 = 0
    /// When, RFC 3339 in UTC.
    package var time: String
    package var kind: Kind
    /// The user as the way in knows them.
    package var who: String?
    /// By which way in.
    package var from: String?
    package var device: String?
    package var tag: String?
    /// The value just before, in engineering units.
    package var old: String?
    /// The value that was asked for.
    package var wanted: String?
    /// The value that was read back.
    package var readBack: String?
    /// In a word: `done`, `refused`, `mismatch`.
    package var outcome: String?
    package var reason: String?
    /// Ties the records of one attempt to each other and to log lines.
    package var trace: String?
    /// Of `begin` and `removed`: the file, the number and the hash of the last record before it, or in it.
    package internal(set) var file: UInt64?
    package internal(set) var through: UInt64?
    package internal(set) var hash: String?

    package init(
        time: String, kind: Kind, who: String? = nil, from: String? = nil, device: String? = nil, tag: String? = nil, old: String? = nil,
        wanted: String? = nil, readBack: String? = nil, outcome: String? = nil, reason: String? = nil, trace: String? = nil
    ) {
        self.time = time
        self.kind = kind
        self.who = who
        self.from = from
        self.device = device
        self.tag = tag
        self.old = old
        self.wanted = wanted
        self.readBack = readBack
        self.outcome = outcome
        self.reason = reason
        self.trace = trace
    }

    private enum CodingKeys: String, CodingKey {
        case number = "n"
        case time, kind, who, from, device, tag, old, wanted, readBack, outcome, reason, trace, file, through, hash
    }

    /// The most bytes of one text; longer ones are cut and end in `…`.
    static let textBytesMax = 1000

    /// With every text within its limit.
    var bounded: AuditRecord {
        func cut(_ text: String?) -> String? {
            guard let text, text.utf8.count > AuditRecord.textBytesMax else { return text }
            var kept = ""
            var bytes = 0
            for character in text {
                bytes += character.utf8.count
                if bytes > AuditRecord.textBytesMax - 3 { break }
                kept.append(character)
            }
            return kept + "…"
        }
        var record = self
        record.who = cut(who)
        record.from = cut(from)
        record.device = cut(device)
        record.tag = cut(tag)
        record.old = cut(old)
        record.wanted = cut(wanted)
        record.readBack = cut(readBack)
        record.outcome = cut(outcome)
        record.reason = cut(reason)
        record.trace = cut(trace)
        return record
    }
}

/// The end of a trail: what one must remember elsewhere to notice that records at the end were taken away.
package struct AuditHead: Sendable, Hashable, CustomStringConvertible {
    package var number: UInt64
    /// SHA-256, 64 lower-case hexadecimal digits.
    package var hash: String

    package init(number: UInt64, hash: String) {
        self.number = number
        self.hash = hash
    }

    /// Before the first record.
    package static let none = AuditHead(number: 0, hash: String(repeating: "0", count: 64))

    /// Reads `number:hash`, as `description` writes it.
    package init?(_ text: some StringProtocol) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let number = UInt64(parts[0]), isDigest(parts[1]) else { return nil }
        self.init(number: number, hash: String(parts[1]))
    }

    package var description: String { "\(number):\(hash)" }
}

/// Whether a text is 64 lower-case hexadecimal digits.
func isDigest(_ text: some StringProtocol) -> Bool {
    text.utf8.count == 64
        && text.utf8.allSatisfy {
            (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0)
        }
}
