import Foundation
import Gateway
import Logging
import Synchronization
import Telemetry
import Testing

private struct Foreign: Error {}

@Suite("Structured log")
struct StructuredLogHandlerTests {
    private func line(_ format: LogFormat, _ message: Logger.Message, _ metadata: Logger.Metadata) -> String {
        let lines = Mutex<[String]>([])
        let box = LineBox(lines)
        let logger = Logger(label: "test") { label in
            StructuredLogHandler(label: label, level: .info, format: format, now: { Timestamp(nanoseconds: 0) }, write: { box.add($0) })
        }
        logger.debug("not this one")
        logger.warning(message, metadata: metadata)
        return box.all.joined(separator: "|")
    }

    private final class LineBox: Sendable {
        private let lines: Mutex<[String]>
        init(_: borrowing Mutex<[String]>) { lines = Mutex([]) }
        func add(_ line: String) { lines.withLock { $0.append(line) } }
        var all: [String] { lines.withLock { $0 } }
    }

    @Test("logfmt quotes what needs it, and chains follow each other")
    func logfmt() {
        let text = line(.logfmt, "device lost", ["device": "pump 1", "retry_count": "3", "error_chain": .array(["outer", "in\"ner\n"])])
        #expect(
            text
                == #"time=1970-01-01T00:00:00.000Z level=warning label=test message="device lost" device="pump 1" error_chain="outer <- in\"ner\n" retry_count=3"#
        )
    }

    @Test("JSON is JSON, whatever is in it")
    func json() throws {
        let text = line(.json, "a \"b\"", ["chain": .array(["x\u{1}", "ü\\"]), "more": .dictionary(["k": "v"])])
        let object = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        #expect(object["message"] as? String == "a \"b\"")
        #expect(object["chain"] as? [String] == ["x\u{1}", "ü\\"])
        #expect((object["more"] as? [String: String]) == ["k": "v"])
        #expect(object["level"] as? String == "warning")
    }
}
