internal import Telemetry

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// Wakes a thread that polls descriptors. Open as long as anybody holds it, so that nobody writes to a descriptor that is another's by then.
final class WakePipe: Sendable {
    let readEnd: Int32
    private let writeEnd: Int32

    /// Throws a `GatewayError` with code `connectionFailed` when the system gives no pipe.
    init(resource: String) throws(GatewayError) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else {
            throw GatewayError(
                .connectionFailed, resource: resource, operation: "connect", "no pipe to be had: \(String(cString: strerror(errno)))")
        }
        for end in ends {
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
        }
        readEnd = ends[0]
        writeEnd = ends[1]
    }

    deinit {
        close(readEnd)
        close(writeEnd)
    }

    /// Never blocks: a full pipe wakes as well.
    func signal() {
        var byte: UInt8 = 0
        _ = write(writeEnd, &byte, 1)
    }

    /// Takes away what `signal` left.
    func clear() {
        var bytes: (UInt64, UInt64) = (0, 0)
        _ = read(readEnd, &bytes, MemoryLayout.size(ofValue: bytes))
    }
}
