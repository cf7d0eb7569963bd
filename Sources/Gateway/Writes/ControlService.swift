internal import Foundation
internal import GatewayCore
internal import Interlock
internal import Telemetry

/// What programs on the same machine may ask of a running gateway, over its control socket.
///
/// One JSON object in a line each way. The gateway's user and root may ask; the kernel says who does.
package struct ControlService: Sendable {
    private let server: LocalSocketServer
    private let writes: WriteService
    private let routes: @Sendable (_ name: String) async -> [RouteReport]

    /// The most bytes of an answer about routes.
    package static let routesBytesMax = 4 << 20

    /// The name of the socket in the folder of the log.
    package static let socketName = "control.sock"

    /// `routes` tells of the route of a name, or of all where it is empty.
    package init(folder: String, writes: WriteService, routes: @escaping @Sendable (_ name: String) async -> [RouteReport] = { _ in [] }) {
        self.routes = routes
        server = LocalSocketServer(path: "\(folder)/\(ControlService.socketName)")
        self.writes = writes
    }

    /// Serves until the task is cancelled.
    package func run() async throws {
        let writes = writes
        let routes = routes
        try await server.run { line, peer in await ControlService.answer(line, peer, writes, routes) }
    }

    /// A question as it comes over the socket.
    package struct Question: Codable, Sendable, Equatable {
        package enum Operation: String, Codable, Sendable {
            case write
            /// The state of the route that `target` names, or of all.
            case routes
        }

        package var operation: Operation
        /// `device.tag`, or a route's name.
        package var target: String
        /// As the tag's type reads it.
        package var value: String
        package var dryRun: Bool?
        package var token: String?

        package init(operation: Operation, target: String, value: String, dryRun: Bool? = nil, token: String? = nil) {
            self.operation = operation
            self.target = target
            self.value = value
            self.dryRun = dryRun
            self.token = token
        }
    }

    /// The answer: what came of it, or why there is nothing that could.
    package struct Answer: Codable, Sendable, Equatable {
        package var outcome: WriteOutcome?
        package var routes: [RouteReport]?
        /// The line was no question.
        package var error: String?
    }

    /// Asks the gateway that runs on a folder; blocks until it has answered.
    ///
    /// Throws `notFound` when none runs there, `refused` when the gateway does not take this user's questions or the question is none.
    package static func ask(_ question: Question, folder: String, timeout: Duration = .seconds(60)) throws -> WriteOutcome {
        let answer = try answer(to: question, folder: folder, timeout: timeout, bytesMax: LocalSocketServer.lineBytesMax)
        guard let outcome = answer.outcome else {
            throw GatewayError(
                .refused, resource: "\(folder)/\(socketName)", operation: "write", answer.error ?? "the answer is empty")
        }
        return outcome
    }

    /// Asks the gateway that runs on a folder how its routes are doing, or the one of this name; blocks until it has answered.
    ///
    /// Throws `notFound` when no gateway runs there, or it has no route of this name.
    package static func routes(named name: String? = nil, folder: String, timeout: Duration = .seconds(10)) throws -> [RouteReport] {
        let question = Question(operation: .routes, target: name ?? "", value: "")
        let answer = try answer(to: question, folder: folder, timeout: timeout, bytesMax: routesBytesMax)
        guard let routes = answer.routes else {
            throw GatewayError(
                .refused, resource: "\(folder)/\(socketName)", operation: "routes", answer.error ?? "the answer is empty")
        }
        if let name, routes.isEmpty {
            throw GatewayError(.notFound, resource: "route \(name)", operation: "routes", "the gateway that runs has no route of this name")
        }
        return routes
    }

    private static func answer(to question: Question, folder: String, timeout: Duration, bytesMax: Int) throws -> Answer {
        let operation = question.operation.rawValue
        let answer: [UInt8]
        do throws(GatewayError) {
            answer = try LocalSocketClient.ask(
                Array(try encode(question)), at: "\(folder)/\(socketName)", answerBytesMax: bytesMax, timeout: timeout)
        } catch {
            guard error.code == .notFound else { throw error }
            throw GatewayError(
                .notFound, resource: folder, operation: operation, "no gateway runs on this folder; start it with 'indusedge run'",
                cause: error)
        }
        return try JSONDecoder().decode(Answer.self, from: Data(answer))
    }

    static func answer(
        _ line: [UInt8], _ peer: LocalPeer, _ writes: WriteService,
        _ routes: @Sendable (_ name: String) async -> [RouteReport] = { _ in [] }
    ) async -> [UInt8] {
        var answer = Answer()
        do {
            let question = try JSONDecoder().decode(Question.self, from: Data(line))
            if question.operation == .routes {
                answer.routes = await routes(question.target)
            } else if let target = TagReference(question.target) {
                let name = peer.userName.map { " (\($0))" } ?? ""
                answer.outcome = await writes.submit(
                    WriteRequest(
                        who: "uid \(peer.user)\(name)", from: "local socket, process \(peer.process)", target: target,
                        value: .text(question.value), isDryRun: question.dryRun ?? false, token: question.token))
            } else {
                answer.error = "'\(question.target.prefix(200))' is not device.tag"
            }
        } catch {
            answer.error = "the line is no question: one JSON object with operation, target and value is expected"
        }
        return (try? encode(answer)).map { Array($0) } ?? Array(#"{"error":"the answer cannot be written"}"#.utf8)
    }

    private static func encode(_ value: some Encodable) throws(GatewayError) -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return try encoder.encode(value)
        } catch {
            throw GatewayError(
                .protocolViolation, resource: "control socket", operation: "encode", "the message cannot be written", cause: error)
        }
    }
}
