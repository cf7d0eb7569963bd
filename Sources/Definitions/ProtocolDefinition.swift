package import Telemetry

/// What a kind of device offers: its tags, where they lie and how often they are read. Written once per device type, used by many devices.
package struct ProtocolDefinition: Sendable, Equatable {
    package enum WireProtocol: String, Sendable, CaseIterable {
        case modbus
    }

    /// What the addresses were compared with.
    package enum Verification: String, Sendable, CaseIterable {
        /// Every address was read in the vendor's document that `source` names.
        case document
        /// Some were; `source` says where the others agree.
        case partial
        /// None was: they agree in the implementations that `source` names.
        case implementations
        /// The device itself told them.
        case device
    }

    package var name: String
    /// Semantic Versioning 2.0.0.
    package var version: String
    package var description: String?
    /// The vendor's document the addresses were taken from.
    package var source: String?
    /// How far the addresses were verified; `nil` where the document does not say.
    package var verification: Verification?
    package var wireProtocol: WireProtocol
    /// In the order of the document.
    package var scanGroups: [ScanGroup]
    /// In the order of the document.
    package var tags: [TagDefinition]
    /// The file it was read from.
    package var file: String
    /// How such a device may be read.
    package var reading: ModbusReading

    package init(
        name: String, version: String, description: String? = nil, source: String? = nil,
        verification: Verification? = nil, wireProtocol: WireProtocol, scanGroups: [ScanGroup], tags: [TagDefinition], file: String,
        reading: ModbusReading = ModbusReading()
    ) {
        self.reading = reading
        self.name = name
        self.version = version
        self.description = description
        self.source = source
        self.verification = verification
        self.wireProtocol = wireProtocol
        self.scanGroups = scanGroups
        self.tags = tags
        self.file = file
    }
}

/// Tags that are read together, and how often.
package struct ScanGroup: Sendable, Equatable {
    package var name: String
    package var period: Duration

    package init(name: String, period: Duration) {
        self.name = name
        self.period = period
    }
}

/// One value of a device.
package struct TagDefinition: Sendable, Equatable {
    package enum Access: String, Sendable, CaseIterable {
        case read
        case readWrite
    }

    package var name: String
    package var address: ModbusAddress
    /// How many registers, coils or discrete inputs the value takes from `address` on.
    package var unitCount: Int
    /// Of the raw value; what is stored is the type of `tag`.
    package var dataType: DataType
    /// Bytes of a string; 0 for other types.
    package var stringLength: Int
    package var byteOrder: ByteOrder
    package var scaling: Scaling
    /// UCUM, case-sensitive; empty for none.
    package var unit: String
    package var scanGroup: String
    /// In engineering units, resolved where the document gives a percentage of the range: smaller changes are not stored. `nil`: every sample is.
    package var deadband: Double?
    package var access: Access
    package var limits: WriteLimits?
    package var write: WriteSettings
    /// What values the device gives in ordinary work, in engineering units.
    package var range: ClosedRange<Double>?
    package var description: String?
    /// Whether the health model looks at it.
    package var isScored: Bool
    package var form: ValueForm

    package init(
        name: String, address: ModbusAddress, unitCount: Int, dataType: DataType, stringLength: Int, byteOrder: ByteOrder,
        scaling: Scaling, unit: String, scanGroup: String, deadband: Double? = nil, access: Access, limits: WriteLimits? = nil,
        write: WriteSettings = WriteSettings(), range: ClosedRange<Double>? = nil, description: String? = nil, isScored: Bool,
        form: ValueForm = .plain
    ) {
        self.name = name
        self.address = address
        self.unitCount = unitCount
        self.dataType = dataType
        self.stringLength = stringLength
        self.byteOrder = byteOrder
        self.scaling = scaling
        self.unit = unit
        self.scanGroup = scanGroup
        self.deadband = deadband
        self.access = access
        self.limits = limits
        self.write = write
        self.range = range
        self.description = description
        self.isScored = isScored
        self.form = form
    }

    /// The tag as the rest of the gateway knows it. A table gives engineering values, which nothing scales any more.
    package var tag: Tag {
        if form.rules?.table != nil { return Tag(name, .float64, unit: unit) }
        return Tag(name, dataType, scaling: scaling, unit: unit, stringCapacity: stringLength)
    }
}

/// What may be written to a tag, in engineering units.
package struct WriteLimits: Sendable, Equatable {
    package var minimum: Double?
    package var maximum: Double?
    /// The largest difference to the value before, per write.
    package var maximumStep: Double?

    /// The most writes in any minute.
    package var writesPerMinute: Int?

    package init(minimum: Double? = nil, maximum: Double? = nil, maximumStep: Double? = nil, writesPerMinute: Int? = nil) {
        self.minimum = minimum
        self.maximum = maximum
        self.maximumStep = maximumStep
        self.writesPerMinute = writesPerMinute
    }
}
