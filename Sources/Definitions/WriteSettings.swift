package import Interlock

/// How a tag that may be written is written, and what has to hold for it.
package struct WriteSettings: Sendable, Equatable {
    /// Whether a second request has to confirm the first.
    package enum Confirmation: String, Sendable, CaseIterable {
        case none
        case twoStep
    }

    /// Which Modbus function carries a value that more than one could.
    package enum Function: String, Sendable, CaseIterable {
        /// 05 or 06 for one coil or register, 16 for several registers.
        case automatic
        /// 05 and 06.
        case single
        /// 15 and 16.
        case multiple
    }

    /// What must hold on other tags; `this` is the device of the tag.
    package var interlock: Interlock?
    /// The shortest time between two writes.
    package var minimumInterval: Duration?
    /// How long after the write the value is read back.
    package var verifyAfter: Duration
    package var confirmation: Confirmation
    package var function: Function
    /// Whether a bit of a register may be changed by writing the whole register back.
    package var allowsReadModifyWrite: Bool

    package init(
        interlock: Interlock? = nil, minimumInterval: Duration? = nil, verifyAfter: Duration = WriteSettings.verifyAfterDefault,
        confirmation: Confirmation = .none, function: Function = .automatic, allowsReadModifyWrite: Bool = false
    ) {
        self.interlock = interlock
        self.minimumInterval = minimumInterval
        self.verifyAfter = verifyAfter
        self.confirmation = confirmation
        self.function = function
        self.allowsReadModifyWrite = allowsReadModifyWrite
    }

    /// Most devices show a new value in their next cycle.
    package static let verifyAfterDefault = Duration.milliseconds(100)
}
