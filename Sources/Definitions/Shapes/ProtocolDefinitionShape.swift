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
            Field(required: "type", .word(types, refused: byteTypes), "The type of the raw value."),
            Field("length", .integer(1...stringLengthMax), "Bytes of a string; strings only, and required for them."),
            Field("byteOrder", .word(byteOrders), "The byte order of this tag, where it differs."),
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
        ])

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

    /// Registers have 16 bits, so that a byte alone has no address.
    static let types = DataType.allCases.filter { $0 != .int8 && $0 != .uint8 }.map(\.name)

    private static let byteTypes = Dictionary(
        uniqueKeysWithValues: [DataType.int8, .uint8].map { type in
            (
                type.name,
                Refusal(
                    reason: "\(type.name) has no place in a Modbus register, which has 16 bits",
                    suggestion: "use \(type == .int8 ? "int16" : "uint16") for the whole register")
            )
        })

    static let byteOrders = ["bigEndian", "littleEndian"] + ByteOrder.allCases.map(\.rawValue)
}
