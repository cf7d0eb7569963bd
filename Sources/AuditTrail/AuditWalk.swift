/// Goes through the bytes of one file of a trail, as far as they are whole.
struct AuditWalk {
    /// The last whole record; `nil` when there is none.
    private(set) var last: AuditHead?
    /// Bytes up to the end of the last whole record.
    private(set) var goodBytes = 0
    private(set) var records: [(record: AuditRecord, hash: String)] = []
    /// Why it ended before the end of the bytes.
    private(set) var damage: String?
    /// Whether the damage is a last line without its end.
    private(set) var isTorn = false

    /// Nothing is whole, and there is less than a line: what a crash right after the making of the file leaves.
    var isEmptyStart: Bool { last == nil && (damage == nil || isTorn) }

    /// - Parameter previous: the head before the file; `nil` takes what its first record says.
    init(_ bytes: [UInt8], after previous: AuditHead?) {
        var rest = bytes[...]
        var before = previous
        while !rest.isEmpty {
            guard let end = rest.firstIndex(of: UInt8(ascii: "\n")) else {
                damage = "the last record has no end"
                isTorn = true
                return
            }
            do {
                let line = rest[..<end]
                if before == nil {
                    let first = try AuditLine.read(line, after: nil).record
                    guard first.kind == .begin, let number = first.through, let hash = first.hash else {
                        damage = "the file does not begin with a 'begin' record"
                        return
                    }
                    before = AuditHead(number: number, hash: hash)
                }
                let (record, hash) = try AuditLine.read(line, after: before?.hash)
                guard record.number == (before?.number ?? 0) + 1 else {
                    damage = "the record's number is \(record.number), \((before?.number ?? 0) + 1) follows"
                    return
                }
                records.append((record, hash))
                last = AuditHead(number: record.number, hash: hash)
                before = last
                rest = rest[(end + 1)...]
                goodBytes = rest.startIndex
            } catch {
                damage = (error as? AuditLine.Damage)?.message ?? String(describing: error)
                // What the disk did not finish may also look like a line, when zeros or old bytes stand in it.
                isTorn = end == rest.endIndex - 1
                return
            }
        }
    }
}
