package import DefinitionImport
package import Definitions
package import GatewayCore
internal import ModbusAdapter
internal import Telemetry

/// Asks devices what they are.
package enum Discovery {
    /// What a SunSpec device said.
    package struct SunSpecDevice: Sendable {
        /// Where its map begins; `nil` when the device has none.
        package var base: Int?
        package var blocks: [SunSpecBlock]
        /// Why the chain or a model was not read to its end.
        package var problems: [String]
    }

    /// Reads the chain of models of a SunSpec device, with a connection of its own.
    ///
    /// Throws a `GatewayError` when the device cannot be reached or falls silent; what it refuses is no error.
    package static func sunSpec(
        _ connection: Connection, bases: [Int] = SunSpecWalk.basesDefault, responseTimeout: Duration = .seconds(1),
        connectTimeout: Duration = .seconds(3), time: any TimeSource
    ) async throws -> SunSpecDevice {
        let line = ModbusLine(SiteBuilder.endpoint(of: connection), responseTimeout: responseTimeout, connectTimeout: connectTimeout)
        let adapter = ModbusAdapter(name: "discovery", line: line, unit: SiteBuilder.unit(of: connection))
        try await adapter.connect()
        do {
            var walk = SunSpecWalk(bases: bases)
            while case .read(let start, let count) = walk.step {
                try Task.checkCancellation()
                walk.take(try await registers(start, count, from: adapter, time: time))
            }
            await adapter.disconnect()
            return SunSpecDevice(base: walk.base, blocks: walk.blocks, problems: walk.problems)
        } catch {
            await adapter.disconnect()
            throw error
        }
    }

    /// Holding registers; `nil` when the device refuses any of them.
    private static func registers(_ start: Int, _ count: Int, from adapter: ModbusAdapter, time: any TimeSource) async throws -> [UInt16]? {
        let holding: UInt8 = 3
        let descriptor = StreamDescriptor(device: "discovery", group: "read", tags: (0..<count).map { Tag("register\($0)", .uint16) })
        let fields = (0..<count).map { ReadField(tag: $0, area: holding, start: start + $0, count: 1, dataType: .uint16) }
        let plan = ReadPlan(
            stream: StreamID(rawValue: UInt32(start) << 8 | UInt32(count)), descriptor: descriptor,
            requests: [ReadRequest(area: holding, start: start, count: count, fields: 0..<count)], fields: fields)
        let batch = try await adapter.read(plan, at: time.utc).batch
        guard batch.isGood else { return nil }
        return (0..<count).map { index in
            guard case .uint(let value) = batch.raw(of: index, in: descriptor) else { return 0 }
            return UInt16(truncatingIfNeeded: value)
        }
    }
}
