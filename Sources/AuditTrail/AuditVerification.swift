package import Telemetry

/// What a look through a whole trail found.
package struct AuditVerification: Sendable {
    /// Where the chain is broken.
    package struct Break: Sendable, Hashable, CustomStringConvertible {
        package var file: String
        /// The number that the record at this place must have.
        package var record: UInt64
        package var message: String

        package var description: String { "\(file): record \(record): \(message)" }
    }

    /// The last records before the first break, oldest first.
    package var records: [AuditRecord] = []
    /// How many records are kept and whole.
    package var count = 0
    /// The first break; `nil` when the chain is whole.
    package var firstBreak: Break?
    /// The last record before the first break.
    package var head = AuditHead.none
    /// The first number that is kept: more than 1 when old files were removed to save room.
    package var firstNumber: UInt64 = 1
    /// What is not a break, but worth knowing.
    package var remarks: [String] = []
    /// Writes that were begun and have no outcome in the trail, by the number of their intent: the gateway ended in between, or is at it.
    package var unresolved: [UInt64] = []
    /// What the removals tell, and with what the oldest file begins.
    private var removals: [AuditRecord] = []
    private var begin: AuditRecord?

    package var isWhole: Bool { firstBreak == nil }

    /// Goes through a trail without changing it; a gateway may be writing it meanwhile.
    ///
    /// - Parameter known: a head that was remembered elsewhere: the trail must still have that record, unchanged.
    /// - Parameter keeping: how many of the last records are wanted.
    /// - Throws: a `GatewayError` when the files cannot be read at all.
    package init(folder: String, known: AuditHead? = nil, keeping: Int = 0) throws(GatewayError) {
        let files = AuditFiles(folder: folder)
        // Read before the records: a gateway that writes meanwhile only makes the trail longer.
        let noted = files.head()
        let numbers = try files.numbers()
        guard let first = numbers.first else {
            if let missing = [noted, known].compactMap(\.self).max(by: { $0.number < $1.number }), missing.number > 0 {
                firstBreak = Break(file: folder, record: 1, message: "all files are missing; there were records up to \(missing.number)")
            }
            return
        }
        var hashes: [UInt64: String] = [:]
        var intents: [String: UInt64] = [:]
        var before: AuditHead? = first == 1 ? AuditHead.none : nil
        var expected = first
        for number in numbers {
            let path = files.path(of: number)
            guard number == expected else {
                firstBreak = Break(file: files.path(of: expected), record: head.number + 1, message: "the file is missing")
                return
            }
            expected += 1
            let contents = try files.read(path, atMost: AuditTrail.readBytesMax)
            let walk = AuditWalk(contents, after: before)
            if number == first, let record = walk.records.first?.record {
                firstNumber = record.number
                begin = record
            }
            count += walk.records.count
            records = Array((records + walk.records.suffix(keeping).map(\.record)).suffix(keeping))
            for (record, hash) in walk.records {
                if let trace = record.trace {
                    if record.kind == .intent { intents[trace] = record.number }
                    if record.kind == .outcome { intents[trace] = nil }
                }
                if record.kind == .removed { removals.append(record) }
                if record.number == noted?.number || record.number == known?.number { hashes[record.number] = hash }
            }
            if let last = walk.last { head = last }
            if let damage = walk.damage {
                // Never confirmed is only what the note does not reach; before there was a note, only the very first record.
                let isUnconfirmed = noted.map { $0.number <= head.number } ?? (number == 1 && walk.last == nil)
                guard number == numbers.last, walk.isTorn, isUnconfirmed else {
                    firstBreak = Break(file: path, record: (walk.last ?? before ?? head).number + 1, message: damage)
                    return
                }
                remarks.append("the last record is being written, or a crash interrupted it: it was never confirmed")
            }
            before = head
        }
        unresolved = intents.values.sorted()
        if !unresolved.isEmpty {
            let shown = unresolved.suffix(5).map(String.init).joined(separator: ", ")
            remarks.append(
                "\(unresolved.count) writes were begun and have no outcome (records \(unresolved.count > 5 ? "…, " : "")\(shown))")
        }
        check(beginningWith: first, files: files)
        if firstBreak == nil { check(noted: noted, known: known, hashes: hashes, files: files) }
    }

    /// What stands before the first file must have been removed by the gateway, which tells so in the trail.
    private mutating func check(beginningWith first: UInt64, files: AuditFiles) {
        guard first > 1, let begin else { return }
        let isTold = removals.contains { record in
            record.file == first - 1 && record.through == begin.through && record.hash == begin.hash
        }
        guard !isTold else {
            remarks.append("records 1…\(firstNumber - 1) were removed by the gateway to keep the trail within its size")
            return
        }
        firstBreak = Break(
            file: files.path(of: first - 1), record: firstNumber - 1, message: "the file is missing, and was not removed by the gateway")
    }

    private mutating func check(noted: AuditHead?, known: AuditHead?, hashes: [UInt64: String], files: AuditFiles) {
        for (head, source) in [(noted, "the note beside it"), (known, "the head that was remembered")] {
            guard let head, head.number > 0 else { continue }
            if head.number > self.head.number {
                firstBreak = Break(
                    file: files.folder, record: self.head.number + 1,
                    message: "records \(self.head.number + 1)…\(head.number) are missing, of which \(source) tells")
            } else if head.number < firstNumber {
                remarks.append("record \(head.number), of which \(source) tells, was removed to keep the trail within its size")
            } else if hashes[head.number] != head.hash {
                firstBreak = Break(file: files.folder, record: head.number, message: "its hash is not that of \(source)")
            }
            if firstBreak != nil { return }
        }
        if noted == nil { remarks.append("there is no note of the last record: records may be missing at the end") }
    }
}
