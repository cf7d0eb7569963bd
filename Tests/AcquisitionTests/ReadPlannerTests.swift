import GatewayCore
import Telemetry
import TestKit
import Testing

import struct Telemetry.Tag

@testable import Acquisition

private let limits = ReadLimits(holeMax: 16) { $0 <= 2 ? 2000 : 125 }

private func plan(_ addresses: [(area: UInt8, start: Int, count: Int)]) throws -> ReadPlan {
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

    @Test("whatever the tags, every field lies whole in exactly one request within the limits")
    func property() throws {
        let seed = seedOfThisRun()
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<300 {
            let addresses = (0..<Int.random(in: 1...300, using: &generator)).map { _ in
                let area = UInt8.random(in: 1...4, using: &generator)
                return (
                    area: area, start: Int.random(in: 0...4000, using: &generator),
                    count: area <= 2 ? 1 : Int.random(in: 1...8, using: &generator)
                )
            }
            let plan = try plan(addresses)
            var covered = 0
            for request in plan.requests {
                #expect(request.count <= limits.unitsPerRequest(request.area), "seed \(seed)")
                for field in plan.fields[request.fields] {
                    covered += 1
                    let isInside =
                        field.area == request.area && field.start >= request.start
                        && field.start + field.count <= request.start + request.count
                    #expect(isInside, "seed \(seed)")
                }
            }
            #expect(covered == addresses.count, "seed \(seed)")
        }
    }
}
