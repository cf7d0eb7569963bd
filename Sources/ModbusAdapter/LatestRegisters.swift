package import GatewayCore
package import ModbusProtocol
internal import Synchronization
internal import Telemetry

/// What a unit answered last, for those who would otherwise ask it again. Only units that somebody looks at have one.
package final class LatestRegisters: Sendable {
    private let image = Mutex(RegisterImage())

    package init() {}

    /// The values, if one answer has them all whose poll began not before `oldest`.
    package func values(of access: ModbusAccess, notBefore oldest: MonotonicInstant) -> [UInt16]? {
        image.withLock { $0.values(access.area, start: access.start, count: access.count, notBefore: oldest.nanoseconds) }
    }

    /// Forgets what a write has made doubtful.
    package func forget(_ access: ModbusAccess) {
        image.withLock { $0.forget(access.area, start: access.start, count: access.count) }
    }

    func store(_ area: ModbusArea, start: Int, values: some Collection<UInt16> & Sendable, at time: MonotonicInstant) {
        image.withLock { $0.store(area, start: start, values: values, at: time.nanoseconds) }
    }
}
