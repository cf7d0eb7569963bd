import Foundation
import Telemetry
import TestKit
import Testing

@testable import AuditTrail

/// A folder that is removed when the test ends.
private final class Folder {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.appendingPathComponent("indusedge-audit-\(UUID().uuidString)").path
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func file(_ number: Int) -> String { "\(path)/\(String(repeating: "0", count: 8 - String(number).count))\(number).audit" }

    func lines(_ number: Int) throws -> [String] {
        try String(contentsOfFile: file(number), encoding: .utf8).split(separator: "\n").map(String.init)
    }

    func write(_ lines: [String], to number: Int) throws {
        try (lines.joined(separator: "\n") + "\n").write(toFile: file(number), atomically: true, encoding: .utf8)
    }

    func trail(fileBytesMax: Int = AuditTrail.fileBytesMax, filesMax: Int = AuditTrail.filesMax) -> AuditTrail {
        AuditTrail(folder: path, fileBytesMax: fileBytesMax, filesMax: filesMax) { "2026-01-01T00:00:00.000Z" }
    }

    /// A trail of so many records after the first.
    @discardableResult
    func fill(_ count: Int, fileBytesMax: Int = AuditTrail.fileBytesMax, filesMax: Int = AuditTrail.filesMax) throws -> AuditHead {
        let trail = trail(fileBytesMax: fileBytesMax, filesMax: filesMax)
        var head = AuditHead.none
        for index in 0..<count { head = try trail.append(record(index)) }
        return head
    }
}

private func record(_ index: Int) -> AuditRecord {
    AuditRecord(
        time: "2026-01-01T00:00:0\(index % 10).000Z", kind: index % 2 == 0 ? .intent : .outcome, who: "uid 1000 (eve)",
        from: "local socket",
        device: "pump-1", tag: "speed", old: "1", wanted: "\(index)", outcome: "done", reason: "line\nbreak", trace: "t\(index / 2)")
}

@Suite struct AuditTrailTests {
    @Test func `what was appended is there, in order, and the chain is whole`() throws {
        let folder = try Folder()
        let head = try folder.fill(5)
        let found = try AuditVerification(folder: folder.path, known: head, keeping: 100)
        #expect(found.isWhole && found.head == head && found.count == 6)
        #expect(found.records.map(\.number) == [1, 2, 3, 4, 5, 6])
        #expect(found.records.map(\.kind) == [.begin, .intent, .outcome, .intent, .outcome, .intent])
        #expect(found.records.last?.wanted == "4" && found.records.last?.reason == "line\nbreak")
        #expect(found.unresolved == [6])
    }

    @Test func `a trail goes on where it was left`() throws {
        let folder = try Folder()
        try folder.fill(3)
        let head = try folder.fill(2)
        let found = try AuditVerification(folder: folder.path)
        #expect(found.isWhole && found.head == head && found.head.number == 6)
    }

    @Test(arguments: 1...6)
    func `a changed record is found`(_ number: Int) throws {
        let folder = try Folder()
        try folder.fill(5)
        var lines = try folder.lines(1)
        lines[number - 1] = lines[number - 1].replacingOccurrences(of: "2026", with: "2025")
        try folder.write(lines, to: 1)
        #expect(try AuditVerification(folder: folder.path).firstBreak?.record == UInt64(number))
    }

    @Test(arguments: 1...6)
    func `a record that was taken out is found`(_ number: Int) throws {
        let folder = try Folder()
        try folder.fill(5)
        var lines = try folder.lines(1)
        lines.remove(at: number - 1)
        try folder.write(lines, to: 1)
        #expect(try AuditVerification(folder: folder.path).firstBreak?.record == UInt64(number))
    }

    @Test func `records in another order are found`() throws {
        let folder = try Folder()
        try folder.fill(5)
        var lines = try folder.lines(1)
        lines.swapAt(2, 3)
        try folder.write(lines, to: 1)
        #expect(try AuditVerification(folder: folder.path).firstBreak?.record == 3)
    }

    @Test func `a record that was put in is found`() throws {
        let folder = try Folder()
        try folder.fill(5)
        var lines = try folder.lines(1)
        lines.insert(lines[2], at: 3)
        try folder.write(lines, to: 1)
        #expect(try AuditVerification(folder: folder.path).firstBreak?.record == 4)
    }

