package import GatewayCore

/// How a Modbus device may be read, where it allows less than the protocol.
package struct ModbusReadSettings: Sendable, Equatable {
    /// Most registers per request, 1…125.
    package var maxRegistersPerRead: Int
    /// Most coils or discrete inputs per request, 1…2000.
    package var maxBitsPerRead: Int
    /// Requests for registers begin at multiples of this, and ask for multiples of it.
    package var alignment: Int
    /// Whether addresses that no tag names may be read where that saves requests.
    package var readsAcrossHoles: Bool

    package init(
        maxRegistersPerRead: Int = ModbusAdapter.registersPerRequestMax, maxBitsPerRead: Int = ModbusAdapter.bitsPerRequestMax,
        alignment: Int = 1,
        readsAcrossHoles: Bool = true
    ) {
        self.maxRegistersPerRead = maxRegistersPerRead
        self.maxBitsPerRead = maxBitsPerRead
        self.alignment = alignment
        self.readsAcrossHoles = readsAcrossHoles
    }

    /// The same for the planner, with what requests cost on such a line.
    package func limits(on endpoint: ModbusEndpoint) -> ReadLimits {
        let registers = min(max(1, maxRegistersPerRead), ModbusAdapter.registersPerRequestMax)
        let bits = min(max(1, maxBitsPerRead), ModbusAdapter.bitsPerRequestMax)
        let alignment = max(1, alignment)
        return ReadLimits(
            holeMax: readsAcrossHoles ? .max : 0, model: ModbusWire(endpoint).model, bytesPerUnit: { $0 <= 2 ? 0.125 : 2 },
            alignment: { $0 <= 2 ? 1 : alignment }, unitsPerRequest: { $0 <= 2 ? bits : registers })
    }
}
