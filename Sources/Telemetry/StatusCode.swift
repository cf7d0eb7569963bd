/// The quality of a value: an OPC UA status code (OPC 10000-4, 7.39; values in OPC 10000-6, annex A.2).
///
/// The two top bits are the severity: 00 Good, 01 Uncertain, 10 Bad.
package struct StatusCode: RawRepresentable, Sendable, Hashable, Codable {
    package var rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    package var isGood: Bool { rawValue >> 30 == 0 }
    package var isUncertain: Bool { rawValue >> 30 == 1 }
    package var isBad: Bool { rawValue >> 30 >= 2 }

    package static let good = StatusCode(rawValue: 0)
    package static let uncertain = StatusCode(rawValue: 0x4000_0000)
    package static let uncertainLastUsableValue = StatusCode(rawValue: 0x4090_0000)
    package static let uncertainEngineeringUnitsExceeded = StatusCode(rawValue: 0x4094_0000)
    package static let uncertainDataSubNormal = StatusCode(rawValue: 0x40A4_0000)
    package static let bad = StatusCode(rawValue: 0x8000_0000)
    package static let badUnexpectedError = StatusCode(rawValue: 0x8001_0000)
    package static let badInternalError = StatusCode(rawValue: 0x8002_0000)
    package static let badResourceUnavailable = StatusCode(rawValue: 0x8004_0000)
    package static let badCommunicationError = StatusCode(rawValue: 0x8005_0000)
    package static let badDecodingError = StatusCode(rawValue: 0x8007_0000)
    package static let badTimeout = StatusCode(rawValue: 0x800A_0000)
    package static let badServiceUnsupported = StatusCode(rawValue: 0x800B_0000)
    package static let badNodeIdUnknown = StatusCode(rawValue: 0x8034_0000)
    package static let badNotReadable = StatusCode(rawValue: 0x803A_0000)
    package static let badOutOfRange = StatusCode(rawValue: 0x803C_0000)
    package static let badNotConnected = StatusCode(rawValue: 0x808A_0000)
    package static let badDeviceFailure = StatusCode(rawValue: 0x808B_0000)
    package static let badSensorFailure = StatusCode(rawValue: 0x808C_0000)
    package static let badWaitingForInitialData = StatusCode(rawValue: 0x8032_0000)
    package static let badNoCommunication = StatusCode(rawValue: 0x8031_0000)
    package static let badNoData = StatusCode(rawValue: 0x809B_0000)
    package static let badInvalidArgument = StatusCode(rawValue: 0x80AB_0000)

    private static let names: [(StatusCode, String)] = [
        (.good, "Good"), (.uncertain, "Uncertain"), (.uncertainLastUsableValue, "UncertainLastUsableValue"),
        (.uncertainEngineeringUnitsExceeded, "UncertainEngineeringUnitsExceeded"),
        (.uncertainDataSubNormal, "UncertainDataSubNormal"), (.bad, "Bad"), (.badNoData, "BadNoData"),
        (.badUnexpectedError, "BadUnexpectedError"), (.badInternalError, "BadInternalError"),
        (.badResourceUnavailable, "BadResourceUnavailable"), (.badCommunicationError, "BadCommunicationError"),
        (.badDecodingError, "BadDecodingError"), (.badTimeout, "BadTimeout"), (.badServiceUnsupported, "BadServiceUnsupported"),
        (.badNodeIdUnknown, "BadNodeIdUnknown"), (.badNotReadable, "BadNotReadable"), (.badOutOfRange, "BadOutOfRange"),
        (.badNotConnected, "BadNotConnected"), (.badDeviceFailure, "BadDeviceFailure"), (.badSensorFailure, "BadSensorFailure"),
        (.badWaitingForInitialData, "BadWaitingForInitialData"), (.badNoCommunication, "BadNoCommunication"),
        (.badInvalidArgument, "BadInvalidArgument"),
    ]
}

extension StatusCode: CustomStringConvertible {
    /// The standard's symbolic name, or the severity and the number for a code not listed here.
    package var description: String {
        if let known = StatusCode.names.first(where: { $0.0 == self }) { return known.1 }
        let severity = isGood ? "Good" : isUncertain ? "Uncertain" : "Bad"
        return "\(severity)(0x\(String(rawValue, radix: 16, uppercase: true)))"
    }
}

extension StatusCode {
    /// Reads what `description` writes; `nil` for anything else.
    package init?(_ description: some StringProtocol) {
        if let known = StatusCode.names.first(where: { $0.1 == description }) {
            self = known.0
            return
        }
        guard let open = description.firstIndex(of: "("), description.last == ")",
            let number = UInt32(description[open...].dropFirst(3).dropLast(), radix: 16), description[open...].hasPrefix("(0x"),
            StatusCode(rawValue: number).description == description
        else { return nil }
        self.init(rawValue: number)
    }
}
