import Foundation
import ModbusProtocol
import TestKit
import Testing

@testable import ModbusAdapter

/// One file of `protocols/modbus/conversations`: what a client asks, and what a device does about it.
private struct Conversation {
    struct Exchange {
        var request: String
        var result: String
    }

    var framing = ModbusFraming.tcp
    var unit: UInt8 = 1
    var timeout = Duration.milliseconds(250)
    /// One per connection.
    var scripts: [[ScriptedServer.Step]] = [[]]
    var exchanges: [Exchange] = []
    var counters = ""

    init(named name: String) throws {
        let text = try String(contentsOf: protocolFolder.appendingPathComponent("conversations/\(name)"), encoding: .utf8)
        for line in text.split(separator: "\n").map(String.init) where !line.hasPrefix("#") {
            let key = String(line.prefix { $0 != " " })
            let value = String(line.dropFirst(key.count + 1))
            switch key {
            case "framing": framing = value == "tcp" ? .tcp : value == "rtu" ? .rtu : .ascii
            case "unit": unit = UInt8(value) ?? 0
            case "timeout": timeout = .milliseconds(Int(value) ?? 0)
            case "request": exchanges.append(Exchange(request: value, result: ""))
            case "result": exchanges[exchanges.count - 1].result = value
            case "out": step(.expect(try bytes(value)))
            case "in": step(.send(try bytes(value)))
            case "pause": step(.pause(milliseconds: Int(value) ?? 0))
            case "close": step(.close)
            case "reset": step(.reset)
            case "connection": scripts.append([])
            case "counters": counters = value
            default: throw MeaningText.Unreadable(text: line)
            }
        }
    }

    private mutating func step(_ step: ScriptedServer.Step) { scripts[scripts.count - 1].append(step) }

    /// Hexadecimal, or an ASCII frame without its CR LF.
    private func bytes(_ text: String) throws -> [UInt8] {
        if let colon = text.firstIndex(of: ":") { return try MeaningText.bytes(text[..<colon]) + Array(text[colon...].utf8) + [13, 10] }
        return try MeaningText.bytes(text)
    }
}

@Suite("conversations")
struct ConversationTests {
    @Test("scenario 20: whatever comes, an answer is the request's own or none", arguments: try protocolFiles("conversations"))
    func conversation(name: String) async throws {
        let conversation = try Conversation(named: name)
        let server = try ScriptedServer(conversation.scripts)
        let endpoint: ModbusEndpoint =
            switch conversation.framing {
            case .tcp: .tcp(host: "127.0.0.1", port: server.port)
            case .rtu: .rtuOverTCP(host: "127.0.0.1", port: server.port)
            case .ascii: .asciiOverTCP(host: "127.0.0.1", port: server.port)
            }
        let client = LineClient(endpoint, timeout: conversation.timeout)
        try await client.open()
        for exchange in conversation.exchanges {
            let request = try MeaningText.request(exchange.request)
            let result = await client.perform(request, unit: conversation.unit)
            let text =
                switch result {
                case .success(let response): MeaningText.text(response)
                case .failure(.exception(let code)): "exception \(code)"
                case .failure(.timeout): "timeout"
                case .failure(.invalidReply(let reason)): "invalid \(reason)"
                case .failure(.disconnected(let reason)): "disconnected \(reason)"
                }
            #expect(text == exchange.result, "\(exchange.request)")
        }
        let counters = client.line.counters
        let counted =
            "late \(counters.lateReplies) duplicate \(counters.duplicateReplies) invalid \(counters.invalidReplies) timeouts "
            + "\(counters.timeouts) connections \(counters.connections)"
        #expect(counted == conversation.counters)
        #expect(server.failures.isEmpty, "\(server.failures)")
    }
}
