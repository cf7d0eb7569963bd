internal import Acquisition
package import Definitions
internal import GatewayCore
internal import ModbusAdapter
internal import Telemetry

/// What reading a site's devices will ask of their lines, worked out without touching any of them.
package struct SitePlan: Sendable, Codable {
    package struct Request: Sendable, Codable {
        /// `coil`, `discrete`, `holding` or `input`.
        package var table: String
        package var start: Int
        package var count: Int
        package var tags: Int
        /// Registers or bits that no tag needs.
        package var inVain: Int
    }
    package struct Group: Sendable, Codable {
        package var name: String
        package var periodSeconds: Double
        package var requests: [Request]
        /// Bytes of a poll's requests and answers.
        package var bytes: Int
        package var predictedSeconds: Double
        /// What polls took when the gateway last ran; `nil` where that is not known.
        package var achievedMeanSeconds: Double?
        package var achievedP95Seconds: Double?
        /// Tags that are not asked for, because the device has refused them.
        package var refusedTags: [String]
    }
    package struct Device: Sendable, Codable {
        package var name: String
        package var definition: String
        package var unit: Int
        /// Whether an earlier run measured the line; otherwise times are those of a usual line of its kind.
        package var isMeasured: Bool
        package var groups: [Group]
    }
    package struct Line: Sendable, Codable {
        package var name: String
        /// The part of the time that the line is busy.
        package var utilisation: Double
        package var devices: [Device]
    }
    /// A group that cannot be read as often as it should be.
    package struct Problem: Sendable, Codable {
        package var device: String
        package var group: String
        package var message: String
    }
    package var site: String
    package var lines: [Line]
    package var problems: [Problem]

    /// Plans with what an earlier run of the site has learned, if its log's folder has it.
    package init(_ site: Site) {
        self.site = site.name
        let known = PlanStore(folder: site.log.path).load()
        var lines: [Line] = []
        var places: [ModbusEndpoint: Int] = [:]
        for device in site.devices {
            let endpoint = SiteBuilder.endpoint(of: device.connection)
            let planned = SitePlan.plan(device, endpoint, known[PlanStore.key(of: device)])
            if let place = places[endpoint] {
                lines[place].devices.append(planned)
            } else {
                places[endpoint] = lines.count
                lines.append(Line(name: "\(endpoint)", utilisation: 0, devices: [planned]))
            }
        }
        for index in lines.indices {
            lines[index].utilisation = lines[index].devices.flatMap(\.groups).reduce(0) { $0 + $1.predictedSeconds / $1.periodSeconds }
        }
        self.lines = lines
        problems = lines.flatMap(SitePlan.problems)
    }

    private static func plan(_ device: Definitions.Device, _ endpoint: ModbusEndpoint, _ known: PlanStore.Entry?) -> Device {
        let limits = SiteBuilder.settings(device.reading).limits(on: endpoint)
        let learner = ReadLearner(limits: limits, remembered: known?.learned, at: MonotonicInstant(nanoseconds: 0))
        let groups = device.scanGroups.map { group in
            let tags = device.tags(of: group.name)
            let fields = ReadPlanner.sort(tags.enumerated().map { SiteBuilder.field($0.element, tag: $0.offset) })
            let layout = learner.layout(fields)
            let achieved = known?.groups.first { $0.group == group.name }
            return Group(
                name: group.name, periodSeconds: group.period.inSeconds, requests: layout.requests.map { request($0, fields) },
                bytes: ModbusWire(endpoint).bytes(of: layout.requests), predictedSeconds: learner.seconds(layout.requests),
                achievedMeanSeconds: achieved?.meanSeconds, achievedP95Seconds: achieved?.p95Seconds,
                refusedTags: layout.refused.flatMap { $0.map { tags[fields[$0].tag].name } })
        }
        return Device(
            name: device.name, definition: "\(device.definition.name) \(device.definition.version)",
            unit: Int(SiteBuilder.unit(of: device.connection)),
            isMeasured: learner.costs.observations > 0, groups: groups)
    }

    private static func request(_ request: ReadRequest, _ fields: [ReadField]) -> Request {
        var needed = 0
        var end = request.start
        for field in fields[request.fields] {
            needed += max(0, field.start + field.count - max(end, field.start))
            end = max(end, field.start + field.count)
        }
        let tables = ["coil", "discrete", "holding", "input"]
        return Request(
            table: tables[Int(request.area) - 1], start: request.start, count: request.count, tags: request.fields.count,
            inVain: request.count - needed)
    }

    /// A poll is not interrupted by another one on its line: a group misses polls when its own take longer than its period, when another's do, and
    /// when all of them together take more time than there is.
    private static func problems(of line: Line) -> [Problem] {
        let groups = line.devices.flatMap { device in device.groups.map { (device: device.name, group: $0) } }
        let longest = groups.max { $0.group.predictedSeconds < $1.group.predictedSeconds }
        return groups.compactMap { device, group in
            var message: String?
            if group.predictedSeconds > group.periodSeconds {
                message = "a poll takes \(milliseconds(group.predictedSeconds)), but its period is \(milliseconds(group.periodSeconds))"
            } else if line.utilisation > 1 {
                message =
                    "line \(line.name) would be busy \(percent(line.utilisation)) of the time; this group takes "
                    + "\(percent(group.predictedSeconds / group.periodSeconds)) of it"
            } else if let longest, longest.group.predictedSeconds > group.periodSeconds {
                message =
                    "group \(longest.group.name) of device \(longest.device) keeps line \(line.name) busy for "
                    + "\(milliseconds(longest.group.predictedSeconds)) at a time, longer than the period of \(milliseconds(group.periodSeconds))"
            }
            return message.map { Problem(device: device, group: group.name, message: $0) }
        }
    }

    /// `12.3 ms`.
    package static func milliseconds(_ seconds: Double) -> String { "\(rounded(seconds * 1e3)) ms" }

    /// `12.3 %`.
    package static func percent(_ share: Double) -> String { "\(rounded(share * 100)) %" }

    /// Three digits of a number, no more than it needs.
    private static func rounded(_ number: Double) -> String {
        let places: Double = abs(number) < 10 ? 100 : abs(number) < 100 ? 10 : 1
        let value = (number * places).rounded() / places
        return value == value.rounded() && abs(value) < 1e15 ? "\(Int(value))" : "\(value)"
    }
}
