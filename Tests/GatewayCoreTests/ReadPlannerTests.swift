import Telemetry
import TestKit
import Testing

import struct Telemetry.Tag

@testable import GatewayCore

private let limits = ReadLimits(holeMax: 16) { $0 <= 2 ? 2000 : 125 }

private func plan(_ addresses: [(area: UInt8, start: Int, count: Int)], limits: ReadLimits = limits) throws -> ReadPlan {
    let tags = addresses.indices.map { Tag("t\($0)", .uint16) }
    let fields = addresses.enumerated().map {
        ReadField(tag: $0.offset, area: $0.element.area, start: $0.element.start, count: $0.element.count, dataType: .uint16)
    }
    return try ReadPlanner.plan(
        stream: StreamID(rawValue: 1), descriptor: StreamDescriptor(device: "d", group: "g", tags: tags), fields: fields, limits: limits)
}

@Suite("Read planner")
struct ReadPlannerTests {
    @Test("scenario 13: 1,000 neighbouring registers take eight requests of 125")
    func coalesce() throws {
        let plan = try plan((0..<1000).map { (3, $0, 1) })
        #expect(plan.requests.count == 8)
        #expect(plan.requests.allSatisfy { $0.count == 125 })
    }

    @Test("bits coalesce to 2,000, areas never mix, holes are read over only while they are small")
    func areasAndHoles() throws {
        let bits = try plan((0..<2001).map { (1, $0, 1) })
        #expect(bits.requests.map(\.count) == [2000, 1])
        let mixed = try plan([(4, 0, 1), (3, 0, 1), (3, 17, 1), (3, 35, 1)])
        #expect(mixed.requests.map(\.area) == [3, 3, 4])
        #expect(mixed.requests.map(\.count) == [18, 1, 1])
    }

    @Test("a hole is read in vain as long as that is cheaper than another request")
    func breakEven() throws {
        // A request costs as much as 20 registers.
        var costs = ReadLimits(model: LineCostModel(requestSeconds: 40e-3, byteSeconds: 1e-3)) { _ in 125 }
        #expect(try plan([(3, 0, 1), (3, 20, 1)], limits: costs).requests.map(\.count) == [21])
        #expect(try plan([(3, 0, 1), (3, 22, 1)], limits: costs).requests.map(\.count) == [1, 1])
        costs.holeMax = 0
        #expect(try plan([(3, 0, 1), (3, 2, 1), (3, 3, 1)], limits: costs).requests.map(\.count) == [1, 2])
    }

    @Test("the holes that are read are the cheap ones, not the first ones")
    func cheapHoles() throws {
        // 60 + hole of 1 + 60 + hole of 30 + 60: two requests at least; merging first come, first served would tear the second block or read 30.
        let values = [(0, 60), (61, 60), (151, 60)].flatMap { start, count in (start..<start + count).map { (UInt8(3), $0, 1) } }
        let costs = ReadLimits(model: LineCostModel(requestSeconds: 10e-3, byteSeconds: 1e-3)) { _ in 125 }
        let requests = try plan(values, limits: costs).requests
        #expect(requests.map(\.start) == [0, 151])
        #expect(requests.map(\.count) == [121, 60])
    }

    @Test("aligned requests begin and end on the grid, and a value that would then be too long is asked for as it is")
    func alignment() throws {
        let aligned = ReadLimits(alignment: { _ in 4 }, unitsPerRequest: { _ in 8 })
        #expect(try plan([(3, 5, 1), (3, 9, 2)], limits: aligned).requests.map { [$0.start, $0.count] } == [[4, 8]])
        #expect(try plan([(3, 3, 7)], limits: aligned).requests.map { [$0.start, $0.count] } == [[3, 7]])
        #expect(try plan([(3, 65_535, 1)], limits: aligned).requests.map { [$0.start, $0.count] } == [[65_532, 4]])
    }

