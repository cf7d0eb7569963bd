internal import Foundation

/// Returns on SIGTERM or SIGINT, which from then on no longer end the process by themselves.
///
/// Throws `CancellationError` when the task is cancelled first.
func untilSignalled() async throws {
    let signals = [SIGTERM, SIGINT]
    for signal in signals { Foundation.signal(signal, SIG_IGN) }
    let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    let sources = signals.map { signal in
        let source = DispatchSource.makeSignalSource(signal: signal, queue: .global())
        source.setEventHandler { continuation.yield() }
        source.resume()
        return source
    }
    defer { for source in sources { source.cancel() } }
    for await _ in stream { return }
    try Task.checkCancellation()
}
