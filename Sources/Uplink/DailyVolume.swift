internal import Telemetry

/// What a route sent on one day, in bytes of payload.
struct DailyVolume: Sendable, Hashable {
    /// The day since 1970 in UTC.
    var day: Int64
    var bytes = 0
    /// The part of it that had piled up.
    var backlogBytes = 0
}

/// Keeps the volume of the day over restarts, so that a program that starts again and again does not spend the limit each time.
///
/// What is written is ahead of what was sent: after a crash the count is too high by one step at most, and never too low.
struct DailyVolumeFile: Sendable {
    private let file: StateFile
    /// How far ahead; a day's limit takes so many writes.
    private let step: Int
    private static let stepsPerDay = 256
    private var kept: DailyVolume?

    /// - Parameter limit: the bytes of a day.
    init(folder: String, route: String, limit: Int) {
        file = StateFile(folder: folder, name: "\(route).volume")
        step = max(1, limit / Self.stepsPerDay)
    }

    /// What was sent on the last day that anything was; `nil` if nothing is known of it.
    func load() -> DailyVolume? {
        let words = file.load()?.split(separator: " ") ?? []
        guard words.count == 3, let day = Int64(words[0]), let bytes = Int(words[1]), let backlog = Int(words[2]), bytes >= 0, backlog >= 0
        else { return nil }
        return DailyVolume(day: day, bytes: bytes, backlogBytes: backlog)
    }

    /// Something was sent. Writes where it has to; throws a `GatewayError` when that cannot be.
    mutating func keep(_ volume: DailyVolume) throws(GatewayError) {
        if let kept, kept.day == volume.day, volume.bytes <= kept.bytes, volume.backlogBytes <= kept.backlogBytes { return }
        // Even when it fails: a full disk is not asked again for each message.
        let ahead = DailyVolume(
            day: volume.day, bytes: volume.bytes + step, backlogBytes: volume.backlogBytes > 0 ? volume.backlogBytes + step : 0)
        kept = ahead
        try write(ahead)
    }

    /// The route ends in order: what was really sent.
    mutating func settle(_ volume: DailyVolume) throws(GatewayError) {
        guard kept != nil, kept != volume else { return }
        kept = volume
        try write(volume)
    }

    private func write(_ volume: DailyVolume) throws(GatewayError) { try file.save("\(volume.day) \(volume.bytes) \(volume.backlogBytes)") }
}
