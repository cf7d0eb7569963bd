/// The Unified Code for Units of Measure, case-sensitive, as far as machines need it.
///
/// Terms of units with metric prefixes and exponents, joined by `.` and `/`, with integers, parentheses and `{annotations}`.
/// Source: G. Schadow, C. J. McDonald, "The Unified Code for Units of Measure", 2.1, section 2 (grammar) and tables 1 to 14 (units).
package enum UCUM {
    struct Problem: Equatable {
        var message: String
        var suggestion: String?
    }

    /// What is wrong with a unit; `nil` if it is valid.
    static func problem(in unit: String) -> Problem? {
        if let meant = misleading[unit] {
            return Problem(message: "'\(unit)' is \(meant.reading) in UCUM, which is hardly meant", suggestion: "write '\(meant.unit)'")
        }
        var parser = UnitParser(unit)
        guard let wrong = parser.parse() else { return nil }
        if let usual = usualSpellings[unit.lowercased()] {
            return Problem(message: "'\(unit)' is not a UCUM unit", suggestion: "write '\(usual)'")
        }
        switch wrong {
        case .unknown(let name):
            let near = usualSpellings[name.lowercased()] ?? nearestUnit(to: name)
            let message = name == unit ? "'\(unit)' is not a UCUM unit" : "'\(name)' in '\(unit)' is not a UCUM unit"
            return Problem(message: message, suggestion: near.map { "did you mean '\($0)'?" })
        case .syntax(let message):
            return Problem(
                message: "'\(unit)' is not a UCUM unit: \(message)", suggestion: "for example Cel, bar, mm/s, m3/h, 1/min, kW.h, %")
        }
    }

    /// The unit that people mean by a text: the text itself where it is one, else what its usual spelling stands for; `nil` for others.
    package static func unit(meantBy text: String) -> String? {
        problem(in: text) == nil ? text : misleading[text]?.unit ?? usualSpellings[text.lowercased()]
    }

    /// Valid units that are far more often another one misspelt.
    private static let misleading: [String: (reading: String, unit: String)] = [
        "ft": ("a femtotonne", "[ft_i]"), "pH": ("a picohenry", "[pH]"),
    ]

    /// Units that people write, in lower case, and what UCUM calls them.
    private static let usualSpellings: [String: String] = [
        "degc": "Cel", "°c": "Cel", "celsius": "Cel", "deg_c": "Cel", "degf": "[degF]", "°f": "[degF]", "fahrenheit": "[degF]",
        "kelvin": "K",
        "rpm": "1/min", "u/min": "1/min", "min-1": "1/min", "1/rpm": "1/min", "cpm": "1/min", "sec": "s", "seconds": "s", "second": "s",
        "mins": "min", "minutes": "min", "minute": "min", "hr": "h", "hrs": "h", "hour": "h", "hours": "h", "day": "d", "days": "d",
        "kwh": "kW.h", "wh": "W.h", "mwh": "MW.h", "gwh": "GW.h", "kvarh": "kV.A.h{reactive}", "kvah": "kV.A.h", "ah": "A.h", "va": "V.A",
        "kva": "kV.A", "mva": "MV.A", "var": "V.A{reactive}", "kvar": "kV.A{reactive}", "nm": "N.m", "psi": "[psi]", "psig": "[psi]{gauge}",
        "psia": "[psi]{absolute}", "barg": "bar{gauge}", "bara": "bar{absolute}", "percent": "%", "pct": "%", "ppm": "[ppm]",
        "ppb": "[ppb]",
        "ph": "[pH]", "hp": "[HP]", "inch": "[in_i]", "inches": "[in_i]", "feet": "[ft_i]", "foot": "[ft_i]", "ft": "[ft_i]",
        "lb": "[lb_av]",
        "lbs": "[lb_av]", "gal": "[gal_us]", "gpm": "[gal_us]/min", "lpm": "L/min", "cfm": "[cft_i]/min", "cmh": "m3/h",
        "slpm": "L/min{standard}",
        "m³": "m3", "m³/h": "m3/h", "m^3": "m3", "m^3/h": "m3/h", "m²": "m2", "m/s²": "m/s2", "mmhg": "mm[Hg]", "mmh2o": "mm[H2O]",
        "inh2o": "[in_i'H2O]", "inhg": "[in_i'Hg]", "ω": "Ohm", "kω": "kOhm", "ohms": "Ohm", "°": "deg", "degrees": "deg", "µm": "um",
        "μm": "um",
        "µs": "us", "μs": "us", "µs/cm": "uS/cm", "μs/cm": "uS/cm", "volt": "V", "volts": "V", "amp": "A", "amps": "A", "ampere": "A",
        "watt": "W",
        "watts": "W", "hertz": "Hz", "litre": "L", "liter": "L", "litres": "L", "liters": "L", "tonne": "t", "tonnes": "t", "ton": "t",
        "gram": "g", "metre": "m", "meter": "m", "pascal": "Pa", "mbars": "mbar", "pcs": "{piece}", "pieces": "{piece}", "count": "{count}",
        "counts": "{count}",
    ]

    private static func nearestUnit(to name: String) -> String? {
        if let exact = UCUMAtoms.all.keys.filter({ $0.lowercased() == name.lowercased() }).min() { return exact }
        // A distance of 1 means nothing among units of two letters.
        guard name.utf8.count >= 3 else { return nil }
        return nearestName(to: name, among: UCUMAtoms.all.keys.filter { $0.utf8.count >= 3 }.sorted())
    }
}

