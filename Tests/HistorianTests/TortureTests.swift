import Foundation
import TestKit
import Testing

/// One round of every kind of trouble; `make torture` plays a thousand.
struct TortureTests {
    @Test(.timeLimit(.minutes(10))) func aRoundOfEveryKindOfTroubleFindsEverythingAgain() async throws {
        let seed = seedOfThisRun()
        let program = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent().appendingPathComponent("log-torture")
        let process = Process()
        process.executableURL = program
        process.arguments = ["--short", "--rounds", "14", "--seed", "\(seed)"]
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        // Waits on a thread of its own: the few that tests run on are for all of them.
        let (text, status) = await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                let data = try? output.fileHandleForReading.readToEnd()
                process.waitUntilExit()
                continuation.resume(returning: (String(decoding: data ?? Data(), as: UTF8.self), process.terminationStatus))
            }
        }
        #expect(status == 0, Comment(rawValue: text))
        #expect(text.contains("torture: passed"), Comment(rawValue: text))
    }
}
