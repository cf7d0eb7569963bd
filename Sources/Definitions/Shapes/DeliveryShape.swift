/// The keys of a route's `delivery`.
enum DeliveryShape {
    private static let rates: ClosedRange<Int64> = 128...64 * 1_073_741_824

    static let delivery = ObjectShape(
        "delivery", "How much a route may send, and when. Without it a route sends as fast as the broker takes it.",
        [
            Field("rateLimit", .size(rates), "Bytes of payload per second, at most."),
            Field("backlogRate", .size(rates), "Bytes of payload per second that what has piled up takes of it, at most."),
            Field(
                "backlogShare", .integer(1...100), default: "50",
                "The share of the messages and bytes in flight that what has piled up fills at most, in percent."),
            Field("quietHours", .object(quietHours), "A part of each day in which the route holds back."),
            Field(
                "dailyLimit", .size(1024...64 * 1_099_511_627_776),
                "Bytes of payload per day (UTC) on a link that costs by volume; what has piled up takes at most half of them."),
            Field(
                "liveWithin", .duration(.milliseconds(100)...(.seconds(3600))), default: "10s",
                "How old data may be and still count as fresh; what is older follows as what has piled up, beside the fresh data."),
            Field(
                "alarmGroups", .list(.text(.name), count: 1...64),
                "Scan groups whose data goes before other data, as the health of assets and the alarms of the gateway do."),
        ])

    static let quietHours = ObjectShape(
        "quiet hours", "A part of each day in which a route holds back.",
        [
            Field(required: "from", .text(.timeOfDay), "The time of day in UTC at which they begin."),
            Field(
                required: "to", .text(.timeOfDay), "The time of day in UTC at which they end; an earlier one than from is on the next day."),
            Field(
                "allow", .word(QuietHoursSettings.Allowance.allCases.map(\.rawValue)), default: "live",
                "What is sent all the same: live data, or nothing. The log keeps the rest."),
        ])
}

extension TextFormat {
    /// In quotes, as YAML may take 22:00 for something else.
    static let timeOfDay = TextFormat(
        "a time of day \"HH:MM\"", pattern: "^([01][0-9]|2[0-3]):[0-5][0-9]$", lengthMax: 5, example: "22:00"
    ) { minutes(ofTime: $0) != nil }

    /// Minutes since midnight.
    static func minutes(ofTime text: some StringProtocol) -> Int? {
        let digits = Array(text.utf8)
        guard digits.count == 5, digits[2] == UInt8(ascii: ":") else { return nil }
        let numbers = [0, 1, 3, 4].map { Int(digits[$0]) - 48 }
        guard numbers.allSatisfy({ (0...9).contains($0) }) else { return nil }
        let (hours, minutes) = (numbers[0] * 10 + numbers[1], numbers[2] * 10 + numbers[3])
        return hours < 24 && minutes < 60 ? hours * 60 + minutes : nil
    }
}
