/// How long VictoriaMetrics keeps samples, from the text of its flag.
enum VictoriaMetricsRetention {
    /// Hours (`h`), days (`d`), weeks (`w`), years of 365 days (`y`), and without a letter months of 31 days; `nil` for anything else.
    ///
    /// Source: VictoriaMetrics documentation, "Retention".
    static func duration(of text: String) -> Duration? {
        let hours: Double =
            switch text.last {
            case "h": 1
            case "d": 24
            case "w": 7 * 24
            case "y": 365 * 24
            default: 31 * 24
            }
        let digits = text.last?.isLetter == true ? text.dropLast() : text[...]
        // Beyond what a timestamp of 64 bits can be away from another, all is kept.
        guard let count = Double(digits), count > 0, count.isFinite, "hdwy0123456789.".contains(text.last ?? "x") else { return nil }
        return .seconds(min(count * hours * 3600, 9e9))
    }
}
