internal import Telemetry

/// The tables of the `ProtocolDefinition` document.
enum ProtocolDefinitionShape {
    static let kind = "ProtocolDefinition"

    static let document = ObjectShape(
        kind, "What a kind of device offers: its tags, where they lie and how often they are read.",
        [
            Field(required: "apiVersion", .word([apiVersion]), "The version of the format."),
            Field(required: "kind", .word([kind]), "The kind of document."),
            Field(required: "metadata", .object(metadata), "Name, version and origin."),
            Field(required: "spec", .object(spec), "The content."),
        ])

    static let metadata = ObjectShape(
        "metadata", "Name, version and origin of the definition.",
        [
            Field(required: "name", .text(.name), "The name devices refer to."),
            Field(required: "version", .text(.semanticVersion), "The semantic version of the definition."),
            Field("description", .text(.prose), "For people."),
            Field("source", .text(.prose), "The vendor's document the addresses were taken from, with its edition."),
            Field(
                "verification", .word(ProtocolDefinition.Verification.allCases.map(\.rawValue)),
                "What the addresses were compared with: the vendor's document, a part of them with it, other implementations only, or the device."
            ),
        ])

    static let spec = ObjectShape(
        "spec", "The content of the definition.",
        [
            Field(required: "protocol", .word(ProtocolDefinition.WireProtocol.allCases.map(\.rawValue)), "The protocol the device speaks."),
            Field(
                "byteOrder", .word(byteOrders), default: "bigEndian",
                "The order of the bytes of values of several registers, A the most significant; bigEndian is ABCD, littleEndian DCBA."),
            Field(
                required: "scanGroups",
                .map(key: .name, .duration(.milliseconds(1)...(.seconds(86_400))), count: 1...64),
                "Names of scan groups and how often each is read. The first one is the default of the tags."),
            Field("modbus", .object(ModbusReadingShape.definition), "How the device may be read, where it allows less than Modbus does."),
            Field(required: "tags", .list(.object(tag), count: 1...Telemetry.StreamDescriptor.tagsMax), "The values of the device."),
        ])

    static let tag = ObjectShape(
        "tag", "One value of the device.",
        [
            Field(required: "name", .text(.tagName), "The name, unique within the definition."),
            Field(
                required: "address", .text(.address),
                "Table and 0-based protocol address (0…65535): holding:40, input:3, coil:7, discrete:7; holding:40.3 is bit 3 of the register."
            ),
            Field(required: "type", .word(TagType.all.map(\.name)), "The type of the raw value."),
            Field("length", .integer(1...stringLengthMax), "Bytes of a string; strings only, and required for them."),
            Field("byteOrder", .word(ByteOrder.words), "The byte order of this tag, where it differs; eight letters for 64 bits."),
            Field("scale", .number, default: "1", "Engineering value = raw value × scale + offset. Not 0."),
            Field("offset", .number, default: "0", "Engineering value = raw value × scale + offset."),
            Field("unit", .text(.unit), "The unit of the engineering value in UCUM, case-sensitive: Cel, bar, 1/min, kW.h."),
            Field("scanGroup", .text(.name), "The scan group; the first one of the definition where none is given."),
            Field("deadband", .object(deadband), "Changes smaller than this are not stored."),
            Field("access", .word(TagDefinition.Access.allCases.map(\.rawValue)), default: "read", "Whether the tag may be written."),
            Field("limits", .object(limits), "What may be written, in engineering units."),
            Field("write", .object(write), "How the tag is written, and what has to hold for it."),
            Field("range", .object(range), "What values the device gives in ordinary work, in engineering units."),
            Field("description", .text(.prose), "For people."),
            Field("score", .bool, default: "true", "Whether the health model looks at the tag."),
        ] + valueForm)

