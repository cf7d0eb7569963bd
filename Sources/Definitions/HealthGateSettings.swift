/// When a change of the site document is taken back by itself.
package struct HealthGateSettings: Sendable, Equatable {
    /// How long after a change the gateway waits before it judges.
    package var within: Duration
    /// The largest part of the tags that were good before the change that may be lost by it, 0…1. 1 never takes anything back.
    package var goodTagsDropMax: Double

    package init(within: Duration = .seconds(60), goodTagsDropMax: Double = 0.1) {
        self.within = within
        self.goodTagsDropMax = goodTagsDropMax
    }

    /// The settings of a document's `healthGate`; `nil` where one of its values is wrong, which is reported already.
    init?(_ source: ObjectValue) {
        guard let within = source.duration("within"), let drop = source.text("goodTagsDropMax").flatMap(PercentageSyntax.share) else {
            return nil
        }
        self.init(within: within, goodTagsDropMax: drop)
    }
}

/// How shares are written: `10%`, `2.5 %`.
enum PercentageSyntax {
    static let pattern = "^[0-9]+(\\.[0-9]+)? ?%$"

    /// The share of `10%`, 0…1; `nil` if the text is none.
    static func share(_ text: String) -> Double? {
        guard text.last == "%" else { return nil }
        var digits = text.dropLast()
        if digits.last == " " { digits = digits.dropLast() }
        guard let first = digits.first, let last = digits.last, first.isASCII, first.isNumber, last.isNumber,
            digits.utf8.allSatisfy({ isASCIIDigit($0) || $0 == UInt8(ascii: ".") }), let number = Double(digits), number <= 100
        else { return nil }
        return number / 100
    }

    static let format = TextFormat("a percentage, 0% to 100%", pattern: pattern, lengthMax: 16, example: "10%") { share($0) != nil }
}

extension SiteShape {
    static let healthGate = ObjectShape(
        "healthGate", "When a change of this document is taken back by itself.",
        [
            Field(
                "within", .duration(.seconds(1)...(.seconds(3600))), default: "60s",
                "How long after a change the gateway waits before it judges."),
            Field(
                "goodTagsDropMax", .text(PercentageSyntax.format), default: "10%",
                "The largest part of the tags that were good before the change that may be lost by it; 100% never takes anything back."),
        ])
}
