import Definitions
import Foundation
import Telemetry
import TestKit
import Testing

@testable import DefinitionImport

@Suite("SunSpec")
struct SunSpecTests {
    /// A device: registers by address; what is not there is refused.
    private struct Device {
        var registers: [Int: UInt16] = [:]

        mutating func put(_ start: Int, _ values: [UInt16]) {
            for (index, value) in values.enumerated() { registers[start + index] = value }
        }

        func read(_ start: Int, _ count: Int) -> [UInt16]? {
            let values = (start..<start + count).compactMap { registers[$0] }
            return values.count == count ? values : nil
        }
    }

    /// Walks a device; more steps than a bounded walk can have are a failure.
    private func walk(_ device: Device, bases: [Int] = SunSpecWalk.basesDefault) -> (walk: SunSpecWalk, steps: Int) {
        var walk = SunSpecWalk(bases: bases)
        var steps = 0
        while case .read(let start, let count) = walk.step, steps < 10_000 {
            #expect(start >= 0 && count >= 1 && count <= 125 && start + count <= 65_536, "\(start), \(count)")
            walk.take(device.read(start, count))
            steps += 1
        }
        #expect(walk.step == .finished)
        return (walk, steps)
    }

    private func chain(at base: Int, _ models: [(id: Int, registers: [UInt16])], end: Bool = true) -> Device {
        var device = Device()
        device.put(base, [0x5375, 0x6E53])
        var address = base + 2
        for model in models {
            device.put(address, [UInt16(model.id), UInt16(model.registers.count)] + model.registers)
            address += 2 + model.registers.count
        }
        if end { device.put(address, [0xFFFF, 0]) }
        return device
    }

    // MARK: - Tables

    @Test("every model has the length that the standard gives it, and units that are UCUM")
    func lengths() {
        // Registers behind the length; SunSpec information models, 2026-04-22.
        let lengths = [
            1: 66, 101: 50, 102: 50, 103: 50, 111: 60, 112: 60, 113: 60, 120: 26, 121: 30, 122: 44, 160: 8, 201: 105, 202: 105, 203: 105,
            204: 105, 211: 124, 212: 124, 213: 124, 214: 124,
        ]
        #expect(SunSpecModel.allIDs == lengths.keys.sorted())
        for (id, length) in lengths {
            let model = SunSpecModel.model(id)
            #expect(model?.length == length, "model \(id)")
            for point in (model?.points ?? []) + (model?.repeating ?? []) {
                #expect(point.unit.isEmpty || UCUM.unit(meantBy: point.unit) == point.unit, "\(id) \(point.name): \(point.unit)")
                if let factor = point.scaleFactor {
                    #expect(model?.points.contains { $0.name == factor && $0.type == .sunssf } == true, "\(id) \(point.name): \(factor)")
                }
            }
        }
        #expect(SunSpecModel.model(160)?.repeatingLength == 20)
    }

    // MARK: - Chains

    @Test("the map is found at each of its places", arguments: SunSpecWalk.basesDefault)
    func bases(_ base: Int) {
        let (walk, _) = walk(
            chain(at: base, [(1, [UInt16](repeating: 0, count: 66)), (64_001, [1, 2, 3]), (103, [UInt16](repeating: 0, count: 50))]))
        #expect(walk.base == base)
        #expect(walk.blocks.map(\.id) == [1, 64_001, 103])
        #expect(walk.blocks.map(\.registers.count) == [66, 0, 50])
        #expect(walk.problems.isEmpty)
    }

    @Test("a device without a map is left after three requests")
    func noMap() {
        let (walk, steps) = walk(Device())
        #expect(walk.base == nil && walk.blocks.isEmpty && steps == 3)
    }

    @Test("a chain without an end, or of models without length, ends all the same")
    func endless() {
        var device = Device()
        device.put(0, [0x5375, 0x6E53])
        for address in stride(from: 2, to: 65_536, by: 2) { device.put(address, [103, 0]) }
        let (walk, steps) = walk(device, bases: [0])
        #expect(walk.blocks.count == SunSpecWalk.modelsMax)
        #expect(walk.problems.contains { $0.contains("more than") })
        #expect(steps < 200)
    }

    @Test("a length beyond the last address ends the chain, and what stood before is kept")
    func tooLong() {
        var device = chain(at: 40_000, [(1, [UInt16](repeating: 0, count: 66))], end: false)
        device.put(40_070, [103, 0xFFFE])
        let (walk, _) = walk(device)
        #expect(walk.blocks.map(\.id) == [1])
        #expect(walk.problems.contains { $0.contains("beyond the last address") })
    }

