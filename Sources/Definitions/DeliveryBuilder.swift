/// Makes the delivery settings of a route.
struct DeliveryBuilder {
    let file: String
    private(set) var diagnostics: [Diagnostic] = []

    init(file: String) { self.file = file }

    /// `nil` where something is wrong that was reported already.
    mutating func build(_ source: ObjectValue) -> DeliverySettings? {
        guard let share = source.integer("backlogShare"), let liveWithin = source.duration("liveWithin") else { return nil }
        let alarmGroups = source.list("alarmGroups").compactMap { element -> String? in
            guard case .text(let name) = element.value else { return nil }
            return name
        }
        let rate = source.size("rateLimit").map { Int($0) }
        let backlog = source.size("backlogRate").map { Int($0) }
        if let rate, let backlog, backlog > rate {
            diagnostics.append(
                Diagnostic(
                    .warning, file: file, at: source.position(of: "backlogRate"), path: source.path.key("backlogRate").description,
                    "backlogRate is more than rateLimit, which holds", value: "\(backlog)", allowed: "at most \(rate)"))
        }
        return DeliverySettings(
            rateLimit: rate, backlogRate: backlog, backlogShare: share, quietHours: source.object("quietHours").flatMap { quietHours($0) },
            dailyLimit: source.size("dailyLimit").map { Int($0) }, liveWithin: liveWithin, alarmGroups: alarmGroups)
    }

    private mutating func quietHours(_ source: ObjectValue) -> QuietHoursSettings? {
        guard let start = source.text("from").flatMap({ TextFormat.minutes(ofTime: $0) }),
            let end = source.text("to").flatMap({ TextFormat.minutes(ofTime: $0) }),
            let allows = source.text("allow").flatMap(QuietHoursSettings.Allowance.init(rawValue:))
        else { return nil }
        guard start != end else {
            diagnostics.append(
                Diagnostic(
                    .error, file: file, at: source.position(of: "to"), path: source.path.key("to").description,
                    "the quiet hours end when they begin", value: source.text("to"),
                    suggestion: "leave quietHours out, or choose another end"))
            return nil
        }
        return QuietHoursSettings(start: start, end: end, allows: allows)
    }
}
