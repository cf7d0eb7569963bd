package import Logging
internal import Telemetry

/// Runs a piece of work for ever: when it fails, it is started again after a backoff; when the task is cancelled, it ends.
///
/// A supervised child never ends its siblings: its errors stop here, logged with their chain.
package struct Supervisor: Sendable {
    package var resource: String
    package var logger: Logger
    package var time: any TimeSource
    package var backoff: Backoff

    package init(resource: String, logger: Logger, time: any TimeSource, backoff: Backoff = Backoff()) {
        self.resource = resource
        self.logger = logger
        self.time = time
        self.backoff = backoff
    }

    /// Runs until cancelled, until `work` returns, or until it throws an error that must not be retried, which is thrown on.
    package func run(_ work: @Sendable () async throws -> Void) async throws {
        var backoff = backoff
        while true {
            do {
                return try await work()
            } catch  where error.isCancellation {
                logger.debug("cancelled", metadata: ["resource": "\(resource)"])
                throw error
            } catch  where Task.isCancelled {
                // What a cancelled task's calls throw is a consequence of the cancellation, whatever its type.
                logger.debug("cancelled", metadata: ["resource": "\(resource)", "error_chain": .chain(of: error)])
                throw CancellationError()
            } catch  where !error.isRetryable {
                throw error
            } catch {
                let delay = backoff.next()
                logger.error(
                    "failed, will be started again",
                    metadata: [
                        "resource": "\(resource)", "error_chain": .chain(of: error), "retry_count": "\(backoff.attempts)",
                        "retry_in": "\(delay)",
                    ])
                try await time.sleep(for: delay)
            }
        }
    }
}

extension Logger.MetadataValue {
    /// An error and its causes, for the key `error_chain`.
    package static func chain(of error: any Error) -> Logger.MetadataValue { .array(error.chain.map { .string($0) }) }
}