    @Test("a chain that is refused in its middle keeps what was read")
    func refused() {
        let (walk, _) = walk(chain(at: 40_000, [(1, [UInt16](repeating: 0, count: 66))], end: false))
        #expect(walk.blocks.map(\.id) == [1])
        #expect(walk.problems.contains { $0.contains("refused at address 40070") })
    }

    @Test("whatever a device answers, the walk ends within its bounds and what comes out is accepted by the loader")
    func randomDevices() throws {
        let seed = seedOfThisRun()
        var generator = SeededGenerator(seed: seed)
        let folder = try TemporaryFolder()
        let ids = SunSpecModel.allIDs + [0, 7, 0xFFFF, 64_001]
        for round in 0..<60 {
            var walk = SunSpecWalk()
            var steps = 0
            while case .read(let start, let count) = walk.step {
                steps += 1
                #expect(start + count <= 65_536)
                guard steps < 5000 else {
                    Issue.record("seed \(seed), round \(round): no end")
                    return
                }
                switch Int.random(in: 0..<20, using: &generator) {
                case 0: walk.take(nil)
                case 1: walk.take([])
                case 2: walk.take([UInt16](repeating: 0x8000, count: count + 7))
                default:
                    if walk.base == nil {
                        walk.take([0x5375, 0x6E53])
                    } else if count == 2, let id = ids.randomElement(using: &generator) {
                        walk.take([UInt16(id), UInt16.random(in: 0...300, using: &generator)])
                    } else {
                        walk.take(
                            (0..<count).map { _ in Bool.random(using: &generator) ? UInt16.random(in: 0...6, using: &generator) : 0xFFFF })
                    }
                }
            }
            guard let made = SunSpecDefinition.make(of: walk.blocks, name: "device") else { continue }
            let loaded = try check(DraftWriter.text(of: made.definition), in: folder)
            #expect(!loaded.hasErrors, "seed \(seed), round \(round): \(loaded.diagnostics.prefix(3))")
        }
    }

    // MARK: - Definitions

    @Test("golden: an inverter with trackers and a meter")
    func golden() throws {
        let file = Checkout.root.appendingPathComponent("Tests/DefinitionImportTests/Fixtures/sunspec-inverter.txt")
        var device = Device()
        for line in try String(contentsOf: file, encoding: .utf8).split(separator: "\n") where !line.hasPrefix("#") {
            let words = line.split(separator: " ")
            device.put(try #require(Int(words[0])), words.dropFirst().compactMap { UInt16($0, radix: 16) })
        }
        let (walk, _) = walk(device)
        #expect(walk.problems.isEmpty)
        let made = try #require(SunSpecDefinition.make(of: walk.blocks, name: "roof"))
        let folder = try TemporaryFolder()
        let loaded = try check(DraftWriter.text(of: made.definition), in: folder)
        #expect(loaded.diagnostics.isEmpty, "\(loaded.diagnostics)")
        try expectGolden(made.remarks.map { "# \($0)\n" }.joined() + DraftWriter.text(of: made.definition), "sunspec-inverter.yaml")
    }

    @Test("points that are not implemented become no tags; a missing scale factor loses its points, not the model")
    func notImplemented() throws {
        var registers = [UInt16](repeating: 0x8000, count: 50)
        registers[0] = 123  // A
        registers[4] = 0xFFFF  // A_SF: −1
        registers[12] = 500  // W, its factor W_SF stays 0x8000
        let made = try #require(
            SunSpecDefinition.make(of: [SunSpecBlock(id: 103, start: 100, length: 50, registers: registers)], name: "device"))
        let current = try #require(made.definition.tags.first { $0.name == "inverter.A" })
        #expect(current.scaling.scale == 0.1 && current.address == ModbusAddress(table: .holding, offset: 102) && current.unit == "A")
        #expect(!made.definition.tags.contains { $0.name == "inverter.W" })
        #expect(made.remarks.contains { $0.contains("inverter.W is left out") })
    }

    @Test("two models of one kind are told apart")
    func twoMeters() throws {
        let meter = [UInt16](repeating: 1, count: 124)
        let made = try #require(
            SunSpecDefinition.make(
                of: [
                    SunSpecBlock(id: 213, start: 0, length: 124, registers: meter),
                    SunSpecBlock(id: 211, start: 200, length: 124, registers: meter),
                ], name: "device"))
        #expect(made.definition.tags.contains { $0.name == "meter.Hz" } && made.definition.tags.contains { $0.name == "meter2.Hz" })
    }
}
