internal import ArgumentParser
internal import Foundation
internal import Gateway
internal import GatewayCore

struct RouteCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "route", abstract: "Tell how the routes of the running gateway are doing: clusters, backlog, certificate, last error.",
        discussion: "Exit status 1 when no gateway runs on the store, it has no such route, or a route shown is not connected.")

    @Argument(help: ArgumentHelp("The folder of the log, or the site document.", valueName: "store"))
    var store: String

    @Argument(help: "Only the route of this name.")
    var name: String?

    @Flag(help: "JSON instead of text: one list of routes, a line each time.")
    var json = false

    @Flag(help: "Again every second, until Ctrl-C.")
    var watch = false

    func run() async throws {
        try await reportingErrors {
            let folder = try storeFolder(store)
            guard watch else {
                let routes = try ControlService.routes(named: name, folder: folder)
                try show(routes)
                if routes.contains(where: { $0.state != "connected" }) { throw ExitCode.failure }
                return
            }
            let time = SystemTime()
            let stop = await StopSignals()
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    while true {
                        let routes = try ControlService.routes(named: name, folder: folder)
                        // The picture is drawn over the one before, on a terminal only.
                        if !json, isatty(STDOUT_FILENO) == 1 { Output.line("\u{1B}[H\u{1B}[2J\(time.utc)") }
                        try show(routes)
                        try await time.sleep(for: .seconds(1))
                    }
                }
                group.addTask { try await stop.wait() }
                defer { group.cancelAll() }
                try await group.next()
            }
        }
    }

    private func show(_ routes: [RouteReport]) throws {
        if json { return try Output.json(routes) }
        if routes.isEmpty { Output.line("the gateway has no routes") }
        for route in routes { RouteWords(route).print() }
    }
}

/// A route for people.
struct RouteWords {
    private let route: RouteReport

    init(_ route: RouteReport) { self.route = route }

    /// The first lines: everything but the table of the clusters.
    var lines: [String] {
        var lines = ["route \(route.name): \(route.state), \(route.payload), \(route.failover)"]
        if let attempt = route.nextAttempt { lines[0] += ", next attempt at \(attempt)" }
        lines.append("  backlog      \(RouteWords.words(route.backlog))")
        let onItsWay = route.pendingSamples - min(route.backlog.samples, route.pendingSamples)
        if onItsWay > 0 { lines.append("  on its way   \(onItsWay) fresh samples wait for the broker's acknowledgement") }
        let size = route.bytesPerSample.map { ", \(RouteWords.decimal($0)) bytes each" } ?? ""
        lines.append(
            "  sent         \(route.publishedSamples) samples in \(route.publishedMessages) messages\(size); "
                + "\(route.liveSamples) live, \(route.backlogSamples) from the backlog; \(route.acknowledgedSamples) acknowledged")
        for hold in route.holds { lines.append("  held back    \(hold.lane) until \(hold.until): \(RouteWords.words(hold.reason))") }
        if let sent = route.sentToday, let limit = route.dailyLimit {
            lines.append("  today        \(sent) of \(limit) bytes")
        }
        if route.liveLaneRestarts > 0 {
            lines.append("  fell behind  \(route.liveLaneRestarts) times: more comes in than may be sent, the rest waits as backlog")
        }
        if route.evictedSamples > 0 || route.refusedSamples > 0 {
            lines.append("  not sent     \(route.evictedSamples) evicted before their turn, \(route.refusedSamples) refused")
        }
        if let certificate = route.certificate {
            let left =
                switch (certificate.state, certificate.daysLeft) {
                case ("expired", _): "EXPIRED"
                case ("expiring", let days?): "ONLY \(days) days left"
                case ("notYetValid", _): "NOT YET VALID"
                case (_, let days?): "\(days) days left"
                case (_, nil): "the clock is not set"
                }
            lines.append("  certificate  \(certificate.subject): \(left), until \(certificate.notAfter)")
            for (depth, line) in certificate.trouble.enumerated() {
                lines.append(depth == 0 ? "    new files   not taken: \(line)" : "    because: \(line)")
            }
        }
        if let trouble = route.lastError { lines += RouteWords.words(trouble) }
        return lines
    }

    /// The clusters, one in a row, with a heading.
    var table: [[String]] {
        [["  CLUSTER", "BROKER", "STATE", "HEALTH", "DEVICES", "ROUND TRIP", "TLS", "CONNECTED SINCE"]]
            + route.clusters.map { cluster in
                // Where one is connected at a time, the others are not out of order.
                let isStandby = route.failover == "ordered" && route.state == "connected" && cluster.state != "connected"
                return [
                    "  \(cluster.name)", cluster.broker, isStandby ? "standby" : cluster.state,
                    isStandby && cluster.lastError == nil ? "-" : cluster.health, "\(cluster.devices)",
                    cluster.roundTripMilliseconds.map { "\(RouteWords.decimal($0)) ms" } ?? "-",
                    cluster.tlsVersion ?? (cluster.state == "connected" ? "none" : "-"), cluster.connectedSince ?? "-",
                ]
            }
    }

    func print() {
        for line in lines { Output.line(line) }
        if !route.clusters.isEmpty { Output.table(table) }
        for cluster in route.clusters {
            if let backlog = cluster.backlog, backlog.samples > 0 { Output.line("  \(cluster.name): backlog \(RouteWords.words(backlog))") }
            if let trouble = cluster.lastError, trouble != route.lastError {
                Output.line("  \(cluster.name):")
                for line in RouteWords.words(trouble) { Output.line("  \(line)") }
            }
        }
    }

    private static func words(_ backlog: RouteReport.Backlog) -> String {
        guard backlog.samples > 0 else { return "none" }
        var words = "\(backlog.samples) samples"
        if let age = backlog.ageSeconds { words += ", the oldest \(span(age)) old" }
        if let rate = backlog.drainPerSecond { words += ", \(Int(rate.rounded())) a second acknowledged" }
        if let rest = backlog.goneInSeconds { words += ", gone in \(span(rest))" }
        return words
    }

    private static func words(_ reason: String) -> String {
        switch reason {
        case "quietHours": "quiet hours"
        case "dailyLimit": "the volume of the day is spent"
        default: reason
        }
    }

    private static func words(_ trouble: RouteReport.Trouble) -> [String] {
        trouble.chain.enumerated().map { depth, line in
            depth == 0
                ? "  last error   \(line)" + (trouble.time.map { " (\($0), \(trouble.attempts) in a row)" } ?? "") : "    because: \(line)"
        }
    }

    /// Up to three digits behind the point, as many as tell something.
    static func decimal(_ number: Double) -> String { String(format: number < 10 ? "%.2f" : "%.1f", number) }

    /// Seconds in the unit that people would use.
    static func span(_ seconds: Double) -> String {
        switch seconds {
        case ..<120: "\(decimal(seconds)) s"
        case ..<7_200: "\(decimal(seconds / 60)) min"
        case ..<172_800: "\(decimal(seconds / 3600)) h"
        default: "\(decimal(seconds / 86_400)) d"
        }
    }
}
