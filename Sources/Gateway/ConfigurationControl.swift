internal import Synchronization

/// The way to a running gateway's configuration: to have it read anew, and to know what became of it.
package final class ConfigurationControl: Sendable {
    private struct State {
        var isReloadWanted = false
        var status: ConfigurationStatus?
    }
    private let state = Mutex(State())

    package init() {}

    /// Has the files read within a second, also those that look unchanged or are being written.
    package func reload() { state.withLock { $0.isReloadWanted = true } }

    /// What became of the newest document; `nil` before the gateway runs.
    package var status: ConfigurationStatus? { state.withLock { $0.status } }

    /// Whether somebody wants the files read; asked once per wish.
    func takeReload() -> Bool {
        state.withLock { state in
            defer { state.isReloadWanted = false }
            return state.isReloadWanted
        }
    }

    func set(_ status: ConfigurationStatus) { state.withLock { $0.status = status } }
}
