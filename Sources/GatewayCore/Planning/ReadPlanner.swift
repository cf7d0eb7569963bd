package import Telemetry

/// The cheapest set of requests for some fields, as found by `ReadPlanner.layout`.
package struct ReadLayout: Sendable, Equatable {
    /// In the order of areas and addresses.
    package var requests: [ReadRequest]
    /// Fields that no request may ask for, since what they need is known to be refused: ranges of the sorted fields.
    package var refused: [Range<Int>]

    package init(requests: [ReadRequest] = [], refused: [Range<Int>] = []) {
        self.requests = requests
        self.refused = refused
    }
}

/// Turns the tags of a scan group into the requests that cost the line least.
package enum ReadPlanner {
    /// Plans requests over all fields, as if nothing were known of the device.
    ///
    /// Throws `.configurationInvalid` when a single value is longer than one request may be.
    package static func plan(
        stream: StreamID, descriptor: StreamDescriptor, fields: [ReadField], limits: ReadLimits
    ) throws(GatewayError) -> ReadPlan {
        for field in fields where field.count > limits.unitsPerRequest(field.area) {
            throw GatewayError(
                .configurationInvalid, resource: "device \(descriptor.device)", operation: "plan",
                "tag \(descriptor.tags[field.tag].name) takes \(field.count) units, but one request carries at most \(limits.unitsPerRequest(field.area))"
            )
        }
        let sorted = sort(fields)
        return ReadPlan(stream: stream, descriptor: descriptor, requests: layout(sorted, limits: limits).requests, fields: sorted)
    }

    /// The order that plans have their fields in.
    package static func sort(_ fields: [ReadField]) -> [ReadField] {
        fields.sorted { ($0.area, $0.start, $0.tag) < ($1.area, $1.start, $1.tag) }
    }

    /// The requests that cost least by `limits.model`, of all that respect the limits and ask for no span of `refusals` as a whole.
    ///
    /// A value that was refused in one poll only is asked for by itself. `fields` must be sorted. A value longer than a request may be gets a request of its own, for the device to refuse.
    ///
    /// A request costs a fixed part and a part per unit, so that the cheapest way to the k-th value ends with the request from i to k for which
    /// (cost up to i) − (unit cost × start of i) is least. Which i are allowed only ever moves up with k: a sliding-window minimum
    /// gives the optimum in linear time.
    package static func layout(_ fields: [ReadField], limits: ReadLimits, refusals: [AddressKnowledge.Refusal] = []) -> ReadLayout {
        var layout = ReadLayout()
        var first = 0
        while first < fields.count {
            let area = fields[first].area
            let end = fields[first...].firstIndex { $0.area != area } ?? fields.count
            plan(area, atoms(of: fields, in: first..<end, limits: limits), limits, refusals.filter { $0.area == area }, into: &layout)
            first = end
        }
        return layout
    }

    /// Values that cannot be asked for separately, since they share registers.
    struct Atom: Equatable {
        /// With its alignment.
        var span: Range<Int>
        var fields: Range<Int>
    }

    /// Groups sorted fields of one area into atoms; those that would be longer than a request are divided.
    static func atoms(of fields: [ReadField], in range: Range<Int>, limits: ReadLimits) -> [Atom] {
        guard let first = range.first else { return [] }
        let limit = limits.unitsPerRequest(fields[first].area)
        var atoms: [Atom] = []
        atoms.reserveCapacity(range.count)
        var start = 0
        var end = 0
        for index in range {
            let field = fields[index]
            let fieldEnd = field.start + field.count
            if index > first, field.start < end, fieldEnd <= end || fieldEnd - start <= limit {
                end = max(end, fieldEnd)
                atoms[atoms.count - 1].fields = atoms[atoms.count - 1].fields.lowerBound..<index + 1
            } else {
                start = field.start
                end = fieldEnd
                atoms.append(Atom(span: start..<end, fields: index..<index + 1))
            }
            let aligned = limits.aligned(start..<end, area: field.area)
            atoms[atoms.count - 1].span = aligned.count <= limit ? aligned : start..<end
        }
        return atoms
    }

    private static func plan(
        _ area: UInt8, _ atoms: [Atom], _ limits: ReadLimits, _ refusals: [AddressKnowledge.Refusal], into layout: inout ReadLayout
    ) {
        let limit = limits.unitsPerRequest(area)
        let unitCost = limits.model.byteSeconds * limits.bytesPerUnit(area)
        // Even where the line takes no time for a request, the device does.
        let requestCost = max(limits.model.requestSeconds, 1e-6)
        let spans = refusals.map(\.span).sorted { $0.upperBound < $1.upperBound }
        let suspects = Set(refusals.lazy.filter(\.isSuspect).map(\.span))
        // The cheapest way to each atom: what it costs, and the atom its last request begins with (nil: the atom is not asked for).
        var cost = [Double](repeating: 0, count: atoms.count + 1)
        var begin = [Int?](repeating: nil, count: atoms.count)
        var window: [Int] = []
        var front = 0
        var spanIndex = 0
        var latestRefused = Int.min
        var firstAllowed = 0
        func key(_ index: Int) -> Double { cost[index] - unitCost * Double(atoms[index].span.lowerBound) }
        for (index, atom) in atoms.enumerated() {
            while spanIndex < spans.count, spans[spanIndex].upperBound <= atom.span.upperBound {
                latestRefused = max(latestRefused, spans[spanIndex].lowerBound)
                spanIndex += 1
            }
            if suspects.contains(atom.span) {
                begin[index] = index
                cost[index + 1] = cost[index] + requestCost + unitCost * Double(atom.span.count)
                firstAllowed = index + 1
                continue
            }
            if latestRefused >= atom.span.lowerBound {
                layout.refused.append(atom.fields)
                cost[index + 1] = cost[index]
                firstAllowed = index + 1
                continue
            }
            if index > 0, atom.span.lowerBound - atoms[index - 1].span.upperBound > limits.holeMax {
                firstAllowed = max(firstAllowed, index)
            }
            while window.count > front, let last = window.last, key(last) >= key(index) { window.removeLast() }
            window.append(index)
            while front < window.count - 1 {
                let candidate = window[front]
                let start = atoms[candidate].span.lowerBound
                guard candidate < firstAllowed || start <= latestRefused || atom.span.upperBound - start > limit else { break }
                front += 1
            }
            let best = window[front]
            begin[index] = best
            cost[index + 1] = cost[best] + requestCost + unitCost * Double(atom.span.upperBound - atoms[best].span.lowerBound)
        }
        var requests: [ReadRequest] = []
        var last = atoms.count - 1
        while last >= 0 {
            guard let first = begin[last] else {
                last -= 1
                continue
            }
            let start = atoms[first].span.lowerBound
            requests.append(
                ReadRequest(
                    area: area, start: start, count: atoms[last].span.upperBound - start,
                    fields: atoms[first].fields.lowerBound..<atoms[last].fields.upperBound))
            last = first - 1
        }
        layout.requests += requests.reversed()
    }
}
