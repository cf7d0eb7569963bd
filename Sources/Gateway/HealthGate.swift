package import Definitions
package import GatewayCore
internal import Telemetry

/// Which tags the gateway reads, and which of them are good.
package struct TagQuality: Sendable, Equatable {
    package struct Device: Sendable, Equatable {
        package var all: Set<String>
        /// A part of `all`.
        package var good: Set<String>

        package init(all: Set<String>, good: Set<String>) {
            self.all = all
            self.good = good
        }
    }

    /// By the names of the devices.
    package var devices: [String: Device]

    package init(devices: [String: Device]) { self.devices = devices }
}

/// Judges a change by the tags that were good before it.
///
/// Tags that the change removed do not count, and tags that it added count only as new. What counts is how many were good right before the
/// change, and how many are when the time is over: devices that the change started anew have so long to come back.
package struct HealthGate: Sendable {
    package enum Verdict: Sendable, Equatable {
        /// With what is worth knowing of new tags; empty if nothing is.
        case accepted(remarks: [String])
        case refused(reason: String)
    }

    package let settings: HealthGateSettings
    package let before: TagQuality
    /// When the gate judges.
    package let deadline: MonotonicInstant

    package init(settings: HealthGateSettings, before: TagQuality, appliedAt now: MonotonicInstant) {
        self.settings = settings
        self.before = before
        deadline = now.advanced(by: settings.within)
    }

    /// The verdict on what the tags are `now`; `nil` before the time is over.
    package func verdict(on after: TagQuality, at now: MonotonicInstant) -> Verdict? {
        guard now >= deadline else { return nil }
        var goodBefore = 0
        var goodAfter = 0
        var losers: [(device: String, lost: Int, of: Int)] = []
        var remarks: [String] = []
        for (name, device) in after.devices.sorted(by: { $0.key < $1.key }) {
            let old = before.devices[name]
            let common = old?.all.intersection(device.all) ?? []
            let was = old?.good.intersection(common).count ?? 0
            let isNow = device.good.intersection(common).count
            goodBefore += was
            goodAfter += isNow
            if isNow < was { losers.append((name, was - isNow, was)) }
            let new = device.all.subtracting(common)
            let newGood = device.good.intersection(new).count
            if newGood < new.count { remarks.append("\(newGood) of \(new.count) new tags of device \(name) are good") }
        }
        let lost = Double(goodBefore - goodAfter)
        guard goodBefore > 0, lost > Double(goodBefore) * settings.goodTagsDropMax else { return .accepted(remarks: remarks) }
        losers.sort { $0.lost > $1.lost }
        let worst = losers.prefix(HealthGate.devicesNamedMax).map { "\($0.device) lost \($0.lost) of \($0.of)" }.joined(separator: ", ")
        return .refused(
            reason: "of \(goodBefore) tags that were good before the change, \(goodAfter) are good \(settings.within) after it; "
                + "at most \(HealthGate.percent(settings.goodTagsDropMax)) may be lost: \(worst)")
    }

    /// How many devices a reason names.
    private static let devicesNamedMax = 5

    private static func percent(_ share: Double) -> String {
        let tenths = (share * 1000).rounded() / 10
        return "\(Int(exactly: tenths).map(String.init) ?? "\(tenths)") %"
    }
}
