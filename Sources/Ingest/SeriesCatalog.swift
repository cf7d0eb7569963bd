package import Telemetry

/// What a value belongs to.
package struct Series: Sendable, Hashable {
    /// `group/node` of Sparkplug, or the site of JSON documents.
    package var gateway: String
    /// Empty for a metric of the edge node itself.
    package var device: String
    /// The scan group; only JSON documents tell it.
    package var group: String
    package var tag: String

    package init(gateway: String, device: String, group: String = "", tag: String) {
        self.gateway = gateway
        self.device = device
        self.group = group
        self.tag = tag
    }
}

/// Numbers for gateways and series, given once and never changed while the process lives.
package struct SeriesCatalog: Sendable {
    /// The most series that are followed.
    package static let seriesMax = 4_000_000
    /// The most gateways that are followed.
    package static let gatewaysMax = 200_000
    /// The longest name of a gateway, device, group or tag, in bytes of UTF-8.
    package static let nameBytesMax = 1024

    package private(set) var series: [Series] = []
    /// What each series is measured in (UCUM); empty where nobody told.
    package private(set) var units: [String] = []
    package private(set) var gateways: [String] = []
    private var seriesIndices: [Series: Int32] = [:]
    private var gatewayIndices: [String: Int32] = [:]
    private var told = (series: 0, gateways: 0)
    private var changedUnits: [Int32] = []

    package init() {}

    /// What was added or changed since the last call: for a writer that keeps the same numbers.
    package mutating func takeAdditions() -> CatalogAdditions {
        let additions = CatalogAdditions(
            series: Array(series[told.series...]), units: Array(units[told.series...]), gateways: Array(gateways[told.gateways...]),
            changedUnits: changedUnits.filter { Int($0) < told.series }.map { ($0, units[Int($0)]) })
        told = (series.count, gateways.count)
        changedUnits = []
        return additions
    }

    /// The number of a series. Throws `.limitExceeded` when there are too many, or a name is too long.
    package mutating func index(of wanted: Series, unit: String = "") throws(GatewayError) -> Int32 {
        if let known = seriesIndices[wanted] {
            if !unit.isEmpty, units[Int(known)] != unit {
                units[Int(known)] = unit
                changedUnits.append(known)
            }
            return known
        }
        guard series.count < Self.seriesMax else { throw Self.limit("more than \(Self.seriesMax) series") }
        for name in [wanted.gateway, wanted.device, wanted.group, wanted.tag] where name.utf8.count > Self.nameBytesMax {
            throw Self.limit("a name has \(name.utf8.count) bytes, at most \(Self.nameBytesMax) are taken: “\(name.prefix(80))…”")
        }
        let index = Int32(series.count)
        series.append(wanted)
        units.append(unit)
        seriesIndices[wanted] = index
        return index
    }

    /// The number of a gateway. Throws `.limitExceeded` when there are too many.
    package mutating func index(ofGateway name: String) throws(GatewayError) -> Int32 {
        if let known = gatewayIndices[name] { return known }
        guard gateways.count < Self.gatewaysMax else { throw Self.limit("more than \(Self.gatewaysMax) gateways") }
        let index = Int32(gateways.count)
        gateways.append(name)
        gatewayIndices[name] = index
        return index
    }

    private static func limit(_ message: String) -> GatewayError {
        GatewayError(.limitExceeded, resource: "catalogue of series", operation: "receive", message)
    }
}

/// What a catalogue got, in its order: the first of `series` has the number after the last that was told before.
package struct CatalogAdditions: Sendable {
    package var series: [Series] = []
    /// One for each of `series`.
    package var units: [String] = []
    package var gateways: [String] = []
    /// New units of series that were told before.
    package var changedUnits: [(series: Int32, unit: String)] = []

    package init() {}

    init(series: [Series], units: [String], gateways: [String], changedUnits: [(series: Int32, unit: String)]) {
        self.series = series
        self.units = units
        self.gateways = gateways
        self.changedUnits = changedUnits
    }
}
