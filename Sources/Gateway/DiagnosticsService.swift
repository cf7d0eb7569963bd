internal import Acquisition
internal import GatewayCore
internal import Telemetry

/// Appends the state of every device to the log, so that late and missed polls are kept, queried and sent like any other sample.
struct DiagnosticsService: Sendable {
    /// How often; a change of the connection is reported within a second.
    static let period = Duration.seconds(10)

    private let log: any TelemetryLog
    private let time: any TimeSource
    private let devices: [(name: String, monitor: DeviceMonitor)]

    init(log: any TelemetryLog, time: any TimeSource, devices: [(name: String, monitor: DeviceMonitor)]) {
        self.log = log
        self.time = time
        self.devices = devices
    }

    func run() async throws {
        var streams: [(stream: StreamID, descriptor: StreamDescriptor, monitor: DeviceMonitor)] = []
        for device in devices {
            let descriptor = DiagnosticsStream.descriptor(device: device.name)
            streams.append((try log.register(descriptor), descriptor, device.monitor))
        }
        var lastConnections = [DeviceStatus.Connection?](repeating: nil, count: streams.count)
        var clocks = [(stream: StreamID, descriptor: StreamDescriptor)?](repeating: nil, count: streams.count)
        var next = time.now
        var tick = 0
        let ticksPerPeriod = Int(DiagnosticsService.period / .seconds(1))
        while true {
            next = next.advanced(by: .seconds(1))
            try await time.sleep(until: next)
            tick += 1
            for index in streams.indices {
                let status = streams[index].monitor.status
                guard tick % ticksPerPeriod == 0 || status.lastingState != lastConnections[index] else { continue }
                lastConnections[index] = status.lastingState
                let stamp = time.stamp
                log.append(
                    DiagnosticsStream.batch(status, stream: streams[index].stream, descriptor: streams[index].descriptor, at: stamp))
                guard let skew = status.clockSkewMilliseconds else { continue }
                let clock: (stream: StreamID, descriptor: StreamDescriptor)
                if let known = clocks[index] {
                    clock = known
                } else {
                    let descriptor = DiagnosticsStream.clockDescriptor(device: devices[index].name)
                    clock = (try log.register(descriptor), descriptor)
                    clocks[index] = clock
                }
                log.append(DiagnosticsStream.clockBatch(skew: skew, stream: clock.stream, descriptor: clock.descriptor, at: stamp))
            }
        }
    }
}
