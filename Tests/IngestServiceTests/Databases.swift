import Foundation
import FoundationNetworking
import TestKit

/// A real database on a free port of the loopback interface, in a folder of its own; it is killed when the object goes.
final class TestDatabase {
    enum Kind: String, CaseIterable {
        case victoriametrics, influxdb, postgresql

        /// Whether its program is on this machine.
        var isInstalled: Bool { TestDatabase.program(self) != nil }
    }

    let kind: Kind
    let port: UInt16
    private let folder: TemporaryFolder
    private var process: ForeignProcess?
    /// PostgreSQL does not run as root.
    private static var isRoot: Bool { geteuid() == 0 }
    static let database = "plant"

    init(_ kind: Kind) async throws {
        self.kind = kind
        port = try MosquittoBroker.freePort()
        folder = try TemporaryFolder()
        if kind == .postgresql { try await initialize() }
        if kind == .influxdb { try writeConfiguration() }
        try await start()
    }

    /// Where `indusedge-control` finds it.
    var url: String {
        switch kind {
        case .victoriametrics, .influxdb: "http://127.0.0.1:\(port)"
        case .postgresql: "postgresql://postgres@127.0.0.1:\(port)/postgres"
        }
    }

    func start() async throws {
        guard let program = Self.program(kind) else { throw ForeignProcess.Failure(description: "\(kind) is not installed") }
        switch kind {
        case .victoriametrics:
            process = try ForeignProcess(
                program,
                [
                    "-httpListenAddr=127.0.0.1:\(port)", "-storageDataPath=\(folder.path)/data", "-retentionPeriod=100y",
                    "-dedup.minScrapeInterval=1ms", "-memory.allowedBytes=100MiB",
                ])
        case .influxdb: process = try ForeignProcess(program, ["run", "-config", folder.path + "/influxdb.conf"])
        case .postgresql:
            let (executable, arguments) = Self.unprivileged([
                program, "-D", folder.path + "/data", "-p", "\(port)", "-k", folder.path + "/data", "-c", "listen_addresses=127.0.0.1",
                "-c",
                "fsync=off",
            ])
            process = try ForeignProcess(executable, arguments)
        }
        for _ in 0..<600 {
            if await isReady() { return }
            guard process?.isRunning == true else { break }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw ForeignProcess.Failure(description: "\(kind) does not start: \(process?.errorText.suffix(2000) ?? "")")
    }

    /// Ends PostgreSQL as a crash does, the others in order: they confirm what is only in their memory yet.
    func stop() async throws {
        guard let process else { return }
        process.signal(kind == .postgresql ? SIGQUIT : SIGTERM)
        _ = try await process.waitForExit()
        self.process = nil
    }

    deinit { if let process, process.isRunning { Foundation.kill(process.processIdentifier, SIGQUIT) } }

    /// How many samples it holds of each tag, with the sum of their values.
    func contents() async throws -> [String: [Double]] {
        switch kind {
        case .victoriametrics: try await victoriaMetrics()
        case .influxdb: try await influxDB()
        case .postgresql: try await postgreSQL()
        }
    }

    /// Answers a statement: SQL of PostgreSQL, InfluxQL of InfluxDB.
    func ask(_ statement: String) async throws -> String {
        if kind == .postgresql {
            let psql = try ForeignProcess("psql", [url, "-At", "-F", "\t", "-c", statement])
            let status = try await psql.waitForExit()
            try await psql.drained()
            guard status == 0 else { throw ForeignProcess.Failure(description: psql.errorText) }
            return psql.allLines.joined(separator: "\n")
        }
        return try await request("/query", ["db": Self.database, "q": statement], method: "POST")
    }

    func request(_ path: String, _ query: [String: String], method: String = "GET", body: String? = nil) async throws -> String {
        var components = URLComponents()
        components.scheme = "http"
        components.host = "127.0.0.1"
        components.port = Int(port)
        components.path = path
        components.queryItems = query.map { URLQueryItem(name: $0, value: $1) }
        guard let url = components.url else { throw ForeignProcess.Failure(description: "no URL of \(path)") }
        var request = URLRequest(url: url)
        request.httpMethod = method
        request.httpBody = body.map { Data($0.utf8) }
        let (data, _) = try await URLSession.shared.data(for: request)
        return String(decoding: data, as: UTF8.self)
    }

    // MARK: - Contents

    private func victoriaMetrics() async throws -> [String: [Double]] {
        struct Line: Decodable {
            let metric: [String: String]
            let values: [Double]
        }
        _ = try await request("/internal/force_flush", [:])
        var found: [String: [Double]] = [:]
        for line in try await request("/api/v1/export", ["match[]": "indusedge_value"]).split(separator: "\n") {
            let entry = try JSONDecoder().decode(Line.self, from: Data(line.utf8))
            found[entry.metric["tag"] ?? ""] = entry.values
        }
        return found
    }

    private func influxDB() async throws -> [String: [Double]] {
        struct Answer: Decodable {
            struct Result: Decodable { let series: [Series]? }
            struct Series: Decodable {
                let tags: [String: String]
                let values: [[Double?]]
            }
            let results: [Result]
        }
        let text = try await request("/query", ["db": Self.database, "epoch": "ns", "q": "SELECT value FROM indusedge GROUP BY \"tag\""])
        var found: [String: [Double]] = [:]
        for series in try JSONDecoder().decode(Answer.self, from: Data(text.utf8)).results.first?.series ?? [] {
            found[series.tags["tag"] ?? ""] = series.values.compactMap { $0.last ?? nil }
        }
        return found
    }

    private func postgreSQL() async throws -> [String: [Double]] {
        var found: [String: [Double]] = [:]
        let text = try await ask("SELECT tag, value FROM indusedge.value WHERE value IS NOT NULL ORDER BY time")
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: "\t")
            found[String(parts[0]), default: []].append(Double(parts[1]) ?? .nan)
        }
        return found
    }

    // MARK: - Starting

    private func isReady() async -> Bool {
        switch kind {
        case .victoriametrics: (try? await request("/health", [:])) == "OK"
        case .influxdb: (try? await request("/ping", [:])) == ""
        case .postgresql: (try? await ask("SELECT 1")) == "1"
        }
    }

    private func initialize() async throws {
        guard let program = Self.program(.postgresql) else { return }
        if Self.isRoot {
            let owner = try ForeignProcess("chown", ["postgres", folder.path])
            guard try await owner.waitForExit() == 0 else { throw ForeignProcess.Failure(description: owner.errorText) }
        }
        let (executable, arguments) = Self.unprivileged([
            URL(fileURLWithPath: program).deletingLastPathComponent().path + "/initdb", "-D", folder.path + "/data", "-A", "trust", "-U",
            "postgres", "-E", "UTF8", "--no-sync", "--locale=C",
        ])
        let made = try ForeignProcess(executable, arguments)
        guard try await made.waitForExit() == 0 else { throw ForeignProcess.Failure(description: made.errorText) }
    }

    private func writeConfiguration() throws {
        let text = """
            reporting-disabled = true
            bind-address = "127.0.0.1:\(try MosquittoBroker.freePort())"
            [meta]
            dir = "\(folder.path)/meta"
            [data]
            dir = "\(folder.path)/data"
            wal-dir = "\(folder.path)/wal"
            [monitor]
            store-enabled = false
            [http]
            bind-address = "127.0.0.1:\(port)"
            """
        try text.write(toFile: folder.path + "/influxdb.conf", atomically: true, encoding: .utf8)
    }

    private static func unprivileged(_ command: [String]) -> (String, [String]) {
        isRoot
            ? ("setpriv", ["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"] + command)
            : (command[0], Array(command.dropFirst()))
    }

    fileprivate static func program(_ kind: Kind) -> String? {
        let candidates: [String] =
            switch kind {
            case .victoriametrics: ["/usr/bin/victoria-metrics"]
            case .influxdb: ["/usr/bin/influxd"]
            case .postgresql: (13...18).reversed().map { "/usr/lib/postgresql/\($0)/bin/postgres" }
            }
        return candidates.first { FileManager.default.isExecutableFile(atPath: $0) }
    }
}