    @Test func `a missing end is found by the note beside it, and without the note by a head remembered elsewhere`() throws {
        let folder = try Folder()
        let head = try folder.fill(5)
        try folder.write(Array(try folder.lines(1).prefix(4)), to: 1)
        let found = try AuditVerification(folder: folder.path)
        #expect(found.firstBreak?.record == 5 && found.head.number == 4)
        // Whoever may write to the folder can make the note fit: then only what was remembered elsewhere tells.
        try "\(found.head)\n".write(toFile: folder.path + "/head", atomically: true, encoding: .utf8)
        #expect(try AuditVerification(folder: folder.path).isWhole)
        #expect(try AuditVerification(folder: folder.path, known: head).firstBreak?.record == 5)
        try FileManager.default.removeItem(atPath: folder.path + "/head")
        #expect(try AuditVerification(folder: folder.path).remarks.contains { $0.contains("no note") })
    }

    @Test func `a trail that was written anew is found by a head remembered elsewhere`() throws {
        let (folder, forged) = (try Folder(), try Folder())
        let head = try folder.fill(5)
        let trail = forged.trail()
        for index in 0..<5 {
            var record = record(index)
            record.who = "somebody else"
            try trail.append(record)
        }
        #expect(try AuditVerification(folder: forged.path).isWhole)
        #expect(try AuditVerification(folder: forged.path, known: head).firstBreak?.record == 6)
    }

    @Test func `all files gone is found`() throws {
        let folder = try Folder()
        try folder.fill(5)
        try FileManager.default.removeItem(atPath: folder.file(1))
        #expect(try AuditVerification(folder: folder.path).firstBreak != nil)
        try folder.fill(1)
        #expect(try AuditVerification(folder: folder.path).firstBreak?.record == 1)
    }

    @Test func `a torn last record, as a crash leaves it, is cut and told of`() throws {
        let folder = try Folder()
        try folder.fill(4)
        let whole = try Data(contentsOf: URL(fileURLWithPath: folder.file(1)))
        let line = try AuditLine(
            record(9), after: "\(AuditHead(String(contentsOfFile: folder.path + "/head", encoding: .utf8).dropLast())?.hash ?? "")")
        for kept in [1, 30, 64, 65, 100, line.bytes.count - 1] {
            try (whole + line.bytes.prefix(kept)).write(to: URL(fileURLWithPath: folder.file(1)))
            let before = try AuditVerification(folder: folder.path)
            #expect(before.isWhole && before.head.number == 5 && before.remarks.count == 1, "\(kept)")
        }
        try folder.fill(1)
        let after = try AuditVerification(folder: folder.path, keeping: 2)
        #expect(after.isWhole && after.records.map(\.kind) == [.recovered, .intent])
        #expect(after.records.first?.reason?.contains("\(line.bytes.count - 1) bytes") == true)
    }

    @Test func `every cut of the file is either a crash's or a break, and writing goes on after it`() throws {
        let folder = try Folder()
        try folder.fill(3)
        let whole = try Data(contentsOf: URL(fileURLWithPath: folder.file(1)))
        let note = try Data(contentsOf: URL(fileURLWithPath: folder.path + "/head"))
        var generator = SeededGenerator()
        for _ in 0..<40 {
            let cut = Int.random(in: 0..<whole.count, using: &generator)
            try? FileManager.default.removeItem(atPath: folder.path)
            try FileManager.default.createDirectory(atPath: folder.path, withIntermediateDirectories: true)
            try whole.prefix(cut).write(to: URL(fileURLWithPath: folder.file(1)))
            try note.write(to: URL(fileURLWithPath: folder.path + "/head"))
            #expect(try AuditVerification(folder: folder.path).firstBreak != nil, "cut at \(cut)")
            let head = try folder.fill(1)
            #expect(head.number > 4, "a number is never given twice: cut at \(cut)")
            #expect(try AuditVerification(folder: folder.path).firstBreak != nil, "a break stays: cut at \(cut)")
        }
    }

