package import Interlock
package import Telemetry

/// What has to hold for one tag to be written.
package struct WriteRules: Sendable, Hashable {
    /// Whether the tag's definition lets it be written.
    package var isWritable: Bool
    /// Whether the site lets anything be written.
    package var isAllowedBySite: Bool
    /// In engineering units.
    package var minimum: Double?
    package var maximum: Double?
    /// The largest difference to the value just before.
    package var maximumStep: Double?
    /// The shortest time between two writes.
    package var minimumInterval: Duration?
    /// The most writes in any minute.
    package var writesPerMinute: Int?
    package var interlock: Interlock?
    /// Whether a write needs a second request that confirms the first.
    package var needsConfirmation: Bool
    /// For messages.
    package var unit: String

    package init(
        isWritable: Bool, isAllowedBySite: Bool, minimum: Double? = nil, maximum: Double? = nil, maximumStep: Double? = nil,
        minimumInterval: Duration? = nil, writesPerMinute: Int? = nil, interlock: Interlock? = nil, needsConfirmation: Bool = false,
        unit: String = ""
    ) {
        self.isWritable = isWritable
        self.isAllowedBySite = isAllowedBySite
        self.minimum = minimum
        self.maximum = maximum
        self.maximumStep = maximumStep
        self.minimumInterval = minimumInterval
        self.writesPerMinute = writesPerMinute
        self.interlock = interlock
        self.needsConfirmation = needsConfirmation
        self.unit = unit
    }
}

/// Somebody wants a tag to have a value.
package struct WriteAttempt: Sendable, Hashable {
    /// The user, as the way in vouches for them.
    package var who: String
    package var target: TagReference
    /// In engineering units, as the device will show it.
    package var value: Variant
    /// Confirms an earlier attempt.
    package var token: String?
    /// Only to be judged.
    package var isDryRun: Bool

    package init(who: String, target: TagReference, value: Variant, token: String? = nil, isDryRun: Bool = false) {
        self.who = who
        self.target = target
        self.value = value
        self.token = token
        self.isDryRun = isDryRun
    }
}

/// Why a write is not carried out.
package struct WriteRefusal: Sendable, Hashable, CustomStringConvertible {
    /// For programs.
    package enum Code: String, Sendable, Hashable, CaseIterable {
        /// The request is not one, or names no tag of the site.
        case invalid
        /// The site allows no writes.
        case site
        /// The definition does not let the tag be written.
        case access
        case limits
        case step
        case rate
        case interlock
        /// The token is not one, or not for this.
        case confirmation
        /// The present value cannot be read.
        case unreadable
        /// Too many writes wait already.
        case busy
        /// The attempt cannot be recorded.
        case audit
    }

    package var code: Code
    /// For people: what is expected, and what is.
    package var reason: String

    package init(_ code: Code, _ reason: String) {
        self.code = code
        self.reason = reason
    }

    package var description: String { reason }
}
