internal import GatewayCore
internal import Glibc
internal import ModbusProtocol
internal import Telemetry

/// The Modbus RTU server in front of the devices: one client, the one at the other end of a serial line.
///
/// It has no address, so that only rules without `client` speak of it.
package actor SerialFirewallServer {
    private let service: FirewallService
    private let settings: SerialPortSettings
    private let thread: DedicatedThread
    package nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    /// How long a wait for bytes lasts at most before it is asked whether to stop.
    private static let patience = Duration.milliseconds(200)
    /// USB adapters hand on what they have every 16 ms: a shorter pause within a frame is none.
    private static let pauseMin = Duration.milliseconds(20)

    package init(service: FirewallService, settings: SerialPortSettings) {
        self.service = service
        self.settings = settings
        thread = DedicatedThread(name: "firewall")
    }

    /// Serves until the task is cancelled.
    ///
    /// Throws a `GatewayError` when the port cannot be used, or is gone.
    package func run() async throws {
        let port = try SerialPort(settings)
        let silence = max(settings.frameSilence, SerialFirewallServer.pauseMin)
        var requests = RTURequests(units: service.units)
        service.update { $0.clients = 1 }
        defer { service.update { $0.clients = 0 } }
        while true {
            try Task.checkCancellation()
            let bytes = try port.read(within: requests.isEmpty ? SerialFirewallServer.patience : silence)
            switch bytes.isEmpty ? requests.silence() : requests.take(bytes) {
            case .none: continue
            case .malformed(let reason):
                service.update {
                    $0.malformed += 1
                    $0.reason = "\(ClientAddress.serialLine): \(reason)"
                }
            case .request(let frame):
                let answer = await service.answer(frame.pdu, unit: frame.unit, client: .serialLine)
                // The client must hear the end of its own frame before the answer begins.
                SerialFirewallServer.pause(settings.frameSilence)
                try port.write(ModbusRTUFrame(unit: frame.unit, pdu: answer).bytes)
            }
        }
    }

    private static func pause(_ duration: Duration) {
        var left = timespec(tv_sec: 0, tv_nsec: Int(min(duration.nanoseconds, 999_999_999)))
        var rest = timespec()
        while nanosleep(&left, &rest) != 0, errno == EINTR { left = rest }
    }
}
