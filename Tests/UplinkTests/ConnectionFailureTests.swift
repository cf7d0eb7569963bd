import Foundation
import Logging
import Telemetry
import TestKit
import Testing

@testable import Uplink

/// Every trouble against a real broker: what the operator reads must name it.
@Suite(.serialized, .timeLimit(.minutes(10))) struct ConnectionFailureTests {
    private let certificates: TemporaryFolder
    private let foreign: TemporaryFolder
    private let expired: TemporaryFolder

    init() throws {
        certificates = try Certificates.shared.get()
        foreign = try Certificates.foreign.get()
        expired = try Certificates.expired.get()
    }

    private func trouble(_ host: String, _ port: UInt16, _ tls: RouteConfiguration.TLS?) async throws -> String {
        let route = try RunningRoute([(host, port)], tls: tls, backoff: .seconds(20))
        let trouble = try await route.trouble()
        #expect(route.status.state != .connected)
        #expect(await route.stop() is CancellationError)
        return trouble
    }

    /// The trouble that a TLS alert of the broker tells of. A broker that closes with our CONNECT unread resets the connection, and the reset
    /// may overtake its alert: such an attempt must at least point at the certificate, and the next one shows the alert.
    private func alert(_ port: UInt16, _ tls: RouteConfiguration.TLS, _ words: String) async throws -> String {
        var last = ""
        for _ in 0..<10 {
            last = try await trouble("localhost", port, tls)
            if last.contains(words) { return last }
            #expect(last.contains("it may refuse our certificate"), "\(last)")
        }
        return last
    }

    @Test func nobodyListens() async throws {
        let trouble = try await trouble("localhost", try MosquittoBroker.freePort(), .client(in: certificates))
        #expect(trouble.contains("nothing listens there (connection refused)"), "\(trouble)")
    }

    @Test func theNameCannotBeResolved() async throws {
        let trouble = try await trouble("broker.invalid", 8883, .client(in: certificates))
        #expect(trouble.contains("the name broker.invalid cannot be resolved"), "\(trouble)")
    }

    @Test func theBrokersCertificateIsOfAnotherAuthority() async throws {
        let broker = try MosquittoBroker(.tls(folder: certificates.path))
        let trouble = try await trouble("localhost", broker.port, .client(in: certificates, ca: "\(foreign.path)/ca.crt"))
        #expect(trouble.contains("is not signed by an authority in \(foreign.path)/ca.crt"), "\(trouble)")
        #expect(trouble.contains("certificate verify failed"), "OpenSSL's reason is kept: \(trouble)")
    }

    @Test func theBrokersCertificateHasExpired() async throws {
        let broker = try MosquittoBroker(.tls(folder: expired.path))
        let trouble = try await trouble("localhost", broker.port, .client(in: certificates, ca: "\(expired.path)/ca.crt"))
        #expect(trouble.contains("the broker's certificate has expired"), "\(trouble)")
    }

    @Test func theBrokersCertificateIsForAnotherHost() async throws {
        let broker = try MosquittoBroker(.tls(folder: certificates.path))
        // A way to write 127.0.0.1 that no certificate carries.
        let trouble = try await trouble("127.1", broker.port, .client(in: certificates))
        #expect(trouble.contains("the broker's certificate is not for “127.1”"), "\(trouble)")
    }

    @Test func theBrokerRequiresAClientCertificate() async throws {
        let broker = try MosquittoBroker(.tls(folder: certificates.path))
        let tls = RouteConfiguration.TLS(ca: "\(certificates.path)/ca.crt", certificate: nil, key: nil)
        let words = "the broker requires a client certificate; give the route `certificate` and `key`"
        let trouble = try await alert(broker.port, tls, words)
        #expect(trouble.contains(words), "\(trouble)")
    }

    @Test func ourCertificateIsOfAnAuthorityTheBrokerDoesNotKnow() async throws {
        let broker = try MosquittoBroker(.tls(folder: certificates.path))
        let tls = RouteConfiguration.TLS.client(in: foreign, ca: "\(certificates.path)/ca.crt")
        let words = "the broker does not know the authority that signed our certificate"
        let trouble = try await alert(broker.port, tls, words)
        #expect(trouble.contains(words), "\(trouble)")
    }

    @Test func ourCertificateHasExpired() async throws {
        let broker = try MosquittoBroker(.tls(folder: certificates.path, ca: "\(expired.path)/ca.crt"))
        let tls = RouteConfiguration.TLS.client(in: expired, ca: "\(certificates.path)/ca.crt")
        let words = "our certificate \(expired.path)/gateway.crt has expired"
        let trouble = try await alert(broker.port, tls, words)
        #expect(trouble.contains(words), "\(trouble)")
    }

    @Test func theBrokerOffersOnlyTLS12() async throws {
        let broker = try MosquittoBroker(.tls(folder: certificates.path, newestVersion: "TLSv1.2"))
        let trouble = try await trouble("localhost", broker.port, .client(in: certificates))
        #expect(trouble.contains("the broker offers no TLS 1.3; enable it there"), "\(trouble)")
    }

    @Test func thePortDoesNotSpeakTLS() async throws {
        let broker = try MosquittoBroker(.plain)
        let trouble = try await trouble("127.0.0.1", broker.port, .client(in: certificates))
        #expect(trouble.contains("does not speak TLS") || trouble.contains("closed the connection during the TLS handshake"), "\(trouble)")
    }

    @Test func thePortSpeaksOnlyTLS() async throws {
        let broker = try MosquittoBroker(.tls(folder: certificates.path))
        let trouble = try await trouble("127.0.0.1", broker.port, nil)
        #expect(trouble.contains("does it expect TLS?"), "\(trouble)")
    }

    @Test func theBrokerDoesNotAuthoriseUs() async throws {
        let broker = try MosquittoBroker(.plain, configuration: ["allow_anonymous false"])
        let trouble = try await trouble("127.0.0.1", broker.port, nil)
        #expect(trouble.contains("the broker does not authorise us; its access list"), "\(trouble)")
    }

    @Test func theFilesOfTheRouteAreMissing() async throws {
        let tls = RouteConfiguration.TLS(ca: "/nowhere/ca.crt", certificate: nil, key: nil)
        let trouble = try await trouble("localhost", 8883, tls)
        #expect(trouble.contains("/nowhere/ca.crt: read: the file does not exist"), "\(trouble)")
    }

    @Test(arguments: [1, 2, 3, 4, 5, 60]) func everyReturnCodeOfMQTT311HasWords(code: Int32) {
        let parameters = MQTTSession.Parameters(
            resource: "route r", cluster: .init(name: "c", host: "h", port: 1), tls: nil, clientID: "me", keepAliveSeconds: 30, will: nil)
        let error = ConnectionFailure(
            parameters, phase: .consent, connectAnswer: ConnectAnswer(code, flags: 0, IncomingProperties(list: nil))
        )
        .error(at: Timestamp(milliseconds: 0))
        #expect(error.message.contains("\(code)"))
        #expect(error.isRetryable)
    }

    @Test func configurationsThatCannotWorkAreRefused() throws {
        let log = MemoryLog()
        let logger = Records().logger
        let cluster = RouteConfiguration.Cluster(name: "c", host: "h", port: 1, isTLS: false)
        let good = RouteConfiguration(
            name: "r", site: "s", clusters: [cluster], payload: .json(topicTemplate: "t"), tls: nil, clientID: "me", epoch: 1)
        func check(_ change: (inout RouteConfiguration) -> Void) -> GatewayError.Code? {
            var configuration = good
            change(&configuration)
            do {
                _ = try Route(configuration: configuration, log: log, time: ManualTime(), logger: logger)
                return nil
            } catch {
                return error.code
            }
        }
        #expect(check { _ in } == nil)
        #expect(check { $0.clusters = [] } == .configurationInvalid)
        #expect(check { $0.clusters[0].port = 0 } == .configurationInvalid)
        #expect(check { $0.clusters[0].isTLS = true } == .configurationInvalid)
        #expect(check { $0.inFlight = 0 } == .configurationInvalid)
        #expect(check { $0.inFlight = 70_000 } == .configurationInvalid)
        #expect(check { $0.keepAlive = .seconds(4) } == .configurationInvalid)
        #expect(check { $0.clientID = "" } == .configurationInvalid)
        #expect(check { $0.payload = .json(topicTemplate: "{x}") } == .configurationInvalid)
        #expect(check { $0.payload = .sparkplugB(group: "a/b", node: "n") } == .configurationInvalid)
        #expect(check { $0.tls = .init(ca: "ca", certificate: "c", key: nil) } == .configurationInvalid)
    }
}