    @Test func `flipped bits are found`() throws {
        let folder = try Folder()
        try folder.fill(4)
        let whole = try Data(contentsOf: URL(fileURLWithPath: folder.file(1)))
        var generator = SeededGenerator()
        for _ in 0..<200 {
            var damaged = whole
            let place = Int.random(in: 0..<whole.count, using: &generator)
            damaged[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
            try damaged.write(to: URL(fileURLWithPath: folder.file(1)))
            #expect(try AuditVerification(folder: folder.path).firstBreak != nil, "byte \(place)")
        }
    }

    @Test func `the trail keeps its size, and the chain goes over its files`() throws {
        let folder = try Folder()
        let head = try folder.fill(60, fileBytesMax: 1200, filesMax: 3)
        let files = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0.hasSuffix(".audit") }.sorted()
        #expect(files.count == 3)
        let found = try AuditVerification(folder: folder.path, known: head)
        #expect(found.isWhole && found.firstNumber > 1 && found.head == head, "\(String(describing: found.firstBreak))")
        #expect(found.remarks.count == 1)
        // Whoever takes one more away does what the gateway did not tell of.
        try FileManager.default.removeItem(atPath: folder.path + "/" + files[0])
        #expect(try AuditVerification(folder: folder.path).firstBreak?.message.contains("not removed by the gateway") == true)
        try FileManager.default.removeItem(atPath: folder.path + "/" + files[2])
        #expect(try AuditVerification(folder: folder.path).firstBreak != nil)
    }

    @Test func `a file in the middle that is gone is found`() throws {
        let folder = try Folder()
        try folder.fill(30, fileBytesMax: 1200, filesMax: 50)
        try FileManager.default.removeItem(atPath: folder.file(2))
        #expect(try AuditVerification(folder: folder.path).firstBreak?.file == folder.file(2))
    }

    @Test func `texts of any length and kind stay one line`() throws {
        let folder = try Folder()
        let trail = folder.trail()
        var long = record(0)
        long.who = String(repeating: "é", count: 5000)
        long.reason = String(repeating: "\u{1}", count: 5000)
        long.wanted = "\"}\n{\"n\":7}"
        try trail.append(long)
        let found = try AuditVerification(folder: folder.path, keeping: 1)
        try #require(found.isWhole && found.count == 2 && found.records.count == 1)
        #expect(found.records[0].who.map { $0.utf8.count <= 1000 && $0.hasSuffix("…") } == true)
        #expect(found.records[0].wanted == "\"}\n{\"n\":7}")
    }

    @Test func `a record that the disk refuses is an error, and the next one finds its way`() throws {
        let folder = try Folder()
        try folder.fill(2)
        let trail = folder.trail()
        try trail.append(record(0))
        // A folder in the place of the note's file: the record is written, the note is not.
        try FileManager.default.createDirectory(atPath: folder.path + "/head.new", withIntermediateDirectories: true)
        #expect(throws: GatewayError.self) { try trail.append(record(1)) }
        try FileManager.default.removeItem(atPath: folder.path + "/head.new")
        try trail.append(record(2))
        let found = try AuditVerification(folder: folder.path, keeping: 10)
        #expect(found.isWhole && found.records.last?.wanted == "2")
    }

    @Test func `a write without an outcome is named`() throws {
        let folder = try Folder()
        let trail = folder.trail()
        for (kind, trace) in [(.intent, "a"), (.outcome, "a"), (.intent, "b"), (.refused, "c")] as [(AuditRecord.Kind, String)] {
            var record = record(0)
            (record.kind, record.trace) = (kind, trace)
            try trail.append(record)
        }
        let found = try AuditVerification(folder: folder.path)
        #expect(found.isWhole && found.unresolved == [4] && found.remarks.count == 1)
    }

    @Test func `a foreign program checks the same chain`() async throws {
        let folder = try Folder()
        let head = try folder.fill(20, fileBytesMax: 1200, filesMax: 50)
        let process = try ForeignProcess(Checkout.python, [Checkout.peer("audit_verifier.py"), folder.path])
        #expect(try await process.line() == "\(head)")
        _ = try await process.waitForExit(within: .seconds(20))
    }
}
