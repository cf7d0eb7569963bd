package import Telemetry

/// What is said about an asset at one time: a health assessment in the sense of ISO 13374-1.
package struct Assessment: Sendable, Hashable {
    /// The asset's state, from the health and from what is known; alert and alarm as in ISO 17359.
    package enum State: String, Sendable, CaseIterable {
        /// No tag has been watched for long enough yet.
        case learning
        /// Health of 80 and more.
        case normal
        /// Health below 80: look at it at leisure.
        case alert
        /// Health below 60: look at it now.
        case alarm
        /// No usable value came with the last batches: nothing is known.
        case noData
    }

    package var asset: String
    package var time: Timestamp
    /// 0 (grave) to 100 (as learned). While learning and without data: 100 and unknown; the state says so.
    package var health: Double
    package var state: State
    /// The tags that pull the health down, worst first, at most `contributionsMax`.
    package var contributions: [Contribution]

    package static let contributionsMax = 8
    /// Below this health the state is `alert`.
    package static let alertBelow = 80.0
    /// Below this health the state is `alarm`.
    package static let alarmBelow = 60.0

    /// The contributions in one line, for example `bearingTemperature +6.2 σ for 40 s, vibrationRMS +4.0 σ for 52 s`.
    package var reason: String { contributions.map(\.description).joined(separator: ", ") }
}

/// One tag's part in an asset's health.
package struct Contribution: Sendable, Hashable, CustomStringConvertible {
    package enum Direction: Int, Sendable {
        case below = -1
        case above = 1
    }

    /// The tag's name; with the device's name in front (`pump-1.flow`) where the asset has several devices.
    package var tag: String
    /// On which side of normal the tag is.
    package var direction: Direction
    /// How far the smoothed value is from its usual location, in σ, never negative.
    package var sigmas: Double
    /// When the evidence began to pile up.
    package var since: Timestamp
    /// Seconds since then.
    package var duration: Double
    /// 0 for none to 1 for grave.
    package var severity: Double

    /// For people, for example `bearingTemperature +6.2 σ for 40 s`.
    package var description: String {
        let size = sigmas < 1000 ? decimal(sigmas) : ">999"
        return "\(tag) \(direction == .above ? "+" : "-")\(size) σ for \(span(duration))"
    }
}

/// A number with one decimal, rounded.
private func decimal(_ value: Double) -> String {
    let tenths = Int((value * 10).rounded())
    return "\(tenths / 10).\(tenths % 10)"
}

/// A time span in the unit that suits it, from seconds to days.
private func span(_ seconds: Double) -> String {
    switch seconds {
    case ..<120: "\(Int(max(seconds, 0))) s"
    case ..<7200: "\(Int(seconds / 60)) min"
    case ..<172_800: "\(Int(seconds / 3600)) h"
    default: "\(Int(min(seconds / 86_400, 1e6))) d"
    }
}
