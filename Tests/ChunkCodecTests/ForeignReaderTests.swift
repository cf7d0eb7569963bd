import Foundation
import Testing

/// A reader that was written from the page about the format, in another language, reads every golden column.
struct ForeignReaderTests {
    @Test func readsEveryGoldenColumn() throws {
        let tests = GoldenFile.folder.deletingLastPathComponent().deletingLastPathComponent()
        let reader = tests.appendingPathComponent("Peers/chunk_reader.py")
        let columns = try GoldenFile.names().filter { name in
            if case .column = try GoldenFile(named: name).meaning { true } else { false }
        }
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", reader.path] + columns.map { GoldenFile.folder.appendingPathComponent($0).path }
        process.standardOutput = output
        try process.run()
        let said = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        #expect(said == "\(columns.count) columns\n")
    }
}
