internal import Acquisition
internal import GatewayCore
internal import Telemetry

/// Appends the state of every device to the log, so that late and missed polls are kept, queried and sent like any other sample.
struct DiagnosticsService: Sendable {
    /// How often; a change of the connection is reported within a second.
    static let period = Duration.seconds(10)

    private let log: any TelemetryLog
    private let time: any TimeSource
    private let devices: @Sendable () -> [(name: String, monitor: DeviceMonitor)]

    init(log: any TelemetryLog, time: any TimeSource, devices: [(name: String, monitor: DeviceMonitor)]) {
        self.init(log: log, time: time) { devices }
    }

    /// `devices` gives those there are now, and is asked every second.
    init(log: any TelemetryLog, time: any TimeSource, devices: @escaping @Sendable () -> [(name: String, monitor: DeviceMonitor)]) {
        self.log = log
        self.time = time
        self.devices = devices
    }

    /// One device that is told of.
    private struct Told {
        let name: String
        let monitor: DeviceMonitor
        let stream: StreamID
        let descriptor: StreamDescriptor
        var lastConnection: DeviceStatus.Connection?
        var clock: (stream: StreamID, descriptor: StreamDescriptor)?
    }

    /// The devices there are now; those that were there before go on.
    private func update(_ told: inout [Told]) throws {
        let present = devices()
        if present.count == told.count, zip(present, told).allSatisfy({ $0.monitor === $1.monitor }) { return }
        told = try present.map { device in
            if let known = told.first(where: { $0.monitor === device.monitor }) { return known }
            let descriptor = DiagnosticsStream.descriptor(device: device.name)
            return Told(name: device.name, monitor: device.monitor, stream: try log.register(descriptor), descriptor: descriptor)
        }
    }

    func run() async throws {
        var told: [Told] = []
        try update(&told)
        var next = time.now
        var tick = 0
        let ticksPerPeriod = Int(DiagnosticsService.period / .seconds(1))
        while true {
            next = next.advanced(by: .seconds(1))
            try await time.sleep(until: next)
            tick += 1
            try update(&told)
            for index in told.indices {
                let status = told[index].monitor.status
                guard tick % ticksPerPeriod == 0 || status.lastingState != told[index].lastConnection else { continue }
                told[index].lastConnection = status.lastingState
                let stamp = time.stamp
                log.append(DiagnosticsStream.batch(status, stream: told[index].stream, descriptor: told[index].descriptor, at: stamp))
                guard let skew = status.clockSkewMilliseconds else { continue }
                let clock: (stream: StreamID, descriptor: StreamDescriptor)
                if let known = told[index].clock {
                    clock = known
                } else {
                    let descriptor = DiagnosticsStream.clockDescriptor(device: told[index].name)
                    clock = (try log.register(descriptor), descriptor)
                    told[index].clock = clock
                }
                log.append(DiagnosticsStream.clockBatch(skew: skew, stream: clock.stream, descriptor: clock.descriptor, at: stamp))
            }
        }
    }
}
