/// The one error shape of the gateway for trouble of its own: what failed, on what, why, and what caused it.
///
/// Trouble of a device is not an error but data: a value with a Bad `StatusCode`.
package struct GatewayError: Error, Sendable {
    package enum Code: String, Sendable, CaseIterable {
        case configurationInvalid
        case connectionFailed
        case connectionLost
        case timedOut
        case protocolViolation
        case refused
        case tlsFailed
        case certificateInvalid
        case storageFull
        case storageFailed
        case storageCorrupt
        case storageLocked
        case notFound
        case unsupported
        case limitExceeded
        case stopped

        /// Whether the same operation may succeed later without anybody changing anything.
        package var isRetryable: Bool {
            switch self {
            case .connectionFailed, .connectionLost, .timedOut, .protocolViolation, .refused, .tlsFailed, .storageFull, .storageFailed: true
            // A certificate can be renewed and a clock set while the gateway runs: a box must find back by itself.
            case .certificateInvalid: true
            case .configurationInvalid, .storageCorrupt, .storageLocked, .notFound, .unsupported, .limitExceeded, .stopped: false
            }
        }
    }

    package var code: Code
    /// What the operation was on: `device pump-1`, `route central`, `journal /var/lib/indusedge/journal`.
    package var resource: String
    /// What was being done: `connect`, `read`, `commit`.
    package var operation: String
    /// Expected and actual, for people: `byte count is 5, but 3 registers need 6`.
    package var message: String
    /// When it happened; `nil` where no clock is at hand (pure code).
    package var time: Timestamp?
    /// What led to it; never dropped when an error is wrapped.
    package var cause: (any Error)?

    package init(
        _ code: Code, resource: String, operation: String, _ message: String, time: Timestamp? = nil, cause: (any Error)? = nil
    ) {
        self.code = code
        self.resource = resource
        self.operation = operation
        self.message = message
        self.time = time
        self.cause = cause
    }
}

extension GatewayError: CustomStringConvertible {
    /// One line: resource, operation, message, without the causes (see `chain`).
    package var description: String { "\(resource): \(operation): \(message)" }
}

extension Error {
    /// This error and its causes, outermost first, a line each: what logs carry as `error_chain`.
    package var chain: [String] {
        var lines: [String] = []
        var next: (any Error)? = self
        while let error = next, lines.count < errorChainMax {
            lines.append(String(describing: error))
            next = (error as? GatewayError)?.cause
        }
        return lines
    }

    /// Whether the error is, or was caused by, the cancellation of a task. Cancellation is not a failure: it is
    /// never retried, counted, reported or logged above `debug`.
    package var isCancellation: Bool {
        var next: (any Error)? = self
        var depth = 0
        while let error = next, depth < errorChainMax {
            if error is CancellationError { return true }
            next = (error as? GatewayError)?.cause
            depth += 1
        }
        return false
    }

    /// Whether trying again may help: every `GatewayError` of the chain must allow it, and none of it be a cancellation.
    /// Errors of other kinds say nothing about retrying and allow it.
    package var isRetryable: Bool {
        if isCancellation { return false }
        var next: (any Error)? = self
        var depth = 0
        while let error = next as? GatewayError, depth < errorChainMax {
            if !error.code.isRetryable { return false }
            next = error.cause
            depth += 1
        }
        return true
    }
}

/// The most links of an error chain that are looked at.
private let errorChainMax = 16
