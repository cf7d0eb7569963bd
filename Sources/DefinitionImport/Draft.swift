package import Definitions
package import Telemetry

/// A protocol definition that is being put together: what its document will say.
package struct DraftDefinition: Sendable, Equatable {
    package var name: String
    package var description: String
    /// Where the addresses come from.
    package var source: String
    package var verification: ProtocolDefinition.Verification?
    package var byteOrder: ByteOrder
    /// In the order of the document; the first is the default of the tags.
    package var scanGroups: [ScanGroup]
    package var tags: [DraftTag]

    package init(
        name: String, description: String, source: String, verification: ProtocolDefinition.Verification? = nil,
        byteOrder: ByteOrder = .abcd, scanGroups: [ScanGroup] = [], tags: [DraftTag] = []
    ) {
        self.name = name
        self.description = description
        self.source = source
        self.verification = verification
        self.byteOrder = byteOrder
        self.scanGroups = scanGroups
        self.tags = tags
    }
}

/// One tag of a draft.
package struct DraftTag: Sendable, Equatable {
    package var name: String
    package var address: ModbusAddress
    package var dataType: DataType
    /// Bytes of a string; 0 for other types.
    package var stringLength: Int
    package var byteOrder: ByteOrder
    package var scaling: Scaling
    /// UCUM; empty for none.
    package var unit: String
    package var scanGroup: String
    package var isScored: Bool
    /// The raw number that says that there is no value, as a document writes it: `0x8000`.
    package var notAvailable: String?
    package var description: String?

    package init(
        name: String, address: ModbusAddress, dataType: DataType, stringLength: Int = 0, byteOrder: ByteOrder = .abcd,
        scaling: Scaling = .identity, unit: String = "", scanGroup: String, isScored: Bool = true,
        notAvailable: String? = nil, description: String? = nil
    ) {
        self.name = name
        self.address = address
        self.dataType = dataType
        self.stringLength = stringLength
        self.byteOrder = byteOrder
        self.scaling = scaling
        self.unit = unit
        self.scanGroup = scanGroup
        self.isScored = isScored
        self.notAvailable = notAvailable
        self.description = description
    }

    /// How many registers, coils or discrete inputs the value takes.
    package var unitCount: Int {
        if !address.table.isRegister || dataType == .bool { return 1 }
        return dataType == .string ? (stringLength + 1) / 2 : max(1, dataType.width / 2)
    }
}

/// One device of the site document that goes with imported definitions.
package struct DraftDevice: Sendable, Equatable {
    package var name: String
    package var definition: String
    package var connection: Connection
    /// `nil`: the default of site documents.
    package var responseTimeout: Duration?

    package init(name: String, definition: String, connection: Connection, responseTimeout: Duration? = nil) {
        self.name = name
        self.definition = definition
        self.connection = connection
        self.responseTimeout = responseTimeout
    }
}
