/// One model in a device's chain, and its registers where it is one that is known here.
package struct SunSpecBlock: Sendable, Equatable {
    package var id: Int
    /// The address of the model's number; its length stands behind it, then its points.
    package var start: Int
    /// Registers behind the length.
    package var length: Int
    /// The points, as many as were read; empty for unknown models and refused ones.
    package var registers: [UInt16]

    package init(id: Int, start: Int, length: Int, registers: [UInt16] = []) {
        self.id = id
        self.start = start
        self.length = length
        self.registers = registers
    }
}

/// Walks the chain of models of a SunSpec device: says what to read next, takes the answer, and ends after a bounded number of steps whatever
/// the device says.
///
/// "SunS" stands at one of a few addresses; models follow, each with its number and length, up to number 0xFFFF
/// (SunSpec Information Model Specification, "Device information model discovery"). The registers of known models are read then.
package struct SunSpecWalk: Sendable {
    package enum Step: Sendable, Equatable {
        /// Read holding registers.
        case read(start: Int, count: Int)
        case finished
    }

    private enum State: Sendable, Equatable {
        case seeking(Int)
        case header(Int)
        case content(block: Int, offset: Int)
        case finished
    }

    /// Where devices may have their map, in the order of likelihood.
    package static let basesDefault = [40_000, 0, 50_000]
    /// More models than any device has.
    package static let modelsMax = 128
    /// More registers of one model are not read.
    package static let contentMax = 2000
    /// As many registers per request as every device answers.
    package static let registersPerRequest = 100
    private static let addressEnd = 65_536
    /// "SunS".
    private static let mark: [UInt16] = [0x5375, 0x6E53]

    private let bases: [Int]
    private var state: State
    /// Where the map begins; `nil` where none was found.
    package private(set) var base: Int?
    package private(set) var blocks: [SunSpecBlock] = []
    /// Why the chain or a model was not read to its end.
    package private(set) var problems: [String] = []

    package init(bases: [Int] = SunSpecWalk.basesDefault) {
        self.bases = bases.filter { (0..<SunSpecWalk.addressEnd - 4).contains($0) }
        state = self.bases.isEmpty ? .finished : .seeking(0)
    }

    /// What to do next.
    package var step: Step {
        switch state {
        case .seeking(let index): return .read(start: bases[index], count: 2)
        case .header(let address): return .read(start: address, count: 2)
        case .content(let block, let offset):
            return .read(
                start: blocks[block].start + 2 + offset, count: min(SunSpecWalk.registersPerRequest, wanted(block) - offset))
        case .finished: return .finished
        }
    }

    /// Takes the registers that were asked for, `nil` when the device refused.
    package mutating func take(_ registers: [UInt16]?) {
        switch state {
        case .seeking(let index):
            if registers == SunSpecWalk.mark {
                base = bases[index]
                state = .header(bases[index] + 2)
            } else {
                state = index + 1 < bases.count ? .seeking(index + 1) : .finished
            }
        case .header(let address): takeHeader(registers, at: address)
        case .content(let block, let offset):
            guard let registers, !registers.isEmpty else {
                problems.append("model \(blocks[block].id) at \(blocks[block].start) refuses to be read from register \(offset) on")
                nextContent(after: block)
                return
            }
            blocks[block].registers += registers.prefix(wanted(block) - offset)
            let read = blocks[block].registers.count
            if read < wanted(block) {
                state = .content(block: block, offset: read)
            } else {
                nextContent(after: block)
            }
        case .finished: break
        }
    }

    private mutating func takeHeader(_ registers: [UInt16]?, at address: Int) {
        guard let registers, registers.count == 2 else {
            endChain("the chain is refused at address \(address), before its end mark")
            return
        }
        let id = Int(registers[0])
        let length = Int(registers[1])
        if id == 0xFFFF {
            endChain(nil)
        } else if address + 2 + length > SunSpecWalk.addressEnd {
            endChain("model \(id) at \(address) has length \(length), beyond the last address")
        } else if blocks.count >= SunSpecWalk.modelsMax {
            endChain("the chain has more than \(SunSpecWalk.modelsMax) models")
        } else {
            blocks.append(SunSpecBlock(id: id, start: address, length: length))
            let next = address + 2 + length
            if next + 2 > SunSpecWalk.addressEnd {
                endChain("the chain has no end mark")
            } else {
                state = .header(next)
            }
        }
    }

    private mutating func endChain(_ problem: String?) {
        if let problem { problems.append(problem) }
        nextContent(after: -1)
    }

    private mutating func nextContent(after block: Int) {
        let next = blocks.indices.first { $0 > block && wanted($0) > 0 }
        state = next.map { .content(block: $0, offset: 0) } ?? .finished
    }

    /// How many registers of a model are worth reading.
    private func wanted(_ block: Int) -> Int {
        guard let model = SunSpecModel.model(blocks[block].id) else { return 0 }
        let length = blocks[block].length
        return min(model.repeating.isEmpty ? min(length, model.length) : length, SunSpecWalk.contentMax)
    }
}
