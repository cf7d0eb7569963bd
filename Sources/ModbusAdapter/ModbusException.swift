internal import Telemetry

/// An exception code of a Modbus device (7 MODBUS Exception Responses), and what it says about the tags that were asked for.
struct ModbusException: CustomStringConvertible, Equatable {
    let code: UInt8

    init(_ code: UInt8) { self.code = code }

    var status: StatusCode {
        switch code {
        case 0x01: .badServiceUnsupported
        case 0x02: .badNodeIdUnknown
        case 0x03: .badOutOfRange
        case 0x04: .badDeviceFailure
        case 0x05, 0x06: .badResourceUnavailable
        case 0x08: .badDeviceFailure
        case 0x0A: .badNoCommunication
        case 0x0B: .badNoCommunication
        default: .badUnexpectedError
        }
    }

    var description: String {
        let number = "exception \(code < 16 ? "0" : "")\(String(code, radix: 16, uppercase: true))"
        let meaning: String =
            switch code {
            case 0x01: "the device does not know this function"
            case 0x02: "the device has no such address"
            case 0x03: "the device does not accept this range"
            case 0x04: "the device has failed"
            case 0x05: "the device needs longer"
            case 0x06: "the device is busy"
            case 0x08: "the device found a parity error in its memory"
            case 0x0A: "the Modbus gateway has no path to the device"
            case 0x0B: "the device behind the Modbus gateway does not answer"
            default: "not defined by the standard"
            }
        return "\(number), \(meaning)"
    }
}
