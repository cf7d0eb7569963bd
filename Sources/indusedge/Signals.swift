internal import Foundation

/// SIGTERM and SIGINT as something to wait for. From its making on they no longer end the process by themselves, so it is made before
/// anybody is told that the program is ready.
struct StopSignals: Sendable {
    private let arrivals: AsyncStream<Void>

    init() {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let sources = [SIGTERM, SIGINT].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { continuation.yield() }
            source.resume()
            return source
        }
        continuation.onTermination = { _ in for source in sources { source.cancel() } }
        arrivals = stream
    }

    /// Returns when one has arrived. Throws `CancellationError` when the task is cancelled first.
    func wait() async throws {
        for await _ in arrivals { return }
        try Task.checkCancellation()
    }
}
