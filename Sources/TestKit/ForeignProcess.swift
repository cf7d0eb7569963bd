package import Foundation
internal import Glibc
internal import Synchronization

/// A foreign program that a test starts and ends: its output line by line, its input a line at a time.
package final class ForeignProcess: Sendable {
    /// Why a foreign program could not be used.
    package struct Failure: Error, CustomStringConvertible {
        package let description: String

        package init(description: String) { self.description = description }
    }

    private struct State {
        var pending: [UInt8] = []
        var lines: [String] = []
        var allLines: [String] = []
        var isAtEnd = false
        var areErrorsAtEnd = false
    }

    private let process: Process
    private let input: FileHandle
    private let state: Mutex<State>
    private let errorOutput = Mutex<[UInt8]>([])

    /// Starts `executable` (a path, or a name found on the PATH). It is killed when the object goes.
    package init(_ executable: String, _ arguments: [String], environment: [String: String] = [:], folder: URL? = nil) throws {
        let process = Process()
        if executable.contains("/") {
            process.executableURL = URL(fileURLWithPath: executable)
            process.arguments = arguments
        } else {
            process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            process.arguments = [executable] + arguments
        }
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.currentDirectoryURL = folder
        let input = Pipe()
        let output = Pipe()
        let errors = Pipe()
        process.standardInput = input
        process.standardOutput = output
        process.standardError = errors
        self.process = process
        self.input = input.fileHandleForWriting
        state = Mutex(State())
        try process.run()
        // A readability handler now and then misses the end of a long output; a thread that reads does not.
        ForeignProcess.read(output.fileHandleForReading) { [weak self] in self?.receive($0) }
        ForeignProcess.read(errors.fileHandleForReading) { [weak self] in self?.receiveErrors($0) }
    }

    /// Hands on all that arrives, and nothing at last.
    private static func read(_ handle: FileHandle, _ receive: @escaping @Sendable (Data) -> Void) {
        Thread.detachNewThread {
            var buffer = [UInt8](repeating: 0, count: 65_536)
            while true {
                // Not through the handle: it ends the program when a signal interrupts the read.
                let count = Glibc.read(handle.fileDescriptor, &buffer, buffer.count)
                if count < 0, errno == EINTR { continue }
                receive(Data(buffer[..<max(0, count)]))
                if count <= 0 { return }
            }
        }
    }

    deinit {
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    }

    package var processIdentifier: Int32 { process.processIdentifier }
    package var isRunning: Bool { process.isRunning }
    package var exitStatus: Int32? { process.isRunning ? nil : process.terminationStatus }
    /// What it wrote to standard error so far.
    package var errorText: String { errorOutput.withLock { String(decoding: $0, as: UTF8.self) } }
    /// The lines of standard output not yet taken by `line(where:)`.
    package var lines: [String] { state.withLock { $0.lines } }

    /// Every line of standard output so far, taken or not.
    package var allLines: [String] { state.withLock { $0.allLines } }

    /// Waits until standard output and standard error have been read to their ends, after the program ended.
    package func drained() async throws {
        for _ in 0..<1000 where !state.withLock({ $0.isAtEnd && $0.areErrorsAtEnd }) { try await Task.sleep(for: .milliseconds(2)) }
    }

    /// Waits for something on standard error.
    package func errorLine(within limit: Duration = .seconds(30), where fits: (Substring) -> Bool) async throws {
        let end = ContinuousClock.now + limit
        while !errorText.split(separator: "\n").contains(where: fits) {
            if !process.isRunning || ContinuousClock.now > end {
                throw Failure(description: "no such line on standard error within \(limit): \(errorText)")
            }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    private func receiveErrors(_ data: Data) {
        errorOutput.withLock { $0.append(contentsOf: data) }
        if data.isEmpty { state.withLock { $0.areErrorsAtEnd = true } }
    }

    private func receive(_ data: Data) {
        state.withLock { state in
            if data.isEmpty { state.isAtEnd = true }
            state.pending.append(contentsOf: data)
            while let end = state.pending.firstIndex(of: 10) {
                let line = String(decoding: state.pending[..<end], as: UTF8.self)
                state.lines.append(line)
                state.allLines.append(line)
                state.pending.removeSubrange(...end)
            }
        }
    }

    /// Waits for the next line of standard output that fits, and drops those before it.
    package func line(within limit: Duration = .seconds(30), where fits: (String) -> Bool = { _ in true }) async throws -> String {
        let end = ContinuousClock.now + limit
        while true {
            let (found, isAtEnd): (String?, Bool) = state.withLock { state in
                guard let index = state.lines.firstIndex(where: fits) else { return (nil, state.isAtEnd) }
                let line = state.lines[index]
                state.lines.removeSubrange(...index)
                return (line, false)
            }
            if let found { return found }
            let name = process.arguments?.joined(separator: " ") ?? ""
            if isAtEnd {
                throw Failure(
                    description:
                        "\(name) ended (\(process.isRunning ? "closing its output" : "exit \(process.terminationStatus)")): \(errorText)")
            }
            if ContinuousClock.now > end {
                throw Failure(description: "\(name) printed no such line within \(limit): \(lines.suffix(5)) \(errorText)")
            }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    /// Writes a line to its standard input.
    package func send(_ line: String) throws { try input.write(contentsOf: Data((line + "\n").utf8)) }

    package func signal(_ number: Int32) { kill(process.processIdentifier, number) }

    /// Waits until it has ended by itself and gives its exit status.
    package func waitForExit(within limit: Duration = .seconds(30)) async throws -> Int32 {
        let end = ContinuousClock.now + limit
        while process.isRunning {
            if ContinuousClock.now > end { throw Failure(description: "process \(processIdentifier) is still running after \(limit)") }
            try await Task.sleep(for: .milliseconds(5))
        }
        return process.terminationStatus
    }

    /// Ends it at once.
    package func stop() async {
        signal(SIGKILL)
        while process.isRunning { try? await Task.sleep(for: .milliseconds(2)) }
    }
}

/// Where things are in the checkout that the tests were built from.
package enum Checkout {
    /// The root folder of the package.
    package static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    /// The interpreter that has the foreign peers.
    package static var python: String { root.appendingPathComponent(".venv/bin/python").path }

    /// A script of `Tests/Peers`.
    package static func peer(_ name: String) -> String { root.appendingPathComponent("Tests/Peers/\(name)").path }
}

/// A folder that goes with the object.
package final class TemporaryFolder: Sendable {
    package let url: URL
    package var path: String { url.path }

    package init() throws {
        url = FileManager.default.temporaryDirectory.appendingPathComponent("indusedge-\(UUID().uuidString)", isDirectory: true)
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: url) }
}
