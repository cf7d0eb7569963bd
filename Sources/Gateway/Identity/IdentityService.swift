internal import GatewayCore
internal import Identity
internal import Logging
internal import Telemetry

/// Forecasts when certificates end: an alarm in the log of samples and a line for people, from 30 days before and daily.
struct IdentityService: Sendable {
    /// How often is looked.
    static let period = Duration.seconds(10)

    let log: any TelemetryLog
    let time: any TimeSource
    let logger: Logger
    /// Everything that has certificates, as it is now.
    let identities: @Sendable (ClockStamp) async -> [(holder: IdentityHolder, reading: IdentityReading)]
    /// Gives a stream its number, and tells the routes of it.
    let register: @Sendable (StreamDescriptor) async throws -> StreamID

    private struct Told {
        let stream: StreamID
        let descriptor: StreamDescriptor
        var watch = ExpiryWatch()
    }

    func run() async throws {
        var told: [String: Told] = [:]
        // Routes look at their files when they start: what they have then is what is told of first.
        try await time.sleep(for: .seconds(1))
        while true {
            let stamp = time.stamp
            let present = await identities(stamp)
            for (holder, reading) in present {
                var entry: Told
                if let known = told[holder.device] {
                    entry = known
                } else {
                    let descriptor = IdentityStream.descriptor(device: holder.device)
                    entry = Told(stream: try await register(descriptor), descriptor: descriptor)
                }
                let action = entry.watch.look(reading, at: time.now)
                told[holder.device] = entry
                if action.isStored {
                    log.append(IdentityStream.batch(reading, stream: entry.stream, descriptor: entry.descriptor, at: stamp))
                }
                if let remark = action.remark { tell(remark, holder, reading) }
            }
            let names = Set(present.map(\.holder.device))
            for (name, entry) in told where !names.contains(name) {
                log.append(IdentityStream.batch(nil, stream: entry.stream, descriptor: entry.descriptor, at: stamp))
                told[name] = nil
            }
            try await time.sleep(for: Self.period)
        }
    }

    private func tell(_ remark: ExpiryWatch.Remark, _ holder: IdentityHolder, _ reading: IdentityReading) {
        var metadata: Logger.Metadata = ["holder": "\(holder.title)"]
        if let file = holder.files.certificate { metadata["file"] = "\(file)" }
        switch remark {
        case .alarm:
            metadata["reason"] = "\(reading.words.joined(separator: "; "))"
            if let days = reading.certificate?.daysLeft { metadata["days_left"] = "\(days)" }
            logger.log(level: reading.isBroken ? .error : .warning, "certificate needs attention", metadata: metadata)
        case .relief:
            if let until = reading.certificate?.notAfter { metadata["valid_until"] = "\(until)" }
            logger.notice("certificate is in order again", metadata: metadata)
        }
    }
}
