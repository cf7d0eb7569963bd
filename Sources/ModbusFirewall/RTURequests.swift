package import ModbusProtocol

/// Finds requests among the bytes of a serial line on which others may speak too (Serial Line V1.02, 2.5.1): bytes in, requests out.
///
/// A request whose length its function tells ends with its last byte, every other frame with silence. Frames to units that are not ours are for,
/// or of, other devices on the line, and are left alone.
package struct RTURequests: Sendable {
    package enum Finding: Sendable, Equatable {
        case request(ModbusRTUFrame)
        /// Broken, or too long; a server does not answer that (Serial Line V1.02, 2.4.2).
        case malformed(String)
    }

    private let units: Set<UInt8>
    private var bytes: [UInt8] = []
    /// More came without a pause than a frame can have.
    private var isTooLong = false

    package init(units: Set<UInt8>) { self.units = units }

    package var isEmpty: Bool { bytes.isEmpty && !isTooLong }

    /// Takes what has come; a request, if these bytes end one.
    package mutating func take(_ more: some Collection<UInt8>) -> Finding? {
        if isTooLong || bytes.count + more.count > ModbusRTUFrame.bytesMax {
            bytes.removeAll()
            isTooLong = true
            return nil
        }
        bytes += more
        guard let unit = bytes.first, units.contains(unit), bytes.count == RTURequests.length(of: bytes),
            let frame = try? ModbusRTUFrame(bytes: bytes)
        else { return nil }
        bytes.removeAll()
        return .request(frame)
    }

    /// The line is silent: what has come so far is all there is of it.
    package mutating func silence() -> Finding? {
        defer {
            bytes.removeAll()
            isTooLong = false
        }
        if isTooLong { return .malformed("more than \(ModbusRTUFrame.bytesMax) bytes came without a pause") }
        guard !bytes.isEmpty else { return nil }
        do {
            let frame = try ModbusRTUFrame(bytes: bytes)
            return units.contains(frame.unit) ? .request(frame) : nil
        } catch {
            return .malformed("\(error)")
        }
    }

    /// How many bytes a request has in all, its CRC included; `nil` where that cannot be told (yet). V1.1b3, clause 6.
    static func length(of bytes: [UInt8]) -> Int? {
        guard bytes.count >= 2 else { return nil }
        switch bytes[1] {
        case 1...6: return 8
        case 15, 16: return bytes.count > 6 ? 9 + Int(bytes[6]) : nil
        case 22: return 10
        case 23: return bytes.count > 10 ? 13 + Int(bytes[10]) : nil
        case 43: return 7
        default: return nil
        }
    }
}
