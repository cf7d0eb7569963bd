internal import Synchronization
internal import Telemetry

/// One connection and the units behind it: a serial line with its devices, a Modbus gateway, or a single device with a connection of its own.
///
/// Knows no protocol and does no I/O: it only keeps what the units' runners must agree on (`LineState`).
package final class SharedLine: Sendable {
    private let state = Mutex(LineState())

    package init() {}

    /// Decides with the line's state, in one step.
    package func decide<Decision: Sendable>(_ body: (inout LineState) -> Decision) -> Decision {
        state.withLock { body(&$0) }
    }
}

/// What came on a line and answers nothing that is waited for; only ever rises.
package struct StrayReplies: Sendable, Hashable {
    /// Answers to requests that had been given up.
    package var late: UInt64
    /// Answers that came a second time.
    package var duplicate: UInt64
    /// Frames that are damaged or answer nothing that was asked, and bytes that are no frame.
    package var invalid: UInt64

    package init(late: UInt64 = 0, duplicate: UInt64 = 0, invalid: UInt64 = 0) {
        self.late = late
        self.duplicate = duplicate
        self.invalid = invalid
    }
}

/// The ability of an adapter to share its connection with others.
package protocol LineSharing: ProtocolAdapter {
    /// The same object for every adapter that uses the connection. `disconnect` then closes it for all of them.
    nonisolated var sharedLine: SharedLine { get }

    /// Where a task that only polls this device does best to run: the line's own thread; `nil` where it has none.
    nonisolated var lineThread: DedicatedThread? { get }

    /// What came on the line and was thrown away; from any thread.
    nonisolated var strayReplies: StrayReplies { get }
}

extension LineSharing {
    package nonisolated var lineThread: DedicatedThread? { nil }
    package nonisolated var strayReplies: StrayReplies { StrayReplies() }
}
