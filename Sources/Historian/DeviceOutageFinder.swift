package import Telemetry

/// Finds, in the diagnostics that a gateway keeps of a device, when the device was not connected and what that cost.
///
/// Only what the samples say is told: an outage begins with the first sample that says so, and its counts are differences of counters.
package struct DeviceOutageFinder: Sendable {
    /// One time without a connection to a device.
    package struct Outage: Sendable, Hashable, Codable {
        /// The first sample that says that the device is not connected, and the first after it that says that it is.
        package var start: Timestamp
        /// `nil` while no sample says so.
        package var end: Timestamp?
        /// Polls with a tag that was not Good, and polls that never began, since the last sample before the start.
        package var faultyPolls: UInt64
        package var missedPolls: UInt64

        package init(start: Timestamp, end: Timestamp? = nil, faultyPolls: UInt64, missedPolls: UInt64) {
            self.start = start
            self.end = end
            self.faultyPolls = faultyPolls
            self.missedPolls = missedPolls
        }
    }

    /// Oldest first.
    package private(set) var outages: [Outage] = []
    private var faulty: UInt64?
    private var missed: UInt64?

    package init() {}

    /// The next sample of the device's diagnostics, in the order of the log: whether it is connected, and its counters.
    package mutating func add(time: Timestamp, isOnline: Bool, faultyPolls: UInt64, missedPolls: UInt64) {
        let isOut = outages.last.map { $0.end == nil } ?? false
        if !isOnline, !isOut { outages.append(Outage(start: time, faultyPolls: 0, missedPolls: 0)) }
        if let last = outages.indices.last, outages[last].end == nil {
            outages[last].faultyPolls &+= DeviceOutageFinder.increase(from: faulty, to: faultyPolls)
            outages[last].missedPolls &+= DeviceOutageFinder.increase(from: missed, to: missedPolls)
            if isOnline { outages[last].end = time }
        }
        faulty = faultyPolls
        missed = missedPolls
    }

    /// Counters begin anew with every start of the process. What the first sample counts is not known to belong to what it says.
    private static func increase(from old: UInt64?, to new: UInt64) -> UInt64 {
        guard let old else { return 0 }
        return new >= old ? new - old : new
    }
}

extension DeviceOutageFinder.Outage {
    /// For example "device plc: not connected 2026-03-01 08:02:11–08:09:40, 4,486 polls with Bad tags, 0 polls missed". Times are UTC.
    package func sentence(device: String) -> String {
        let span = end.map { Ledger.TimeSpan(start: start, end: $0).text } ?? "since \(start.text)"
        return "device \(device): not connected \(span), \(grouped(faultyPolls)) polls with Bad tags, \(grouped(missedPolls)) polls missed"
    }
}
