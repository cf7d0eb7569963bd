package import GatewayCore

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

    package init(_ endpoint: ModbusEndpoint) {
        switch endpoint {
        case .rtu(_, let baudRate, let parity, let dataBits, let stopBits):
            // Address, function, start, quantity, CRC; address, function, byte count, CRC (MODBUS over Serial Line 1.02, 2.5.1).
            requestBytes = 8
            answerBytes = 5
            let bits = 1 + dataBits + (parity == .none ? 0 : 1) + stopBits
            let byteSeconds = Double(bits) / Double(max(1, baudRate))
            // Frames are 3.5 characters apart, from 19,200 baud on a fixed 1.75 ms (2.5.1.1).
            let silence = baudRate > 19_200 ? 1.75e-3 : 3.5 * byteSeconds
            model = LineCostModel(
                requestSeconds: Double(requestBytes + answerBytes) * byteSeconds + 2 * silence + ModbusWire.serialTurnaroundSeconds,
                byteSeconds: byteSeconds)
        default:
            // MBAP header, function, start, quantity; MBAP header, function, byte count (MODBUS Messaging on TCP/IP 1.0b, 3.1.3).
            requestBytes = 12
            answerBytes = 9
            model = LineCostModel(requestSeconds: ModbusWire.networkTurnaroundSeconds, byteSeconds: ModbusWire.networkByteSeconds)
        }
    }

    /// Bytes of some requests and their answers together.
    package func bytes(of requests: [ReadRequest]) -> Int {
        requests.reduce(0) { $0 + requestBytes + answerBytes + ($1.area <= 2 ? ($1.count + 7) / 8 : 2 * $1.count) }
    }
}
