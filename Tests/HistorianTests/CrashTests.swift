import GatewayCore
import Telemetry
import TestKit
import Testing

@testable import Historian

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// `kill -9` in mid-write: this program starts itself again as the writer, and kills it.
struct CrashTests {
    private static let folderVariable = "INDUS_CRASH_FOLDER"
    private static var childFolder: String? { getenv(folderVariable).map { String(cString: $0) } }

    /// The writer: appends, commits, reads and acknowledges until it is killed. Notes in a file what a commit has confirmed.
    @Test(.enabled(if: CrashTests.childFolder != nil)) func crashingWriter() async throws {
        let folder = try #require(CrashTests.childFolder)
        let configuration = HistorianConfiguration(folder: folder + "/log", diskLimit: 64 << 20, memoryTailBytes: 128 << 10)
        let log = try Historian(configuration: configuration, time: SystemTime(), logger: quiet)
        let stream = try log.register(pump)
        let cursor = try log.cursor(named: "route/a", from: .oldest)
        let reader = Task {
            while true {
                guard let last = try await cursor.read(atMost: 50).last else { continue }
                let number = last.position.rawValue
                if number % 7 == 0 { cursor.refuse(last.position) }
                if number % 5 == 0 { cursor.connectionLost(at: Timestamp(milliseconds: Int64(number))) }
                cursor.acknowledge(through: last.position)
                if number % 3 == 0 { cursor.connectionRestored(at: Timestamp(milliseconds: Int64(number))) }
            }
        }
        defer { reader.cancel() }
        let progress = try OpenFile(folder + "/progress", O_WRONLY | O_CREAT | O_TRUNC)
        // Ends by itself should nobody kill it.
        for turn in 1...3000 {
            for number in 0..<20 { log.append(pumpBatch(stream, (turn - 1) * 20 + number)) }
            try await log.flush()
            let text = Array("\(log.epoch) \(turn * 20) \n".utf8)
            _ = text.withUnsafeBytes { pwrite(progress.descriptor, $0.baseAddress, $0.count, 0) }
        }
    }

    @Test(.enabled(if: CrashTests.childFolder == nil)) func killedInMidWriteTheStoreOpensByItselfAndHasWhatWasConfirmed() async throws {
        let seed = seedOfThisRun()
        var random = SeededGenerator(seed: seed)
        let folder = TemporaryFolder()
        var confirmed: [UInt32: Int] = [:]
        for round in 0..<20 {
            try Files.remove(folder.path + "/progress")
            let child = try #require(start(folder))
            while Files.size(folder.path + "/progress") == 0, waitpid(child, nil, WNOHANG) == 0 { usleep(1000) }
            usleep(UInt32.random(in: 0...30_000, using: &random))
            kill(child, SIGKILL)
            waitpid(child, nil, 0)
            let note = String(decoding: try readBytes(folder.path + "/progress"), as: UTF8.self).split(separator: " ")
            let epoch = try #require(note.first.flatMap { UInt32($0) })
            let appended = note.dropFirst().first.flatMap { Int($0) }
            let count: Int = try #require(appended)
            confirmed[epoch] = count

            let log = try Historian(
                configuration: HistorianConfiguration(folder: folder.log, diskLimit: 64 << 20), time: SystemTime(), logger: quiet)
            let context = Comment(rawValue: "INDUS_SEED=\(seed), round \(round)")
            #expect(log.recovery.setAside.isEmpty && log.recovery.damagedBytes == 0 && !log.recovery.catalogueRebuilt, context)
            #expect(try await log.ledger().imbalances == [], context)
            try await log.close()
        }
        var counts: [UInt32: Int] = [:]
        for entry in try Historian.openReadOnly(folder: folder.log).entries(after: .start, atMost: .max) {
            let batch = try #require(entry.batch)
            let expected = counts[batch.epoch, default: 0]
            #expect(batch.sequence == UInt64(expected))
            #expect(batch.raw(of: 0, in: pump) == .int(Int64(expected % 30_000)))
            counts[batch.epoch] = expected + 1
        }
        #expect(confirmed.count == 20)
        for (epoch, count) in confirmed { #expect(counts[epoch, default: 0] >= count, "INDUS_SEED=\(seed), epoch \(epoch)") }
    }

    /// Starts this program as the writer.
    private func start(_ folder: TemporaryFolder) -> pid_t? {
        let program = CommandLine.arguments[0]
        let arguments = [program, "--testing-library", "swift-testing", "--filter", "crashingWriter"]
        var environment = [CrashTests.folderVariable + "=" + folder.path]
        for name in ["LD_LIBRARY_PATH", "PATH"] {
            if let value = getenv(name) { environment.append(name + "=" + String(cString: value)) }
        }
        var argumentStrings: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        var environmentStrings: [UnsafeMutablePointer<CChar>?] = environment.map { strdup($0) } + [nil]
        defer { for string in argumentStrings + environmentStrings { free(string) } }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0)
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0)
        var child = pid_t()
        return posix_spawn(&child, program, &actions, nil, &argumentStrings, &environmentStrings) == 0 ? child : nil
    }
}
