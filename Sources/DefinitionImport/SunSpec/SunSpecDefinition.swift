internal import Definitions
internal import Telemetry

/// Makes a protocol definition of what a SunSpec device says of itself.
package enum SunSpecDefinition {
    /// What became of a device's models.
    package struct Result: Sendable, Equatable {
        package var definition: DraftDefinition
        /// One sentence each: models that are not known, points without a usable scale factor.
        package var remarks: [String]
    }

    private static let measurements = ScanGroup(name: "measurements", period: .seconds(1))
    private static let energy = ScanGroup(name: "energy", period: .seconds(10))
    private static let identity = ScanGroup(name: "identity", period: .seconds(3600))

    /// A definition with a tag for every point that the device implements; `nil` when there is none.
    ///
    /// Scale factors are those that were read: the registers that hold them become tags too, so that a device that changes one is seen.
    package static func make(of blocks: [SunSpecBlock], name: String) -> Result? {
        var result = Result(
            definition: DraftDefinition(
                name: name, description: "", source: "The device's own SunSpec models, as discovered.", verification: .device,
                scanGroups: [measurements, energy, identity]),
            remarks: [])
        var counts: [String: Int] = [:]
        for block in blocks {
            guard let model = SunSpecModel.model(block.id) else {
                result.remarks.append("model \(block.id) at \(block.start), \(block.length) registers, is not known and left out")
                continue
            }
            let number = (counts[model.title] ?? 0) + 1
            counts[model.title] = number
            add(block, model, title: number == 1 ? model.title : "\(model.title)\(number)", to: &result)
        }
        let models = blocks.map { "\($0.id)" }.joined(separator: ", ")
        let device = [text("Mn", of: blocks), text("Md", of: blocks)].compactMap { $0 }.joined(separator: " ")
        result.definition.description =
            "\(device.isEmpty ? "A SunSpec device" : device), SunSpec models \(models). Scale factors are those at discovery; they are tags "
            + "as well (…_SF): should one change, discover the device again."
        let used = Set(result.definition.tags.map(\.scanGroup))
        result.definition.scanGroups.removeAll { !used.contains($0.name) }
        return result.definition.tags.isEmpty ? nil : result
    }

    private static func add(_ block: SunSpecBlock, _ model: SunSpecModel, title: String, to result: inout Result) {
        let registers = block.registers
        var part = Part(title: title, start: block.start + 2, registers: registers[...], points: model.points, factors: [:])
        part.factors = factors(model.points, registers[...])
        add(part, isStatic: staticTitles.contains(model.title), to: &result)
        guard !model.repeating.isEmpty else { return }
        var place = model.length
        var index = 1
        while place + model.repeatingLength <= registers.count {
            let slice = registers[place..<place + model.repeatingLength]
            var repetition = Part(
                title: "\(title).\(model.repeatingTitle)\(index)", start: block.start + 2 + place, registers: slice,
                points: model.repeating,
                factors: part.factors)
            repetition.factors.merge(factors(model.repeating, slice)) { _, own in own }
            add(repetition, isStatic: false, to: &result)
            place += model.repeatingLength
            index += 1
        }
    }

    /// Models whose points hardly ever change.
    private static let staticTitles: Set<String> = ["common", "nameplate", "settings"]

    /// Points that lie together, with the scale factors they use.
    private struct Part {
        var title: String
        /// The address of the first register.
        var start: Int
        var registers: ArraySlice<UInt16>
        var points: [SunSpecPoint]
        var factors: [String: Int]
    }

    /// The powers of ten that are set and possible: −10 to 10.
    private static func factors(_ points: [SunSpecPoint], _ registers: ArraySlice<UInt16>) -> [String: Int] {
        var factors: [String: Int] = [:]
        for point in points where point.type == .sunssf {
            guard let raw = slice(of: point, in: registers)?.first else { continue }
            let value = Int(Int16(bitPattern: raw))
            if (-10...10).contains(value) { factors[point.name] = value }
        }
        return factors
    }

    private static func slice(of point: SunSpecPoint, in registers: ArraySlice<UInt16>) -> ArraySlice<UInt16>? {
        let first = registers.startIndex + point.offset
        guard first + point.size <= registers.endIndex else { return nil }
        return registers[first..<first + point.size]
    }

    private static func add(_ part: Part, isStatic: Bool, to result: inout Result) {
        for point in part.points {
            guard let type = point.type.dataType, let registers = slice(of: point, in: part.registers),
                !point.type.isNotImplemented(registers)
            else { continue }
            var scaling = Scaling.identity
            if let name = point.scaleFactor {
                guard let factor = part.factors[name] else {
                    result.remarks.append("\(part.title).\(point.name) is left out: its scale factor \(name) is not set")
                    continue
                }
                scaling.scale = Double("1e\(factor)") ?? 1
            }
            result.definition.tags.append(
                DraftTag(
                    name: "\(part.title).\(point.name)", address: ModbusAddress(table: .holding, offset: part.start + point.offset),
                    dataType: type, stringLength: type == .string ? point.size * 2 : 0, scaling: scaling, unit: point.unit,
                    scanGroup: isStatic ? identity.name : point.type.isAccumulator ? energy.name : measurements.name,
                    isScored: point.type.isQuantity && !isStatic, notAvailable: point.type.notImplementedText))
        }
    }

    /// A text of the common model.
    private static func text(_ name: String, of blocks: [SunSpecBlock]) -> String? {
        guard let block = blocks.first(where: { $0.id == 1 }), let point = SunSpecModel.model(1)?.points.first(where: { $0.name == name }),
            let registers = slice(of: point, in: block.registers[...])
        else { return nil }
        let bytes = registers.flatMap { [UInt8($0 >> 8), UInt8(truncatingIfNeeded: $0)] }.prefix { $0 != 0 }
        let text = String(decoding: bytes, as: UTF8.self).trimmed
        return text.isEmpty ? nil : text
    }
}
