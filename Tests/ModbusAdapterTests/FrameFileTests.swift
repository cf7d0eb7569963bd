import Foundation
import ModbusProtocol
import TestKit
import Testing

/// Where the protocol's golden files are.
let protocolFolder = Checkout.root.appendingPathComponent("protocols/modbus")

func protocolFiles(_ folder: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: protocolFolder.appendingPathComponent(folder).path).filter {
        $0.hasSuffix(".txt")
    }.sorted()
}

@Suite("golden frames")
struct FrameFileTests {
    private struct FrameFile {
        var comments: [String] = []
        var fields: [(key: String, value: String)] = []

        init(_ text: String) {
            for line in text.split(separator: "\n").map(String.init) {
                if line.hasPrefix("#") {
                    comments.append(line)
                } else if let space = line.firstIndex(of: " ") {
                    fields.append((String(line[..<space]), String(line[space...].dropFirst())))
                }
            }
        }

        subscript(key: String) -> String? { fields.first { $0.key == key }?.value }
    }

    /// All frames of one exchange, by the key they have in the file.
    private static func frames(_ request: ModbusRequest, _ answer: ModbusResponse, unit: UInt8, transaction: UInt16) -> [(String, String)] {
        [("request", request.pdu), ("answer", answer.pdu(to: request))].flatMap { kind, pdu in
            [
                ("\(kind).tcp", hexadecimal(ModbusTCPFrame(transaction: transaction, unit: unit, pdu: pdu).bytes)),
                ("\(kind).rtu", hexadecimal(ModbusRTUFrame(unit: unit, pdu: pdu).bytes)),
                ("\(kind).ascii", String(decoding: ModbusASCIIFrame(unit: unit, pdu: pdu).bytes.dropLast(2), as: UTF8.self)),
            ]
        }
    }

    @Test("every function in every framing, both ways", arguments: try protocolFiles("frames"))
    func frames(name: String) throws {
        let url = protocolFolder.appendingPathComponent("frames/\(name)")
        let file = FrameFile(try String(contentsOf: url, encoding: .utf8))
        let unit = try #require(file["unit"].flatMap { UInt8($0) })
        let transaction = try #require(file["transaction"].flatMap { UInt16($0, radix: 16) })
        let requestText = try #require(file["request"])
        let answerText = try #require(file["answer"])
        let request = try MeaningText.request(requestText)
        let answer = try MeaningText.response(answerText)
        let made = FrameFileTests.frames(request, answer, unit: unit, transaction: transaction)
        if ProcessInfo.processInfo.environment["INDUS_UPDATE_GOLDEN"] == "1" {
            let head = [("unit", "\(unit)"), ("transaction", file["transaction"] ?? "")]
            let all = head + [("request", requestText), ("answer", answerText)] + made
            let text = (file.comments + all.map { "\($0.0) \($0.1)" }).joined(separator: "\n") + "\n"
            try text.write(to: url, atomically: true, encoding: .utf8)
            return
        }
        for (key, bytes) in made { #expect(file[key] == bytes, "\(key)") }
        // The other way: from the file's bytes to the meaning.
        for kind in ["request", "answer"] {
            let tcpBytes = try MeaningText.bytes(file["\(kind).tcp"] ?? "")
            let tcp = try ModbusTCPFrame(bytes: tcpBytes)
            #expect(tcp.transaction == transaction)
            let rtuBytes = try MeaningText.bytes(file["\(kind).rtu"] ?? "")
            let rtu = try ModbusRTUFrame(bytes: rtuBytes)
            let ascii = try ModbusASCIIFrame(bytes: Array((file["\(kind).ascii"] ?? "").utf8) + [13, 10])
            #expect(tcp.unit == unit && rtu.unit == unit && ascii.unit == unit)
            for pdu in [tcp.pdu, rtu.pdu, ascii.pdu] {
                if kind == "request" {
                    #expect(MeaningText.text(try ModbusRequest(pdu: pdu)) == requestText)
                } else {
                    #expect(MeaningText.text(try ModbusResponse(pdu: pdu, to: request)) == answerText)
                }
            }
        }
        // And as the client finds it in what a line brings.
        let form = ReplyForm(request, unit: unit)
        for framing in ModbusFraming.allCases {
            let key = framing == .tcp ? "tcp" : framing == .rtu ? "rtu" : "ascii"
            let text = file["answer.\(key)"] ?? ""
            var bytes = framing == .ascii ? Array(text.utf8) + [13, 10] : try MeaningText.bytes(text)
            let whole = bytes
            let reader = ReplyReader(framing, form: form, transaction: transaction)
            let step = bytes.withUnsafeMutableBytes { reader.step($0) }
            switch (step, answer) {
            case (.answer(let pdu, let end), _):
                #expect(end == whole.count)
                #expect(Array(bytes[pdu]) == answer.pdu(to: request))
            case (.exception(let code, let end), .exception(let expected)): #expect(code == expected && end == whole.count)
            default: Issue.record("\(framing): \(step)")
            }
            for length in 0..<whole.count {
                var cut = Array(whole.prefix(length))
                let early = cut.withUnsafeMutableBytes { reader.step($0) }
                #expect(early == .needsMore, "\(framing), \(length) bytes: \(early)")
            }
        }
    }

    @Test("every function has a file")
    func complete() throws {
        let functions = try protocolFiles("frames").map { name in
            let text = try String(contentsOf: protocolFolder.appendingPathComponent("frames/\(name)"), encoding: .utf8)
            return try MeaningText.request(FrameFile(text)["request"] ?? "").function
        }
        #expect(Set(functions) == [1, 2, 3, 4, 5, 6, 15, 16, 22, 23, 43])
    }
}
