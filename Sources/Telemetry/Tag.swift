/// A linear conversion from the raw value of a device to the engineering value: `raw × scale + offset`.
package struct Scaling: Sendable, Hashable, Codable {
    package var scale: Double
    package var offset: Double

    package init(scale: Double = 1, offset: Double = 0) {
        self.scale = scale
        self.offset = offset
    }

    package static let identity = Scaling()
    package var isIdentity: Bool { scale == 1 && offset == 0 }

    /// For a scale of 10⁻ᵏ (k in 1...9) without offset, `k`: such values print exactly as decimals.
    package var decimals: Int? {
        guard offset == 0 else { return nil }
        var power = 10.0
        for digits in 1...9 {
            if scale == 1 / power { return digits }
            power *= 10
        }
        return nil
    }

    /// The engineering value of a raw number.
    package func engineering(_ raw: Double) -> Double { difference(raw) + offset }

    /// What a difference between two raw numbers is in engineering units: scaled, without the offset.
    package func difference(_ raw: Double) -> Double {
        // Dividing by a power of ten is exact where multiplying by its reciprocal is not: 235 / 10 is 23.5, 235 × 0.1 is not.
        if let decimals { return raw / Scaling.powersOfTen[decimals] }
        return raw * scale
    }

    /// The raw number of an engineering value, not yet rounded: the inverse of `engineering`.
    package func raw(_ engineering: Double) -> Double {
        let difference = engineering - offset
        if let decimals { return difference * Scaling.powersOfTen[decimals] }
        return difference / scale
    }

    private static let powersOfTen: [Double] = [1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9]
}

/// What one measured quantity is: its name, raw type and meaning. Where its value lies in a batch is the descriptor's matter.
package struct Tag: Sendable, Hashable, Codable {
    package var name: String
    /// The type of the raw value.
    package var dataType: DataType
    package var scaling: Scaling
    /// UCUM, case-sensitive (for example `Cel`, `bar`, `1/min`); empty for none.
    package var unit: String
    /// Most bytes of UTF-8 a string value can have; 0 for other types.
    package var stringCapacity: Int

    package init(_ name: String, _ dataType: DataType, scaling: Scaling = .identity, unit: String = "", stringCapacity: Int = 0) {
        precondition((dataType == .string) == (stringCapacity > 0), "exactly strings have a capacity")
        precondition(stringCapacity <= Tag.stringCapacityMax, "string capacity is \(stringCapacity), at most \(Tag.stringCapacityMax)")
        self.name = name
        self.dataType = dataType
        self.scaling = scaling
        self.unit = unit
        self.stringCapacity = stringCapacity
    }

    /// The longest string a tag may carry, in bytes.
    package static let stringCapacityMax = 4096

    /// Bytes of this tag's slot: the value's width, or two length bytes and the capacity for a string.
    package var slotWidth: Int { dataType == .string ? 2 + stringCapacity : dataType.width }

    /// The type of the engineering value: a scaled number is a `float64`, anything else stays what it is.
    package var engineeringType: DataType { scaling.isIdentity || !dataType.isNumeric ? dataType : .float64 }
}

/// Names a stream (one scan group of one device, or one derived series group) within a store, for ever:
/// a store never gives the number of one stream to another.
package struct StreamID: RawRepresentable, Sendable, Hashable, Comparable, Codable {
    package var rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }
    package static func < (left: StreamID, right: StreamID) -> Bool { left.rawValue < right.rawValue }
}

/// Names a tag within a store: a stream and the tag's place in it.
package struct TagID: Sendable, Hashable {
    package var stream: StreamID
    package var index: Int

    package init(stream: StreamID, index: Int) {
        self.stream = stream
        self.index = index
    }
}

/// What the batches of one stream look like. Fixed for the life of a `StreamID`: a changed group is a new stream.
package struct StreamDescriptor: Sendable, Hashable, Codable {
    /// Who the samples belong to: the device's name in the site document (or the asset's, for derived streams).
    package let device: String
    /// The scan group, for example `fast`; `health` for the scores of an asset.
    package let group: String
    package let tags: [Tag]
    /// Byte offset of each tag's slot in `SampleBatch.values`. Slots follow each other in tag order, unaligned.
    package let offsets: [Int]
    /// Bytes of all slots together.
    package let valueBytes: Int

    /// The most tags one stream may have.
    package static let tagsMax = 65_535

    package init(device: String, group: String, tags: [Tag]) {
        precondition(tags.count <= StreamDescriptor.tagsMax, "\(tags.count) tags in one stream, at most \(StreamDescriptor.tagsMax)")
        self.device = device
        self.group = group
        self.tags = tags
        var offsets: [Int] = []
        offsets.reserveCapacity(tags.count)
        var next = 0
        for tag in tags {
            offsets.append(next)
            next += tag.slotWidth
        }
        self.offsets = offsets
        valueBytes = next
    }

    /// The group of an asset's scores.
    package static let healthGroup = "health"
    /// The group in which a device's connection and polls are told of.
    package static let diagnosticsGroup = "diagnostics"

    /// For a group that the gateway makes itself, the folder its tags are shown in, so that they cannot be taken for a device's:
    /// `Health/score`. `nil` for scan groups, which must not have such a name.
    package static func folder(ofGroup group: String) -> String? {
        switch group {
        case healthGroup: "Health"
        case diagnosticsGroup: "Diagnostics"
        default: nil
        }
    }

    private enum CodingKeys: String, CodingKey { case device, group, tags }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            device: try container.decode(String.self, forKey: .device), group: try container.decode(String.self, forKey: .group),
            tags: try container.decode([Tag].self, forKey: .tags))
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(device, forKey: .device)
        try container.encode(group, forKey: .group)
        try container.encode(tags, forKey: .tags)
    }
}
