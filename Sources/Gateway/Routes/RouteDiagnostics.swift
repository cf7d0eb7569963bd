internal import GatewayCore
package import Telemetry
package import Uplink

/// The state of a route as a stream of samples, so that it is kept, queried and sent like any other.
package enum RouteDiagnosticsStream {
    /// The name that stands for the route where devices have theirs.
    package static func device(of route: String) -> String { "route-\(route)" }

    package static func descriptor(route: String) -> StreamDescriptor {
        StreamDescriptor(
            device: device(of: route), group: StreamDescriptor.diagnosticsGroup,
            tags: [
                Tag("connected", .bool), Tag("backlog", .uint64), Tag("backlogAge", .float64, unit: "s"),
                Tag("drainRate", .float64, unit: "1/s"), Tag("roundTrip", .float64, unit: "ms"),
                Tag("bytesPerSample", .float64, unit: "By"),
                Tag("inFlight", .uint64), Tag("acknowledged", .uint64), Tag("evicted", .uint64), Tag("reconnects", .uint64),
                Tag("healthyClusters", .uint16), Tag("reason", .string, stringCapacity: 200),
            ])
    }

    /// What is not known is not in the batch as a number made up, but Bad.
    package static func batch(
        _ status: RouteStatus, stream: StreamID, descriptor: StreamDescriptor, at stamp: ClockStamp
    ) -> SampleBatch {
        func seconds(_ duration: Duration?) -> Double? { duration.map { Double($0.nanoseconds) / 1e9 } }
        let values: [Variant?] = [
            .bool(status.state == .connected), .uint(status.backlog.samples), .double(seconds(status.backlog.age) ?? 0),
            .double(status.backlog.drainRate ?? 0), RouteReport.milliseconds(status.roundTrip).map { .double($0) },
            status.bytesPerSample.map { .double($0) }, .uint(UInt64(max(0, status.inFlight))), .uint(status.acknowledgedSamples),
            .uint(status.gapSamples), .uint(status.reconnects), .uint(UInt64(status.clusters.count { $0.health == .healthy })),
            .string(status.lastError.joined(separator: "; because: ")),
        ]
        var batch = SampleBatch(stream: stream, descriptor: descriptor, time: stamp.time, status: .good)
        batch.stamp = stamp
        batch.quality = []
        for (tag, value) in values.enumerated() {
            if let value { batch.set(value, tag: tag, in: descriptor) }
            let quality: StatusCode = value == nil ? .badNoData : .good
            if batch.quality.last?.status == quality {
                batch.quality[batch.quality.count - 1].count += 1
            } else {
                batch.quality.append(QualityRun(count: 1, status: quality))
            }
        }
        return batch
    }
}

/// Appends the state of every route to the log.
struct RouteDiagnosticsService: Sendable {
    /// How often; a connection that comes or goes is told within a second.
    static let period = 10

    let log: any TelemetryLog
    let time: any TimeSource
    /// The routes there are now, asked every second.
    let routes: @Sendable () async -> [(name: String, status: RouteStatus)]
    /// Gives a stream its number, and tells the routes of it.
    let register: @Sendable (StreamDescriptor) async throws -> StreamID

    private struct Told {
        let stream: StreamID
        let descriptor: StreamDescriptor
        var isConnected: Bool?
    }

    func run() async throws {
        var told: [String: Told] = [:]
        var next = time.now
        var tick = 0
        while true {
            for (name, status) in await routes() {
                if told[name] == nil {
                    let descriptor = RouteDiagnosticsStream.descriptor(route: name)
                    told[name] = Told(stream: try await register(descriptor), descriptor: descriptor)
                }
                let isConnected = status.state == .connected
                guard let entry = told[name], tick % Self.period == 0 || entry.isConnected != isConnected else { continue }
                told[name]?.isConnected = isConnected
                log.append(RouteDiagnosticsStream.batch(status, stream: entry.stream, descriptor: entry.descriptor, at: time.stamp))
            }
            next = next.advanced(by: .seconds(1))
            tick += 1
            try await time.sleep(until: next)
        }
    }
}
