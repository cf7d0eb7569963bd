internal import GatewayCore
internal import Telemetry

/// One connection, a TCP socket or a serial port, with the thread that its blocking calls run on. Several units may share it.
///
/// Confined to its thread: only actors that run on its executor call it, which is checked.
package final class ModbusLine: @unchecked Sendable {
    package let endpoint: ModbusEndpoint
    private let responseTimeout: Duration
    private let connectTimeout: Duration
    private let thread: DedicatedThread
    private var context: ModbusContext?
    /// Something unasked may still arrive: the answer to a request that was given up.
    private var mayHoldLateReply = false

    /// The executor of every unit on this line.
    var executor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    package init(_ endpoint: ModbusEndpoint, responseTimeout: Duration = .seconds(1), connectTimeout: Duration = .seconds(3)) {
        self.endpoint = endpoint
        self.responseTimeout = responseTimeout
        self.connectTimeout = connectTimeout
        thread = DedicatedThread(name: "mb \(endpoint)")
    }

    /// Connects unless connected.
    func open() throws(GatewayError) {
        thread.checkIsolated()
        if context != nil { return }
        let opened = try ModbusContext(endpoint, responseTimeout: responseTimeout)
        try opened.connect(endpoint, timeout: connectTimeout)
        context = consume opened
        mayHoldLateReply = false
    }

    func close() {
        thread.checkIsolated()
        context = nil
    }

    func readRegisters(
        _ function: UInt8, unit: UInt8, start: Int, into target: UnsafeMutableBufferPointer<UInt16>
    ) throws(RequestFailure) {
        try request { context throws(RequestFailure) in try context.readRegisters(function, unit: unit, start: start, into: target) }
    }

    func readBits(_ function: UInt8, unit: UInt8, start: Int, into target: UnsafeMutableBufferPointer<UInt8>) throws(RequestFailure) {
        try request { context throws(RequestFailure) in try context.readBits(function, unit: unit, start: start, into: target) }
    }

    func request(_ body: (borrowing ModbusContext) throws(RequestFailure) -> Void) throws(RequestFailure) {
        thread.checkIsolated()
        switch context {
        case .none: throw .disconnected("not connected")
        case .some(let context):
            if mayHoldLateReply { discardLateReplies(of: context) }
            do throws(RequestFailure) {
                try body(context)
            } catch {
                if case .exception = error {} else { mayHoldLateReply = true }
                throw error
            }
        }
    }

    /// A TCP answer names its transaction, so what has arrived is thrown away and what comes later is told apart by libmodbus.
    /// A serial answer names nothing: after a given-up request the line must fall silent first.
    private func discardLateReplies(of context: borrowing ModbusContext) {
        switch endpoint {
        case .tcp: context.drain()
        case .rtu: context.drainUntilSilent(for: responseTimeout / 4, atMost: responseTimeout)
        }
        mayHoldLateReply = false
    }
}
