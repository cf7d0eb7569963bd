package import GatewayCore
package import Telemetry

/// What every adapter that writes must do: the suite of the contract `TagWriting`.
package enum TagWritingConformance {
    /// One tag of a device that is there for the test, with two values that it can hold.
    package struct Subject: Sendable {
        package var target: WriteTarget
        package var first: Variant
        package var second: Variant

        package init(_ target: WriteTarget, _ first: Variant, _ second: Variant) {
            self.target = target
            self.first = first
            self.second = second
        }
    }

    /// Writes to a connected adapter, and gives a sentence for everything that is not as the contract says; leaves it disconnected.
    ///
    /// - Parameters:
    ///   - adapter: connected to a device that takes everything.
    ///   - subjects: tags that do not touch each other.
    ///   - absent: a tag that the device does not have.
    package static func violations(
        of adapter: some TagWriting, subjects: [Subject], absent: WriteTarget, at time: Timestamp
    ) async -> [String] {
        var found: [String] = []
        for subject in subjects {
            for value in [subject.first, subject.second, subject.first] {
                let name = "\(subject.target.tag.name) = \(value)"
                do throws(GatewayError) {
                    let shown = try adapter.representable(value, as: subject.target)
                    let reply = await adapter.write(value, to: subject.target)
                    if reply != .written { found.append("\(name): \(reply)") }
                    let reading = await adapter.readNow(subject.target, at: time)
                    if reading.value != shown { found.append("\(name): the device shows \(reading), \(shown) was to be") }
                    if reading.time != time { found.append("\(name): the reading has the time \(reading.time)") }
                } catch {
                    found.append("\(name): \(error)")
                }
            }
        }
        // Every tag still has its own value: no write touched another one.
        for subject in subjects {
            let reading = await adapter.readNow(subject.target, at: time)
            let shown = try? adapter.representable(subject.first, as: subject.target)
            if reading.value != shown { found.append("\(subject.target.tag.name): another write changed it to \(reading)") }
        }
        if case .written = await adapter.write(subjects.first?.first ?? .uint(0), to: absent) { found.append("an absent tag was written") }
        if await adapter.readNow(absent, at: time).status.isGood { found.append("an absent tag was read") }
        await adapter.disconnect()
        if let subject = subjects.first {
            if case .written = await adapter.write(subject.first, to: subject.target) { found.append("written without a connection") }
            let reading = await adapter.readNow(subject.target, at: time)
            if !reading.status.isBad || reading.value != nil || reading.reason == nil {
                found.append("read without a connection: \(reading)")
            }
        }
        return found
    }
}
