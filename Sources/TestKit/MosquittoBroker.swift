internal import Foundation
internal import Synchronization

/// A real mosquitto on a free port of the loopback interface, for tests: started, killed, stopped for a while, started again on the same port.
///
/// It is killed, and its folder removed, when the object goes.
package final class MosquittoBroker: Sendable {
    /// How the broker talks to its clients.
    package enum Transport: Sendable {
        case plain
        /// Certificates as `DevelopmentIdentity` names them in `folder`.
        ///
        /// - Parameters:
        ///   - newestVersion: the newest version offered, `TLSv1.2` or `TLSv1.3`.
        ///   - ca: the file of the authorities whose clients are admitted, if it is not `ca.crt` of the folder.
        case tls(folder: String, requiresClientCertificate: Bool = true, newestVersion: String = "TLSv1.3", ca: String? = nil)
    }

    /// Why there is no broker.
    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    package let port: UInt16
    private let folder: URL
    private let process = Mutex<Process?>(nil)

    /// Starts a broker and returns when it takes connections.
    ///
    /// - Parameters:
    ///   - configuration: further lines of mosquitto.conf.
    ///   - accessList: the contents of an ACL file; without one everybody may do everything.
    package init(_ transport: Transport, configuration: [String] = [], accessList: String? = nil) throws {
        port = try Self.freePort()
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("mosquitto-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        var lines = [
            "user root", "listener \(port) 127.0.0.1", "persistence false", "log_dest stderr", "max_inflight_messages 0",
            "max_queued_messages 0",
        ]
        switch transport {
        case .plain: lines.append("allow_anonymous true")
        case .tls(let certificates, let requiresClientCertificate, let newestVersion, let ca):
            lines += [
                "cafile \(ca ?? "\(certificates)/ca.crt")", "certfile \(certificates)/broker.crt", "keyfile \(certificates)/broker.key",
                "tls_version \(newestVersion.lowercased())", "require_certificate \(requiresClientCertificate)",
                "use_identity_as_username \(requiresClientCertificate)", "allow_anonymous \(!requiresClientCertificate)",
            ]
            // mosquitto itself only knows an oldest version.
            try """
            openssl_conf = init
            [init]
            ssl_conf = ssl
            [ssl]
            system_default = default
            [default]
            MaxProtocol = \(newestVersion)
            """.write(to: folder.appendingPathComponent("openssl.cnf"), atomically: true, encoding: .utf8)
        }
        if let accessList {
            try accessList.write(to: folder.appendingPathComponent("acl"), atomically: true, encoding: .utf8)
            lines.append("acl_file \(folder.path)/acl")
        }
        try (lines + configuration).joined(separator: "\n").write(
            to: folder.appendingPathComponent("mosquitto.conf"), atomically: true, encoding: .utf8)
        try start()
    }

    deinit {
        process.withLock { process in
            if let process, process.isRunning { Foundation.kill(process.processIdentifier, SIGKILL) }
        }
        try? FileManager.default.removeItem(at: folder)
    }

    package var processIdentifier: Int32? { process.withLock { $0?.processIdentifier } }

    /// What the broker logged since its last start.
    package var logText: String { (try? String(contentsOf: folder.appendingPathComponent("log"), encoding: .utf8)) ?? "" }

    /// Starts the broker on its port, after `kill` or `stop`; returns when it takes connections.
    package func start() throws {
        let logFile = folder.appendingPathComponent("log")
        try Data().write(to: logFile)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: Self.executable)
        process.arguments = ["-c", folder.appendingPathComponent("mosquitto.conf").path]
        process.environment = ["OPENSSL_CONF": folder.appendingPathComponent("openssl.cnf").path]
        let log = try FileHandle(forWritingTo: logFile)
        process.standardError = log
        process.standardOutput = log
        try process.run()
        self.process.withLock { $0 = process }
        let patience = Date(timeIntervalSinceNow: 10)
        while !Self.isOpen(port) {
            guard process.isRunning else { throw Failure(description: "mosquitto ended at once: \(logText)") }
            guard Date() < patience else { throw Failure(description: "mosquitto takes no connections: \(logText)") }
            usleep(5000)
        }
    }

    /// Ends the broker as a power cut does.
    package func kill() { end(SIGKILL) }

    /// Ends the broker in order.
    package func stop() { end(SIGTERM) }

    /// Freezes the broker: connections stay, nothing is answered.
    package func freeze() { signal(SIGSTOP) }

    package func thaw() { signal(SIGCONT) }

    private func signal(_ number: Int32) {
        process.withLock { process in
            if let process, process.isRunning { Foundation.kill(process.processIdentifier, number) }
        }
    }

    private func end(_ number: Int32) {
        let process = process.withLock { $0 }
        guard let process else { return }
        if process.isRunning { Foundation.kill(process.processIdentifier, number) }
        process.waitUntilExit()
        self.process.withLock { $0 = nil }
    }

    /// Debian keeps the broker where only root's PATH looks.
    private static let executable = "/usr/sbin/mosquitto"

    /// A port nobody listens on. Below the range from which clients get theirs, so that none takes it between two starts.
    package static func freePort() throws -> UInt16 {
        for _ in 0..<200 {
            let port = UInt16.random(in: 20_000..<32_000)
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            defer { close(descriptor) }
            var address = loopback(port)
            let isFree = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
                    == 0
            }
            if isFree { return port }
        }
        throw Failure(description: "no free port")
    }

    private static func isOpen(_ port: UInt16) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = loopback(port)
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) } == 0
        }
    }

    private static func loopback(_ port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return address
    }
}
