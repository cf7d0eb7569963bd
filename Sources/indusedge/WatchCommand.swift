internal import ArgumentParser
internal import Foundation
internal import GatewayCore
internal import Historian
internal import Sparkplug
internal import Synchronization
internal import Telemetry
internal import Uplink

struct WatchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch", abstract: "Show what arrives at a broker: live values and the health of each machine.",
        discussion:
            "A Sparkplug subscriber with a certificate of its own. Redraws a picture on a terminal; elsewhere prints a line per machine every few seconds. Ends with Ctrl-C."
    )

    @Option(help: ArgumentHelp("The broker.", valueName: "host:port"))
    var broker: String

    @Option(help: "The folder with ca.crt, subscriber.crt and subscriber.key.")
    var identity: String

    @Option(help: "The site: Sparkplug group and edge node.")
    var site: String

    @Option(help: "The gateway's store, to show its size.")
    var data: String?

    @Option(help: "The site document, to show what its definitions call single values.")
    var document: String?

    @Option(help: "End after so many seconds.")
    var seconds: Int?

    @Option(help: "Write what was seen into this file, as JSON, at the end.")
    var report: String?

    func run() async throws {
        try await reportingErrors {
            guard let colon = broker.lastIndex(of: ":"), let port = UInt16(broker[broker.index(after: colon)...]) else {
                throw ValidationError("--broker is '\(broker)', expected host:port")
            }
            let time = SystemTime()
            let stop = await StopSignals()
            let cluster = RouteConfiguration.Cluster(name: "watched", host: String(broker[..<colon]), port: port)
            let subscriber = Subscriber(
                cluster: cluster,
                tls: .init(ca: identity + "/ca.crt", certificate: identity + "/subscriber.crt", key: identity + "/subscriber.key"),
                clientID: "indusedge-watch-\(ProcessInfo.processInfo.processIdentifier)", topics: ["spBv1.0/\(site)/#"], time: time)
            let labels = ValueLabels(siteAt: document ?? "")
            let observer = PlantObserver(broker: broker, start: time.now)
            let deadline = seconds.map { time.now.advanced(by: .seconds($0)) }
            defer { if let report { observer.write(report) } }
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    while true {
                        do {
                            try await subscriber.run { observer.receive($0, at: time.utc) }
                        } catch  where !error.isCancellation {
                            observer.lost(error)
                            try await time.sleep(for: .seconds(1))
                        }
                    }
                }
                group.addTask { try await PlantView(observer: observer, data: data, labels: labels, time: time).run(until: deadline) }
                group.addTask { try await stop.wait() }
                // The clock or the signal ends it; the subscriber never ends by itself.
                defer { group.cancelAll() }
                try await group.next()
            }
        }
    }
}
