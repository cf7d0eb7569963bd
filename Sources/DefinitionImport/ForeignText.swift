/// The text of a file of another tool as UTF-8, whatever it was written in.
struct ForeignText {
    let utf8: [UInt8]
    /// What was taken the file for, where that is a guess or a conversion.
    let unusualEncoding: String?

    /// Throws when the bytes are no text.
    init(_ bytes: [UInt8]) throws(ImportError) {
        guard !bytes.isEmpty else { throw ImportError("the file is empty") }
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) {
            utf8 = try ForeignText.checked(Array(bytes.dropFirst(3)))
            unusualEncoding = nil
        } else if bytes.starts(with: [0xFF, 0xFE]) || bytes.starts(with: [0xFE, 0xFF]) {
            guard bytes.count % 2 == 0 else { throw ImportError("the file is UTF-16, but has an odd number of bytes: it is cut off") }
            let isLittle = bytes[0] == 0xFF
            var units: [UInt16] = []
            units.reserveCapacity(bytes.count / 2)
            for place in stride(from: 2, to: bytes.count, by: 2) {
                units.append(
                    isLittle ? UInt16(bytes[place + 1]) << 8 | UInt16(bytes[place]) : UInt16(bytes[place]) << 8 | UInt16(bytes[place + 1]))
            }
            guard let text = String(validating: units, as: UTF16.self) else { throw ImportError("the file is damaged UTF-16") }
            utf8 = try ForeignText.checked(Array(text.utf8))
            unusualEncoding = "the file is UTF-16"
        } else if String(validating: bytes, as: UTF8.self) != nil {
            utf8 = try ForeignText.checked(bytes)
            unusualEncoding = nil
        } else {
            let checked = try ForeignText.checked(bytes)
            var text = String.UnicodeScalarView()
            for byte in checked { text.append(Unicode.Scalar(byte)) }
            utf8 = Array(String(text).utf8)
            unusualEncoding = "the file is no UTF-8 and was taken for Latin-1; look at letters beyond ASCII"
        }
    }

    /// Text has no NUL and few control characters: what has them is a program, an archive or a spreadsheet.
    private static func checked(_ bytes: [UInt8]) throws(ImportError) -> [UInt8] {
        if let place = bytes.firstIndex(where: { $0 < 0x20 && $0 != 9 && $0 != 10 && $0 != 13 && $0 != 12 }) {
            let kind = bytes.starts(with: [0x50, 0x4B]) ? " (a ZIP archive or spreadsheet?)" : ""
            throw ImportError("the file is no text: byte \(place) is \(bytes[place])\(kind)")
        }
        guard bytes.contains(where: { $0 > 0x20 }) else { throw ImportError("the file is empty") }
        return bytes
    }
}
