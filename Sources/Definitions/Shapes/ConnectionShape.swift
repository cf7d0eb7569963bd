/// The tables of `connection` in a device.
extension SiteShape {
    static let connection = ObjectShape(
        "connection", "How the device is reached; exactly one of them.", isChoice: true,
        [
            Field("modbusTCP", .object(modbusTCP), "Modbus over TCP."),
            Field("modbusTLS", .object(modbusTLS), "Modbus/TCP Security: TLS with certificates on both sides."),
            Field("modbusUDP", .object(modbusUDP), "The frames of Modbus over TCP as datagrams."),
            Field("modbusRTU", .object(modbusRTU), "Modbus RTU over a serial line."),
            Field("modbusASCII", .object(modbusASCII), "Modbus ASCII over a serial line."),
            Field("modbusRTUoverTCP", .object(modbusRTUoverTCP), "Modbus RTU through a serial server."),
            Field("modbusASCIIoverTCP", .object(modbusASCIIoverTCP), "Modbus ASCII through a serial server."),
        ])

    static let modbusTCP = ObjectShape("modbusTCP", "Modbus over TCP.", network(defaultPort: "502"))

    static let modbusUDP = ObjectShape("modbusUDP", "Modbus over UDP.", network(defaultPort: "502"))

    static let modbusTLS = ObjectShape(
        "modbusTLS", "Modbus/TCP Security. Files in PEM, relative to this file.",
        network(defaultPort: "802") + [
            Field(required: "ca", .text(.filePath("identity/ca.crt")), "The certificate authorities that the device is checked against."),
            Field(required: "certificate", .text(.filePath("identity/gateway.crt")), "The gateway's certificate."),
            Field(required: "key", .text(.filePath("identity/gateway.key")), "The gateway's private key."),
            Field("minimumVersion", .word(["1.2", "1.3"]), default: "1.3", "The oldest TLS version that is accepted."),
            Field(
                "role", .text(.prose),
                "The role that the gateway's certificate must carry (1.3.6.1.4.1.50316.802.1); not looked at where none is given."),
        ])

    static let modbusRTUoverTCP = ObjectShape(
        "modbusRTUoverTCP", "Modbus RTU through a serial server that passes bytes on as they are.", serialServer)

    static let modbusASCIIoverTCP = ObjectShape(
        "modbusASCIIoverTCP", "Modbus ASCII through a serial server that passes bytes on as they are.", serialServer)

    static let modbusRTU = ObjectShape(
        "modbusRTU", "Modbus over a serial line (RS-485, RS-232).",
        serialLine(dataBits: Field("dataBits", .integer(7...8), default: "8", "Data bits; RTU wants 8.")))

    static let modbusASCII = ObjectShape(
        "modbusASCII", "Modbus ASCII over a serial line (RS-485, RS-232).",
        serialLine(dataBits: Field("dataBits", .integer(7...8), default: "7", "Data bits; the standard's are 7.")))

    private static func network(defaultPort: String) -> [Field] {
        [
            Field(required: "host", .text(.hostName), "Host name or IP address."),
            Field("port", .integer(1...65_535), default: defaultPort, "The port."),
            Field("unit", .integer(0...255), default: "1", "The unit identifier; matters behind gateways to serial lines."),
        ]
    }

    private static let serialServer = [
        Field(required: "host", .text(.hostName), "Host name or IP address of the serial server."),
        Field(required: "port", .integer(1...65_535), "The TCP port that stands for the serial line."),
        Field("unit", .integer(1...247), default: "1", "The server address."),
        turnaroundDelay,
    ]

    private static let turnaroundDelay = Field(
        "turnaroundDelay", .duration(.zero...(.seconds(1))), default: "0ms",
        "The least pause between an answer and the next request, for devices to which the standard's 3.5 characters are not enough.")

    private static func serialLine(dataBits: Field) -> [Field] {
        [
            Field(required: "port", .text(.filePath("/dev/ttyS0")), "The serial device."),
            Field("baudRate", .integer(300...4_000_000), default: "19200", "Bits per second."),
            Field("parity", .word(ModbusRTUConnection.Parity.allCases.map(\.rawValue)), default: "even", "The parity bit."),
            dataBits,
            Field("stopBits", .integer(1...2), default: "1", "Stop bits; with parity none, devices that follow the standard want 2."),
            Field("unit", .integer(1...247), default: "1", "The server address."),
            Field(
                "rs485", .word(ModbusRTUConnection.Direction.allCases.map(\.rawValue)), default: "automatic",
                "Who switches the transmitter: automatic, the adapter by itself (also RS-232); kernel, its driver; rtsHigh and rtsLow, the "
                    + "gateway, which sets RTS high or low while it sends."),
            Field(
                "rtsDelay", .duration(.zero...(.milliseconds(100))), default: "0ms",
                "With rtsHigh and rtsLow: how long RTS is set before and after a request."),
            turnaroundDelay,
            Field(
                "interCharacterTime", .duration(.milliseconds(1)...(.seconds(1))),
                "An answer in which bytes pause for longer is broken off; responseTimeout alone ends it where none is given."),
        ]
    }
}
