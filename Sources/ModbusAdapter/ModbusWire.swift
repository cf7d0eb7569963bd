package import GatewayCore
internal import Telemetry

/// What requests look like on a transport, in bytes and in seconds: what can be said of a line before it was measured.
package struct ModbusWire: Sendable, Equatable {
    /// Bytes of a read request.
    package var requestBytes: Int
    /// Bytes of an answer apart from its data.
    package var answerBytes: Int
    /// What a request is expected to cost.
    package var model: LineCostModel

    /// A device's answer is expected this long after a request over a network: a switched network and a small controller.
    package static let networkTurnaroundSeconds = 1e-3
    /// What a byte takes on a network of 100 Mbit/s.
    static let networkByteSeconds = 8e-8
    /// A device on a serial line is expected to begin its answer this long after a request.
    package static let serialTurnaroundSeconds = 10e-3

    /// A serial server does not say how fast its line is: the default of the standard is expected (Serial Line 1.02, 3.2).
    static let presumedBaudRate = 19_200

    package init(_ endpoint: ModbusEndpoint) {
        switch endpoint {
        case .tcp, .tls, .udp:
            // MBAP header, function, start, quantity; MBAP header, function, byte count (MODBUS Messaging on TCP/IP 1.0b, 3.1.3).
            self.init(
                requestBytes: 12, answerBytes: 9,
                model: LineCostModel(requestSeconds: ModbusWire.networkTurnaroundSeconds, byteSeconds: ModbusWire.networkByteSeconds))
        case .rtuOverTCP: self.init(serialServer: false)
        case .asciiOverTCP: self.init(serialServer: true)
        case .serial(let settings): self.init(settings, networkSeconds: 0)
        }
    }

    private init(requestBytes: Int, answerBytes: Int, model: LineCostModel) {
        self.requestBytes = requestBytes
        self.answerBytes = answerBytes
        self.model = model
    }

    private init(serialServer isASCII: Bool) {
        let settings = SerialLineSettings(
            path: "", isASCII: isASCII, baudRate: ModbusWire.presumedBaudRate, parity: .even, dataBits: 8, stopBits: 1)
        self.init(settings, networkSeconds: ModbusWire.networkTurnaroundSeconds)
    }

    private init(_ settings: SerialLineSettings, networkSeconds: Double) {
        let characterSeconds = settings.characterTime.inSeconds
        // RTU: address, function, start, quantity, CRC; address, function, byte count, CRC (Serial Line 1.02, 2.5.1). ASCII writes each byte
        // as two characters, with a colon, one byte of LRC and CR LF (2.5.2).
        requestBytes = settings.isASCII ? 17 : 8
        answerBytes = settings.isASCII ? 11 : 5
        let silence = settings.isASCII ? 0 : settings.frameSilence.inSeconds
        model = LineCostModel(
            requestSeconds: Double(requestBytes + answerBytes) * characterSeconds + 2 * silence + settings.pause.inSeconds
                + ModbusWire.serialTurnaroundSeconds + networkSeconds, byteSeconds: characterSeconds * (settings.isASCII ? 2 : 1))
    }

    /// Bytes of some requests and their answers together.
    package func bytes(of requests: [ReadRequest]) -> Int {
        requests.reduce(0) { $0 + requestBytes + answerBytes + ($1.area <= 2 ? ($1.count + 7) / 8 : 2 * $1.count) }
    }
}
