internal import BenchmarkSignals
internal import Foundation
internal import GatewayCore
internal import Identity
internal import Telemetry
internal import Uplink

/// A mosquitto with TLS 1.3 and client certificates on a free loopback port, with a folder of its own.
final class BenchmarkBroker {
    let port: UInt16
    let identity: String
    private let process = Process()

    init(time: SystemTime) throws {
        let folder = "\(FigureLog.folder)/uplink/broker"
        try? FileManager.default.removeItem(atPath: folder)
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        identity = URL(fileURLWithPath: folder).path + "/identity"
        _ = try DevelopmentIdentity.create(in: identity, at: time.utc)
        port = BenchmarkBroker.freePort()
        let text = """
            \(getuid() == 0 ? "user root\n" : "")listener \(port) 127.0.0.1
            persistence false
            log_dest none
            max_inflight_messages 0
            max_queued_messages 0
            cafile \(identity)/ca.crt
            certfile \(identity)/broker.crt
            keyfile \(identity)/broker.key
            tls_version tlsv1.3
            require_certificate true
            use_identity_as_username true
            allow_anonymous false

            """
        try text.write(toFile: folder + "/mosquitto.conf", atomically: true, encoding: .utf8)
        process.executableURL = URL(fileURLWithPath: "/usr/sbin/mosquitto")
        process.arguments = ["-c", folder + "/mosquitto.conf"]
        try process.run()
    }

    /// Ends it by force: started from a thread of the pool, it has inherited that all other signals are blocked, and it keeps nothing anyway.
    func stop() {
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }

    var cluster: RouteConfiguration.Cluster { .init(name: "local", host: "localhost", port: port) }

    func tls(as name: String) -> RouteConfiguration.TLS {
        .init(ca: identity + "/ca.crt", certificate: "\(identity)/\(name).crt", key: "\(identity)/\(name).key")
    }

    /// Below the range from which clients get theirs.
    static func freePort() -> UInt16 {
        while true {
            let port = UInt16.random(in: 20_000..<32_000)
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            defer { close(descriptor) }
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            let isFree = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
                }
            }
            if isFree { return port }
        }
    }
}
