/// Makes names of other tools valid here, and each different from those before.
struct UniqueNames {
    private var taken: Set<String> = []
    /// The number that was last put behind a name.
    private var numbers: [String: Int] = [:]

    /// A tag's name: letters, digits, `_`, `-`, `.` and `/`.
    mutating func tag(_ text: String) -> String { unique(UniqueNames.valid(text, extra: "_-./", lengthMax: 118, otherwise: "tag")) }

    /// A device's or definition's name: letters, digits, `_` and `-`; never `site`, which is what the file of the site document is called.
    mutating func device(_ text: String) -> String {
        let name = UniqueNames.valid(text, extra: "_-", lengthMax: 56, otherwise: "device")
        return unique(name == "site" ? "site-device" : name)
    }

    private mutating func unique(_ name: String) -> String {
        var result = name
        while !taken.insert(result).inserted {
            let number = (numbers[name] ?? 1) + 1
            numbers[name] = number
            result = "\(name)-\(number)"
        }
        return result
    }

    private static func valid(_ text: String, extra: String, lengthMax: Int, otherwise: String) -> String {
        var result: [UInt8] = []
        for scalar in text.unicodeScalars where result.count < lengthMax {
            let byte = scalar.isASCII ? UInt8(scalar.value) : 0
            if byte.isLetter || byte.isDigit || extra.utf8.contains(byte) {
                result.append(byte)
            } else if result.last != UInt8(ascii: "_") {
                result.append(UInt8(ascii: "_"))
            }
        }
        let name = result.drop { !$0.isLetter && !$0.isDigit }
        return name.isEmpty ? otherwise : String(decoding: name, as: UTF8.self)
    }
}
