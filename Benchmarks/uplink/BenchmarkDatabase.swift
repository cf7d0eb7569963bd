internal import BenchmarkSignals
internal import Foundation
internal import GatewayCore
internal import Ingest
internal import IngestService
internal import Telemetry

/// A database of this machine on a free loopback port, with a folder of its own.
final class BenchmarkDatabase: Sendable {
    enum Kind: String, CaseIterable {
        case victoriametrics, influxdb, postgresql
    }

    private let kind: Kind
    private let port: UInt16
    private let folder: String
    private let process: Process

    /// Starts it, and returns when it takes connections.
    init(_ kind: Kind, time: SystemTime) async throws {
        self.kind = kind
        port = BenchmarkBroker.freePort()
        // PostgreSQL does not run as root, and must be able to reach its folder.
        folder = FileManager.default.temporaryDirectory.path + "/indusedge-bench-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let command: [String]
        switch kind {
        case .victoriametrics:
            command = [
                "victoria-metrics", "-httpListenAddr=127.0.0.1:\(port)", "-storageDataPath=\(folder)/data", "-retentionPeriod=1y",
                "-dedup.minScrapeInterval=1ms",
            ]
        case .influxdb:
            let text = """
                reporting-disabled = true
                bind-address = "127.0.0.1:\(BenchmarkBroker.freePort())"
                [meta]
                dir = "\(folder)/meta"
                [data]
                dir = "\(folder)/data"
                wal-dir = "\(folder)/wal"
                [monitor]
                store-enabled = false
                [http]
                bind-address = "127.0.0.1:\(port)"
                log-enabled = false
                """
            try text.write(toFile: folder + "/influxdb.conf", atomically: true, encoding: .utf8)
            command = ["influxd", "run", "-config", folder + "/influxdb.conf"]
        case .postgresql:
            let programs = (13...18).reversed().map { "/usr/lib/postgresql/\($0)/bin" }
            let bin = programs.first { FileManager.default.isExecutableFile(atPath: $0 + "/postgres") } ?? "/usr/bin"
            let user = getuid() == 0 ? ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"] : []
            if getuid() == 0 { try Self.start(["chown", "postgres", folder]).waitUntilExit() }
            try Self.start(user + [bin + "/initdb", "-D", folder + "/data", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C"])
                .waitUntilExit()
            command =
                user + [
                    bin + "/postgres", "-D", folder + "/data", "-p", "\(port)", "-k", folder + "/data", "-c", "listen_addresses=127.0.0.1",
                    "-c",
                    "max_wal_size=4GB",
                ]
        }
        process = try Self.start(command)
        for _ in 0..<600 {
            do throws(GatewayError) {
                _ = try open(time).prepare()
                return
            } catch {
                guard process.isRunning else { break }
                try await time.sleep(for: .milliseconds(50))
            }
        }
        throw GatewayError(.connectionFailed, resource: kind.rawValue, operation: "start", "it does not start; is it installed?")
    }

    private static func start(_ command: [String]) throws -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = command
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        return process
    }

    func open(_ time: SystemTime) throws(GatewayError) -> any Database {
        let http = DatabaseSettings(url: "http://127.0.0.1:\(port)")
        switch kind {
        case .victoriametrics: return try LineProtocolDatabase(.victoriaMetrics, http, stop: StopFlag())
        case .influxdb: return try LineProtocolDatabase(.influxDB, http, stop: StopFlag())
        case .postgresql: return try PostgreSQLDatabase(DatabaseSettings(url: "postgresql://postgres@127.0.0.1:\(port)/postgres"))
        }
    }

    /// CPU seconds of its process and those that it has begun and ended.
    var processorSeconds: Double {
        var seconds = 0.0
        var family: Set<Int32> = [process.processIdentifier]
        // Parents have lower numbers than their children, unless the numbers have come around.
        let numbers = ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []).compactMap { Int32($0) }.sorted()
        for number in numbers {
            guard let text = try? String(contentsOfFile: "/proc/\(number)/stat", encoding: .utf8), let end = text.lastIndex(of: ")") else {
                continue
            }
            let fields = text[end...].split(separator: " ").compactMap { Int64($0) }
            // After the name: state (no number), parent; user and system time are the 12th and 13th field after the name.
            guard fields.count > 13, family.contains(Int32(fields[0])) || family.contains(number) else { continue }
            family.insert(number)
            seconds += Double(fields[10] + fields[11] + fields[12] + fields[13]) / Double(sysconf(Int32(_SC_CLK_TCK)))
        }
        return seconds
    }

    /// Ends it by force; what it holds is not needed any more.
    func stop() {
        kill(process.processIdentifier, kind == .postgresql ? SIGQUIT : SIGKILL)
        process.waitUntilExit()
        try? FileManager.default.removeItem(atPath: folder)
    }
}
