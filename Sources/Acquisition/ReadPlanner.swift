package import GatewayCore
package import Telemetry

/// Turns the tags of a scan group into as few requests as the protocol allows.
package enum ReadPlanner {
    /// Merges neighbouring fields of an area into one request, over holes of at most `limits.holeMax` units.
    ///
    /// Throws `.configurationInvalid` when a single value is longer than one request may be.
    package static func plan(
        stream: StreamID, descriptor: StreamDescriptor, fields: [ReadField], limits: ReadLimits
    ) throws(GatewayError) -> ReadPlan {
        let sorted = fields.sorted { ($0.area, $0.start, $0.tag) < ($1.area, $1.start, $1.tag) }
        var requests: [ReadRequest] = []
        for (index, field) in sorted.enumerated() {
            let limit = limits.unitsPerRequest(field.area)
            guard field.count <= limit else {
                throw GatewayError(
                    .configurationInvalid, resource: "device \(descriptor.device)", operation: "plan",
                    "tag \(descriptor.tags[field.tag].name) takes \(field.count) units, but one request carries at most \(limit)")
            }
            if let last = requests.last, last.area == field.area {
                let end = last.start + last.count
                let newEnd = max(end, field.start + field.count)
                if field.start - end <= limits.holeMax, newEnd - last.start <= limit {
                    requests[requests.count - 1].count = newEnd - last.start
                    requests[requests.count - 1].fields = last.fields.lowerBound..<index + 1
                    continue
                }
            }
            requests.append(ReadRequest(area: field.area, start: field.start, count: field.count, fields: index..<index + 1))
        }
        return ReadPlan(stream: stream, descriptor: descriptor, requests: requests, fields: sorted)
    }
}
