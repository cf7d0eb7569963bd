import GatewayCore
import Telemetry
import TestKit
import Testing

@testable import Ingest

@Suite struct JSONIngestTests {
    private static let document =
        #"{"device":"pump-1","group":"fast","timestamp":1700000000123,"epoch":3,"stream":7,"sequence":42,"timeUncertain":true,"sourceTime":1700000000100,"#
        + #""values":{"temperature":23.5,"running":true,"n":-12,"big":9007199254740993,"text":"a\"\u00e9\ud83d\ude00\n","bad number":null},"#
        + #""quality":{"flow":"BadTimeout","n":"UncertainLastUsableValue","odd":"Bad(0x80FF0000)"}}"#

    @Test func everythingOfADocumentIsKept() throws {
        var bench = try Bench()
        bench.receive(document: Self.document)
        #expect(bench.effects.refused.map(\.reason) == [])
        #expect(
            bench.words.map { $0.replacing(" @1700000000123 uncertain", with: "") } == [
                "pump-1/temperature=23.5 Good", "pump-1/running=true Good", "pump-1/n=-12.0 UncertainLastUsableValue",
                "pump-1/big=9007199254740993 Good", "pump-1/text=a\"é😀\n Good", "pump-1/bad number=nan Good",
                "pump-1/flow=nothing BadTimeout",
                "pump-1/odd=nothing Bad(0x80FF0000)",
            ])
        let batch = try #require(bench.chunk.batches.first)
        #expect(batch.key == BatchKey(gateway: 0, epoch: 3, stream: 7, sequence: 42))
        #expect(batch.sourceTime == 1_700_000_000_100_000_000)
        #expect(bench.decoder.catalog.series.first == Series(gateway: "plant", device: "pump-1", group: "fast", tag: "temperature"))
        bench.receive(document: Self.document)
        #expect(bench.decoder.counters.duplicateMessages == 1)
        #expect(bench.chunk.samples.count == 8)
        #expect(bench.chunk.texts.count == 1)
    }

    @Test(
        "What is no document of ours is refused with the reason",
        arguments: [
            "", "[]", "{", #"{"device":"a"}"#, #"{"device":1,"timestamp":1,"epoch":1,"stream":1,"sequence":1}"#,
            #"{"device":"a","timestamp":1,"epoch":-1,"stream":1,"sequence":1}"#,
            #"{"device":"a","timestamp":1e3,"epoch":1,"stream":1,"sequence":1}"#,
            #"{"device":"a","timestamp":1,"epoch":1,"stream":1,"sequence":1,"values":{"x":[1]}}"#,
            #"{"device":"a","timestamp":1,"epoch":1,"stream":1,"sequence":1,"values":{"x":1},}"#,
            #"{"device":"a","timestamp":1,"epoch":1,"stream":1,"sequence":1,"quality":{"x":"Fine"}}"#,
            #"{"device":"a","timestamp":1,"epoch":1,"stream":1,"sequence":1} x"#,
            #"{"device":"\ud800","timestamp":1,"epoch":1,"stream":1,"sequence":1}"#,
        ])
    func refusals(_ document: String) throws {
        var bench = try Bench()
        bench.receive(document: document)
        #expect(bench.effects.refused.count == 1)
        #expect(bench.chunk.isEmpty)
        #expect(bench.chunk.texts.isEmpty)
    }

    @Test func unknownMembersAndSpaceAreLeftAlone() throws {
        var bench = try Bench()
        bench.receive(
            document:
                " {\"x\" : {\"a\":[1,{\"b\":null}],\"c\":\"d\"} , \"device\":\"a\",\"timestamp\":1,\"epoch\":1,\"stream\":1,\n\"sequence\":1,\"values\":{}} "
        )
        #expect(bench.effects.refused.map(\.reason) == [])
        #expect(bench.chunk.batches.count == 1)
    }

    @Test func flippedBytesNeverTrap() throws {
        var generator = SeededGenerator()
        var bench = try Bench()
        for _ in 0..<3000 {
            var bytes = Array(Self.document.utf8)
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                bytes[Int.random(in: bytes.indices, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            }
            if Bool.random(using: &generator) { bytes.removeLast(Int.random(in: 0..<bytes.count, using: &generator)) }
            bench.receive("indusedge/plant/pump-1/fast", bytes)
        }
        #expect(bench.chunk.messages.count + bench.effects.refused.count == 3000)
    }

    @Test func numbersReadBackAsWritten() throws {
        var generator = SeededGenerator()
        for _ in 0..<20_000 {
            let value =
                Double(Int64.random(in: -1_000_000_000...1_000_000_000, using: &generator)) / [1, 10, 100, 1000, 3, 7e9].randomElement(
                    using: &generator)!
            var text: [UInt8] = []
            DecimalText.append(value, to: &text)
            #expect(Double(String(decoding: text, as: UTF8.self)) == value)
            let scalar = text.withUnsafeBufferPointer { bytes in
                var cursor = JSONCursor(bytes, base: bytes.baseAddress!)
                return cursor.scalar()
            }
            switch scalar {
            case .integer(let read): #expect(Double(read) == value)
            case .number(let read): #expect(read == value)
            default: Issue.record("\(String(decoding: text, as: UTF8.self)) became \(scalar)")
            }
        }
    }

    @Test func topicsTellTheSite() throws {
        let pattern = try TopicPattern("a/{site}/b/{device}-{group}")
        #expect(pattern.filter == "a/+/b/+")
        #expect(pattern.site(of: "a/s/b/c") == "s")
        #expect(pattern.site(of: "a/s/x/c") == nil)
        #expect(pattern.site(of: "a/s/b/c/d") == nil)
        for template in ["a/{device}", "a/x{site}", "+/{site}", ""] {
            #expect(throws: GatewayError.self) { try TopicPattern(template) }
        }
    }
}

@Suite struct DuplicateFilterTests {
    @Test func agreesWithASetWhereItRemembers() {
        var generator = SeededGenerator()
        var filter = DuplicateFilter()
        var seen: Set<BatchKey> = []
        for _ in 0..<50_000 {
            let key = BatchKey(
                gateway: Int32.random(in: 0..<3, using: &generator), epoch: UInt32.random(in: 1...2, using: &generator),
                stream: UInt32.random(in: 0..<5, using: &generator), sequence: UInt64.random(in: 0..<5000, using: &generator))
            #expect(filter.contains(key) == seen.contains(key))
            filter.insert(key)
            seen.insert(key)
        }
    }

    @Test func isBoundedAndForgetsTheOldestFirst() {
        var filter = DuplicateFilter(pagesMax: 4)
        func key(_ page: UInt64) -> BatchKey { BatchKey(gateway: 0, epoch: 1, stream: 1, sequence: page << 10) }
        for page: UInt64 in 0..<20 {
            filter.insert(key(page))
            // Touched all the time: never forgotten.
            filter.insert(key(0))
        }
        #expect(filter.contains(key(0)) && filter.contains(key(19)))
        #expect(!filter.contains(key(1)))
    }
}