/// A recursive descent over the grammar of section 2 of the code, one character of lookahead.
private struct UnitParser {
    enum Wrong: Error, Equatable {
        case unknown(String)
        case syntax(String)
    }

    private static let depthMax = 8
    private let text: [UInt8]
    private var index = 0

    init(_ unit: String) { text = Array(unit.utf8) }

    mutating func parse() -> Wrong? {
        guard !text.isEmpty else { return .syntax("it is empty") }
        do throws(Wrong) {
            if peek == UInt8(ascii: "/") { index += 1 }
            try term(depth: 0)
            return index == text.count ? nil : .syntax("unexpected '\(String(decoding: text[index...], as: UTF8.self))'")
        } catch {
            return error
        }
    }

    private var peek: UInt8? { index < text.count ? text[index] : nil }

    private mutating func term(depth: Int) throws(Wrong) {
        guard depth <= UnitParser.depthMax else { throw .syntax("parentheses are nested more than \(UnitParser.depthMax) deep") }
        try component(depth: depth)
        while peek == UInt8(ascii: ".") || peek == UInt8(ascii: "/") {
            index += 1
            try component(depth: depth)
        }
    }

    private mutating func component(depth: Int) throws(Wrong) {
        guard let first = peek else { throw .syntax("a unit is missing at the end") }
        if first == UInt8(ascii: "(") {
            index += 1
            try term(depth: depth + 1)
            guard peek == UInt8(ascii: ")") else { throw .syntax("')' is missing") }
            index += 1
        } else if first == UInt8(ascii: "{") {
            try annotation()
        } else if isASCIIDigit(first), !atomBeginsHere() {
            while let byte = peek, isASCIIDigit(byte) { index += 1 }
            if peek == UInt8(ascii: "{") { try annotation() }
        } else {
            try simpleUnit()
            exponent()
            if peek == UInt8(ascii: "{") { try annotation() }
        }
    }

    /// `10*` and `10^` are units, other digits are numbers.
    private func atomBeginsHere() -> Bool {
        text[index...].starts(with: "10*".utf8) || text[index...].starts(with: "10^".utf8)
    }

    private mutating func annotation() throws(Wrong) {
        guard let end = text[index...].firstIndex(of: UInt8(ascii: "}")), text[index..<end].allSatisfy({ $0 >= 33 && $0 < 127 }),
            !text[(index + 1)..<end].contains(UInt8(ascii: "{"))
        else { throw .syntax("an annotation is '{', ASCII letters without spaces, '}'") }
        index = end + 1
    }

    private mutating func exponent() {
        let start = index
        if peek == UInt8(ascii: "+") || peek == UInt8(ascii: "-") { index += 1 }
        let digits = index
        while let byte = peek, isASCIIDigit(byte) { index += 1 }
        if index == digits { index = start }
    }

    private mutating func simpleUnit() throws(Wrong) {
        if atomBeginsHere() {
            index += 3
            return
        }
        let start = index
        var isBracketed = false
        while let byte = peek {
            if byte == UInt8(ascii: "[") { isBracketed = true }
            if !isBracketed, isASCIIDigit(byte) || "./(){}+-".utf8.contains(byte) { break }
            index += 1
            if byte == UInt8(ascii: "]") { isBracketed = false }
        }
        let name = String(decoding: text[start..<index], as: UTF8.self)
        guard !name.isEmpty else { throw .syntax("a unit is missing before '\(String(decoding: text[index...], as: UTF8.self))'") }
        guard UCUMAtoms.isUnit(name) else { throw .unknown(name) }
    }
}