    @Test("a refused span is never asked for as a whole; a value in it is not asked for at all")
    func refusedSpans() throws {
        let fields = ReadPlanner.sort(
            (0..<10).map { ReadField(tag: $0, area: 3, start: 10 * $0, count: 1, dataType: .uint16) })
        var knowledge = AddressKnowledge()
        knowledge.noteRefused(area: 3, span: 30..<41, kind: .way, code: 2, at: MonotonicInstant(nanoseconds: 0))
        knowledge.noteRefused(area: 3, span: 70..<71, kind: .value, code: 2, at: MonotonicInstant(nanoseconds: 0))
        let once = ReadPlanner.layout(fields, limits: ReadLimits { _ in 125 }, refusals: knowledge.refusals)
        #expect(once.refused.isEmpty && once.requests.contains { $0.start == 70 && $0.count == 1 })
        knowledge.noteRefused(area: 3, span: 70..<71, kind: .value, code: 2, at: MonotonicInstant(nanoseconds: 0))
        knowledge.noteRefused(area: 4, span: 0..<100, kind: .way, code: 2, at: MonotonicInstant(nanoseconds: 0))
        let layout = ReadPlanner.layout(fields, limits: ReadLimits { _ in 125 }, refusals: knowledge.refusals)
        #expect(layout.requests.map { [$0.start, $0.count] } == [[0, 31], [40, 21], [80, 11]])
        #expect(layout.requests.map(\.fields) == [0..<4, 4..<7, 8..<10])
        #expect(layout.refused == [7..<8])
    }

    @Test("no value is torn between two requests")
    func untorn() throws {
        let plan = try plan((0..<63).map { (3, $0 * 2, 2) })
        #expect(plan.requests.map(\.count) == [124, 2])
    }

    @Test("a value longer than a request is refused by name")
    func tooLong() {
        let error = #expect(throws: GatewayError.self) { try plan([(3, 0, 126)]) }
        #expect(error?.message == "tag t0 takes 126 units, but one request carries at most 125")
    }

    @Test(
        "whatever the tags, limits and refusals: every value lies whole in exactly one request, no refused span in any, none costs more than merging greedily"
    )
    func property() throws {
        let seed = seedOfThisRun()
        var generator = SeededGenerator(seed: seed)
        for round in 0..<300 {
            let fields = ReadPlanner.sort(
                (0..<Int.random(in: 1...300, using: &generator)).map { tag in
                    let area = UInt8.random(in: 1...4, using: &generator)
                    return ReadField(
                        tag: tag, area: area, start: Int.random(in: 0...4000, using: &generator),
                        count: area <= 2 ? 1 : Int.random(in: 1...8, using: &generator), dataType: .uint16)
                })
            let alignment = Int.random(in: 1...3, using: &generator)
            let most = Int.random(in: 12...125, using: &generator)
            let limits = ReadLimits(
                holeMax: round % 3 == 0 ? Int.random(in: 0...30, using: &generator) : .max,
                model: LineCostModel(
                    requestSeconds: Double.random(in: 0...0.1, using: &generator),
                    byteSeconds: Double.random(in: 0...0.01, using: &generator)),
                bytesPerUnit: { $0 <= 2 ? 0.125 : 2 }, alignment: { $0 <= 2 ? 1 : alignment }, unitsPerRequest: { $0 <= 2 ? 2000 : most })
            var knowledge = AddressKnowledge()
            for _ in 0..<Int.random(in: 0...30, using: &generator) {
                let start = Int.random(in: 0...4000, using: &generator)
                knowledge.noteRefused(
                    area: UInt8.random(in: 1...4, using: &generator), span: start..<start + Int.random(in: 1...20, using: &generator),
                    kind: .way,
                    code: 2, at: MonotonicInstant(nanoseconds: 0))
            }
            let layout = ReadPlanner.layout(fields, limits: limits, refusals: knowledge.refusals)
            var covered = [Int](repeating: 0, count: fields.count)
            for range in layout.refused { for index in range { covered[index] += 1 } }
            for request in layout.requests {
                let span = request.start..<request.start + request.count
                #expect(request.count <= limits.unitsPerRequest(request.area), "seed \(seed)")
                #expect(span.lowerBound >= 0 && span.upperBound <= ReadLimits.addressEnd, "seed \(seed)")
                #expect(knowledge.refusals(area: request.area, within: span).isEmpty, "seed \(seed)")
                for index in request.fields {
                    covered[index] += 1
                    let field = fields[index]
                    #expect(field.area == request.area && span.contains(field.start..<field.start + field.count), "seed \(seed)")
                }
            }
            #expect(covered.allSatisfy { $0 == 1 }, "seed \(seed)")
            let greedy = greedyLayout(fields, limits: limits, refusals: knowledge.refusals)
            #expect(layout.refused == greedy.refused, "seed \(seed)")
            #expect(limits.seconds(layout.requests) <= limits.seconds(greedy.requests) * 1.000_001, "seed \(seed)")
        }
    }

