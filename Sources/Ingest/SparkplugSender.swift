internal import Sparkplug
internal import Telemetry

/// What is known of one edge node: the names behind its aliases, per start of the gateway.
///
/// Aliases of two starts differ, and births and data may reach a receiver apart (shared subscriptions, sessions that go on): a batch is only ever read with
/// the births of its own start. Nodes whose births carry no start, as those of other makers, have one set of names, the last.
struct SparkplugSender: Sendable {
    struct Metric: Sendable {
        var series: Int32
        /// A Sparkplug datatype code.
        var datatype: UInt32
        /// The quality last told, for senders that repeat it only when it changes.
        var status: UInt32
        /// Index of the device; -1 for the node itself.
        var device: Int32
    }

    /// The names of one start.
    struct Generation: Sendable {
        var epoch: UInt32?
        var metrics: [Metric] = []
        /// Small aliases lie side by side: index into `metrics`, or -1.
        var smallAliases: [Int32] = []
        var otherAliases: [UInt64: Int32] = [:]
        var names: [SeriesName: Int32] = [:]
        var isNodeBorn = false
        var devices: [String: Int32] = [:]

        @inline(__always)
        func metric(alias: UInt64) -> Int32 {
            if alias < UInt64(smallAliases.count) { return smallAliases[Int(alias)] }
            return otherAliases[alias] ?? -1
        }
    }

    struct SeriesName: Hashable {
        var device: Int32
        var name: String
    }

    /// Aliases below this lie side by side.
    static let smallAliasMax: UInt64 = 1 << 19
    /// The most metrics of one start of a node.
    static let metricsMax = 500_000
    /// How many starts of a gateway are remembered.
    static let generationsMax = 4

    let gateway: Int32
    let name: String
    private(set) var generations: [Generation] = []

    init(gateway: Int32, name: String) {
        self.gateway = gateway
        self.name = name
    }

    /// The names that data of this start is read with; `nil` when no birth told of them.
    func generation(of epoch: UInt32?) -> Int? { generations.firstIndex { $0.epoch == epoch } }

    /// A metric's place by alias in a generation; -1 when unknown.
    @inline(__always)
    func metric(_ generation: Int, alias: UInt64) -> Int32 { generations[generation].metric(alias: alias) }

    func metric(_ generation: Int, device: String?, name: String) -> Int32 {
        guard let index = deviceIndex(generation, device) else { return -1 }
        return generations[generation].names[SeriesName(device: index, name: name)] ?? -1
    }

    func deviceIndex(_ generation: Int, _ device: String?) -> Int32? {
        guard let device else { return -1 }
        return generations[generation].devices[device]
    }

    /// Forgets the births of senders without starts: what happened while nobody listened is unknown.
    mutating func forgetForeignBirths() { generations.removeAll { $0.epoch == nil } }

    /// Takes note of the quality that a sender told.
    mutating func told(_ status: UInt32, _ metric: Int32, in generation: Int) {
        generations[generation].metrics[Int(metric)].status = status
    }

    /// Reads NBIRTH or DBIRTH. Throws `.limitExceeded` for too many metrics.
    mutating func birth(
        _ payload: SparkplugPayload, device: String?, epoch: UInt32?, catalog: inout SeriesCatalog
    ) throws(GatewayError) {
        let place: Int
        if let known = generation(of: epoch) {
            place = known
            // A new session of a sender without starts: its aliases begin anew. With a start they stay as long as the gateway runs.
            if device == nil, epoch == nil { generations[place] = Generation(epoch: nil) }
        } else {
            if generations.count >= Self.generationsMax { generations.removeFirst() }
            generations.append(Generation(epoch: epoch))
            place = generations.count - 1
        }
        var generation = generations[place]
        // In place from here on: two references would copy all names of the node.
        generations[place] = Generation(epoch: epoch)
        defer { generations[place] = generation }
        let deviceIndex: Int32
        if let device {
            deviceIndex = generation.devices[device] ?? Int32(generation.devices.count)
            generation.devices[device] = deviceIndex
        } else {
            deviceIndex = -1
            generation.isNodeBorn = true
        }
        for metric in payload.metrics {
            guard let name = metric.name, let datatype = metric.datatype else { continue }
            let series = try catalog.index(of: Series(gateway: self.name, device: device ?? "", tag: name), unit: metric.unit ?? "")
            let status = (metric.quality?.status ?? .good).rawValue
            let known = Metric(series: series, datatype: datatype, status: status, device: deviceIndex)
            let id = SeriesName(device: deviceIndex, name: name)
            let index: Int32
            if let present = generation.names[id] {
                index = present
                generation.metrics[Int(present)] = known
            } else {
                guard generation.metrics.count < Self.metricsMax else {
                    throw GatewayError(
                        .limitExceeded, resource: "edge node \(self.name)", operation: "receive", "more than \(Self.metricsMax) metrics")
                }
                index = Int32(generation.metrics.count)
                generation.names[id] = index
                generation.metrics.append(known)
            }
            guard let alias = metric.alias else { continue }
            if alias < Self.smallAliasMax {
                let place = Int(alias)
                if place >= generation.smallAliases.count {
                    generation.smallAliases += [Int32](
                        repeating: -1, count: max(place + 1, 2 * generation.smallAliases.count) - generation.smallAliases.count)
                }
                generation.smallAliases[place] = index
            } else {
                generation.otherAliases[alias] = index
            }
        }
    }

    /// NDEATH: what comes next from a sender without starts needs a new birth.
    mutating func died() { forgetForeignBirths() }
}
