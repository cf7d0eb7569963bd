package import Telemetry

/// A two-way stream of bytes over an open socket that belongs to somebody else: what an encrypted connection is to a protocol.
///
/// Not safe to share: one thread uses it.
package protocol ByteChannel: AnyObject {
    /// Takes what has come, waiting at most so long for the first byte. 0 when nothing came.
    ///
    /// Throws a `GatewayError` when the other side has closed the stream or broken its rules.
    func read(into buffer: UnsafeMutableRawBufferPointer, within limit: Duration) throws(GatewayError) -> Int

    /// Sends all bytes. Throws a `GatewayError` when that is not possible in time.
    func write(_ bytes: UnsafeRawBufferPointer, within limit: Duration) throws(GatewayError)

    /// Says goodbye as far as that does not block. The socket stays open.
    func close()
}

/// Makes a secured channel of a connected socket.
package protocol ChannelSecuring: Sendable {
    /// Looks whether the files that are needed are there and can work, before anything connects.
    ///
    /// Returns what works but should be put right, a sentence each. Throws a `GatewayError` that names the file to blame.
    @discardableResult
    func check(at time: Timestamp) throws(GatewayError) -> [String]

    /// Shakes hands over `descriptor`, which stays the caller's, with the server known as `host`.
    func secure(_ descriptor: Int32, host: String, within limit: Duration) throws(GatewayError) -> any ByteChannel
}
