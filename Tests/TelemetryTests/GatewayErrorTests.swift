import Telemetry
import Testing

private struct Foreign: Error {}

@Suite("Gateway error")
struct GatewayErrorTests {
    private func wrapped(_ cause: any Error, _ code: GatewayError.Code = .connectionLost) -> GatewayError {
        GatewayError(code, resource: "device d", operation: "read", "lost", cause: cause)
    }

    @Test("the chain names every cause, outermost first")
    func chain() {
        let error = wrapped(wrapped(Foreign(), .timedOut))
        #expect(error.chain == ["device d: read: lost", "device d: read: lost", "Foreign()"])
    }

    @Test("a cancellation is seen through any wrapping, and is never retryable")
    func cancellation() {
        let error = wrapped(wrapped(CancellationError()))
        #expect(error.isCancellation)
        #expect(!error.isRetryable)
        #expect(!wrapped(Foreign()).isCancellation)
        #expect((CancellationError() as any Error).isCancellation)
    }

    @Test("one link that must not be retried decides for the chain")
    func retryable() {
        #expect(wrapped(wrapped(Foreign())).isRetryable)
        #expect(!wrapped(wrapped(Foreign(), .configurationInvalid)).isRetryable)
        #expect(!wrapped(wrapped(Foreign()), .storageLocked).isRetryable)
        #expect((Foreign() as any Error).isRetryable)
    }

    @Test("an endless chain of causes ends")
    func bounded() {
        var error: any Error = Foreign()
        for _ in 0..<100 { error = wrapped(error) }
        #expect(error.chain.count == 16)
    }
}
