import Foundation
import Testing

/// docs/sparkplug-conformance.md against the list of assertions and against the tests that it names.
@Suite struct ConformanceTableTests {
    private static let tests = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().standardizedFileURL

    private struct Row {
        var id: String
        var state: String
        var reason: String
    }

    /// Assertions that bind host applications and servers only.
    private static let others = [
        "tck-id-host-", "tck-id-operational-behavior-host-", "tck-id-conformance-", "tck-id-payloads-state-", "tck-id-message-flow-phid-",
        "tck-id-message-flow-hid-", "tck-id-intro-sparkplug-host", "tck-id-components-ph",
        "tck-id-operational-behavior-edge-node-termination-host-action",
    ]
    private static let othersAlone = "tck-id-operational-behavior-primary-application-state-with-multiple-servers-state"

    private func ids() throws -> [String] {
        let text = try String(contentsOf: Self.tests.appending(path: "SparkplugTests/sparkplug_assertions.txt"), encoding: .utf8)
        return text.split(separator: "\n").map(String.init).filter { !$0.hasPrefix("#") }
    }

    private func rows() throws -> [Row] {
        let page = Self.tests.appending(path: "../docs/sparkplug-conformance.md").standardizedFileURL
        return try String(contentsOf: page, encoding: .utf8).split(separator: "\n").filter { $0.hasPrefix("| `tck-id-") }.map { line in
            let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            try #require(cells.count == 4, "\(line)")
            return Row(id: cells[0].replacingOccurrences(of: "`", with: ""), state: cells[2], reason: cells[3])
        }
    }

    @Test("Every assertion that concerns an edge node or a payload has one row, and none is open")
    func complete() throws {
        let all = try ids()
        #expect(all.count == 299 && Set(all).count == 299)
        let expected = all.filter { id in id != Self.othersAlone && !Self.others.contains { id.hasPrefix($0) } }
        let rows = try rows()
        #expect(rows.map(\.id).sorted() == expected.sorted())
        #expect(rows.allSatisfy { ["met", "deviation", "not applicable", "by configuration"].contains($0.state) })
        #expect(rows.allSatisfy { !$0.reason.isEmpty && $0.reason != "?" })
        #expect(rows.filter { $0.state == "deviation" }.map(\.id) == ["tck-id-topics-ddata-mqtt", "tck-id-payloads-ddata-qos"])
    }

    @Test("What is said to be met stands in the name of a test of the file that the row names")
    func covered() throws {
        for row in try rows() where row.state == "met" {
            let files = row.reason.split(separator: ",").map { $0.trimmingCharacters(in: CharacterSet(charactersIn: " `")) }
            #expect(!files.isEmpty)
            for file in files {
                let folder = file.hasPrefix("SparkplugRoute") ? "UplinkTests" : "SparkplugTests"
                let text = try String(contentsOf: Self.tests.appending(path: "\(folder)/\(file).swift"), encoding: .utf8)
                let names = text.components(separatedBy: "@Test").dropFirst().map { $0.components(separatedBy: "func ")[0] }
                let isNamed = names.contains { name in
                    name.components(separatedBy: CharacterSet(charactersIn: ", :\n\"\\")).contains(row.id)
                }
                #expect(isNamed, "\(row.id) is in no test's name in \(file)")
            }
        }
    }
}
