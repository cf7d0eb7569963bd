package import Telemetry

/// One value of a device that may be written, and how.
package struct WriteTarget: Sendable, Hashable {
    /// Which request carries a value that more than one could.
    package enum Function: String, Sendable, Hashable, CaseIterable {
        /// The request for a single unit where the value takes one, else the one for several.
        case automatic
        case single
        case multiple
    }

    package var tag: Tag
    /// Where the value lies; its `tag` is 0.
    package var field: ReadField
    package var function: Function
    /// Whether a bit may be changed by reading its register, changing it here, and writing it back, where the device knows no better way:
    /// what the device itself changes of the register meanwhile is lost.
    package var allowsReadModifyWrite: Bool

    package init(tag: Tag, field: ReadField, function: Function = .automatic, allowsReadModifyWrite: Bool = false) {
        self.tag = tag
        self.field = field
        self.function = function
        self.allowsReadModifyWrite = allowsReadModifyWrite
    }
}

/// What a device said to a write.
package enum WriteReply: Sendable, Equatable {
    /// The device took it.
    case written
    /// The device did not take it: nothing changed.
    case refused(StatusCode, reason: String)
    /// Nobody knows whether the device took it: the answer did not come, or was none.
    case unknown(StatusCode, reason: String)
}

/// An adapter that can change its device.
///
/// Whether a write is allowed is not the adapter's matter. A write and the reads of polls never overlap on a line: both run on the
/// adapter's executor, from request to answer.
package protocol TagWriting: ProtocolAdapter {
    /// What the device will show when it holds `value` (engineering units): the value rounded to what the tag's type and scale can say.
    ///
    /// Throws a `GatewayError` (`limitExceeded`, `unsupported`) for a value of another kind, or one that does not fit.
    nonisolated func representable(_ value: Variant, as target: WriteTarget) throws(GatewayError) -> Variant

    /// Reads the value now, in engineering units; `time` is what the reading is stamped with. What goes wrong is a Bad status with its reason.
    func readNow(_ target: WriteTarget, at time: Timestamp) async -> DataValue

    /// Writes a value (engineering units) with as few requests as the protocol allows. Never repeats a request whose answer did not come.
    func write(_ value: Variant, to target: WriteTarget) async -> WriteReply
}
