/// How patient the gateway is with a device that does not answer.
package struct PatienceSettings: Sendable, Equatable {
    /// How often a request without a valid answer is sent again.
    package var retries: Int
    /// Polls in a row without any answer after which the device is only probed.
    package var demoteAfter: Int
    /// The bound of the first wait between attempts to reach the device, and of all.
    package var backoffInitial: Duration
    package var backoffMaximum: Duration

    package init(
        retries: Int = 1, demoteAfter: Int = 3, backoffInitial: Duration = .milliseconds(500), backoffMaximum: Duration = .seconds(30)
    ) {
        self.retries = retries
        self.demoteAfter = demoteAfter
        self.backoffInitial = backoffInitial
        self.backoffMaximum = backoffMaximum
    }
}