    /// What one would do by hand: add the next value to the request as long as it is allowed and no dearer.
    private func greedyLayout(_ fields: [ReadField], limits: ReadLimits, refusals: [AddressKnowledge.Refusal]) -> ReadLayout {
        var layout = ReadLayout()
        var first = 0
        while first < fields.count {
            let area = fields[first].area
            let end = fields[first...].firstIndex { $0.area != area } ?? fields.count
            let spans = refusals.filter { $0.area == area }.map(\.span)
            let unit = limits.model.byteSeconds * limits.bytesPerUnit(area)
            var isOpen = false
            var lastEnd = 0
            for atom in ReadPlanner.atoms(of: fields, in: first..<end, limits: limits) {
                defer { lastEnd = atom.span.upperBound }
                if spans.contains(where: { atom.span.contains($0) }) {
                    layout.refused.append(atom.fields)
                    isOpen = false
                    continue
                }
                if isOpen, let last = layout.requests.last {
                    let span = last.start..<atom.span.upperBound
                    let hole = atom.span.lowerBound - lastEnd
                    let isAllowed =
                        span.count <= limits.unitsPerRequest(area) && hole <= limits.holeMax && !spans.contains { span.contains($0) }
                    if isAllowed, Double(hole) * unit <= limits.model.requestSeconds {
                        layout.requests[layout.requests.count - 1].count = span.count
                        layout.requests[layout.requests.count - 1].fields = last.fields.lowerBound..<atom.fields.upperBound
                        continue
                    }
                }
                layout.requests.append(ReadRequest(area: area, start: atom.span.lowerBound, count: atom.span.count, fields: atom.fields))
                isOpen = true
            }
            first = end
        }
        return layout
    }

    @Test("on small maps no way of dividing the values into requests is cheaper")
    func optimum() throws {
        let seed = seedOfThisRun()
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<200 {
            var address = 0
            let fields = (0..<Int.random(in: 1...10, using: &generator)).map { tag in
                address += Int.random(in: 1...12, using: &generator)
                return ReadField(tag: tag, area: 3, start: address, count: 1, dataType: .uint16)
            }
            let limits = ReadLimits(
                model: LineCostModel(requestSeconds: Double.random(in: 0.001...0.03, using: &generator), byteSeconds: 0.001)
            ) { _ in 30 }
            let refused = Int.random(in: 0...address, using: &generator)
            var knowledge = AddressKnowledge()
            if !fields.contains(where: { $0.start == refused }) {
                knowledge.noteRefused(area: 3, span: refused..<refused + 1, kind: .way, code: 2, at: MonotonicInstant(nanoseconds: 0))
            }
            var best = Double.infinity
            for cuts in 0..<(1 << (fields.count - 1)) {
                var cost = 0.0
                var first = 0
                for last in fields.indices where last == fields.count - 1 || cuts >> last & 1 == 1 {
                    let span = fields[first].start..<fields[last].start + 1
                    cost +=
                        span.count > 30 || !knowledge.refusals(area: 3, within: span).isEmpty
                        ? .infinity : limits.model.seconds(bytes: 2 * Double(span.count))
                    first = last + 1
                }
                best = min(best, cost)
            }
            let found = limits.seconds(ReadPlanner.layout(fields, limits: limits, refusals: knowledge.refusals).requests)
            #expect(abs(found - best) < 1e-9, "seed \(seed): \(found) instead of \(best)")
        }
    }
}