    /// What a value is beyond type and order.
    private static let valueForm = [
        Field("byte", .word(["high", "low"]), "Which half of the register an int8 or uint8 is."),
        Field("bitCount", .integer(1...16), "How many bits of the register the number has, from the address's bit on."),
        Field("fractionBits", .integer(1...64), "Bits behind the binary point of a fixed-point number (n of Qm.n)."),
        Field("encoding", .word(["utf8", "ascii"]), "What the bytes of a string are; utf8 where nothing is said."),
        Field("fill", .integer(0...255), "The byte that pads a string, beside NUL and space."),
        Field("count", .integer(1...arrayCountMax), "How many such values follow each other: tags name.0, name.1, …"),
        Field("stride", .integer(1...65_535), "Registers (or coils) from one element to the next, where there are others between."),
        Field(
            "table", .list(.list(.number, count: 2...2), count: 2...Telemetry.ConversionTable.pointsMax),
            "Rows of raw and engineering value, in place of scale and offset; straight lines between them."),
        Field("valid", .object(valid), "Which values are believed."),
        Field(
            "notAvailable", .oneOrMore(.literal, count: 1...Telemetry.ValueRules.notAvailableMax),
            "Raw values by which the device says that it has no value; hexadecimal ones are the bits."),
        Field("labels", .map(key: .integerKey, .text(.label), count: 1...1000), "What people call single raw values: 0: stopped."),
        Field("bits", .map(key: .integerKey, .text(.tagName), count: 1...64), "Names of single bits; each becomes a bool, name.bit."),
    ]

    static let valid = ObjectShape(
        "valid", "Which values are believed; one end or both.",
        [
            Field("min", .number, "The smallest valid value."),
            Field("max", .number, "The largest valid value."),
            Field("of", .word(["engineering", "raw"]), default: "engineering", "What min and max are compared with."),
            Field("outside", .word(["bad", "uncertain"]), default: "bad", "The quality of a value outside; an uncertain one is kept."),
        ])

    /// The most elements of an array.
    static let arrayCountMax = 4096

    static let deadband = ObjectShape(
        "deadband", "The smallest change that is stored; one of the two.", isChoice: true,
        [
            Field("absolute", .number, "In engineering units."),
            Field("percentOfRange", .number, "In percent of the tag's range, more than 0, at most 100."),
        ])

    static let limits = ObjectShape(
        "limits", "What may be written, in engineering units.",
        [
            Field("min", .number, "The smallest value."),
            Field("max", .number, "The largest value."),
            Field("maxStep", .number, "The largest difference to the value before, per write."),
            Field("writesPerMinute", .integer(1...600), "The most writes in any minute."),
        ])

    static let write = ObjectShape(
        "write", "How the tag is written, and what has to hold for it.",
        [
            Field(
                "interlock", .text(.interlock),
                "What must hold for a write: tags (device.tag, or this.tag for the same device) compared with numbers, joined by &&, || and !."
            ),
            Field("minInterval", .duration(.milliseconds(1)...(.seconds(86_400))), "The shortest time between two writes."),
            Field(
                "verifyAfter", .duration(.zero...(.seconds(10))), default: "100ms", "How long after the write the value is read back."),
            Field(
                "confirm", .word(WriteSettings.Confirmation.allCases.map(\.rawValue)), default: "none",
                "twoStep: a write is carried out by a second request, with the token that the first one gives."),
            Field(
                "function", .word(WriteSettings.Function.allCases.map(\.rawValue)), default: "automatic",
                "single: Modbus functions 05 and 06; multiple: 15 and 16; automatic: by the size of the value."),
            Field(
                "readModifyWrite", .bool, default: "false",
                "Whether a bit may be changed by writing its whole register back, where the device has no mask write (function 22)."),
        ])

    static let range = ObjectShape(
        "range", "What values the device gives in ordinary work, in engineering units.",
        [Field(required: "min", .number, "The smallest value."), Field(required: "max", .number, "The largest value.")])

    static let apiVersion = "edge.indusedge.io/v1"

    /// 125 registers, the most that one request can read (Modbus Application Protocol 1.1b3, 6.3).
    static let stringLengthMax = 250

    static let byteOrders = ["bigEndian", "littleEndian"] + ByteOrder.common.map(\.rawValue)
}
