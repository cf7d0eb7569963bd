internal import Telemetry

/// One metric of a device: a name and an alias that stay what they are as long as the process lives.
struct MetricDefinition: Sendable {
    /// What makes a tag the same metric in another stream: a scan group that was configured anew is a new stream, but its tags go on.
    struct Identity: Hashable {
        var group: String
        var tag: String
        var type: DataType
    }

    var name: String
    /// Unique in the edge node.
    var alias: UInt32
    var datatype: SparkplugDataType
    var unit: String
    /// The scan group and the tag that it was made for.
    var group: String
    var tag: String
}

/// The name space of one device, and the streams that feed it.
struct DeviceMetrics: Sendable {
    let id: String
    /// The device's name in the site.
    let name: String
    /// The definition of which the device is an instance; `nil` where its metrics are flat.
    let template: TemplateName?
    /// The alias of the metric that holds the instance.
    let templateAlias: UInt32
    /// The definition's name as the last birth told it.
    var reference: String?
    let birthTopic: String
    let dataTopic: String
    let deathTopic: String
    private(set) var metrics: [MetricDefinition] = []
    /// Indices into the edge node's streams, in the order of registration.
    var streams: [Int] = []
    /// Whether the births that are out lack a metric of this device, or have one that it lost.
    var needsBirth = true
    /// Whether a birth of this device is out, and no death after it.
    var isBorn = false

    private var indices: [MetricDefinition.Identity: Int] = [:]
    private var names: [String: Int] = [:]
    /// In lower case: names shall differ in more than the case of their letters.
    private var taken: Set<String> = []

    init(id: String, name: String, group: String, node: String, template: TemplateName?, templateAlias: UInt32) {
        self.id = id
        self.name = name
        self.template = template
        self.templateAlias = templateAlias
        if let template { taken.insert(template.name.lowercased()) }
        birthTopic = SparkplugTopic(group: group, type: .deviceBirth, node: node, device: id).text
        dataTopic = SparkplugTopic(group: group, type: .deviceData, node: node, device: id).text
        deathTopic = SparkplugTopic(group: group, type: .deviceDeath, node: node, device: id).text
    }

    /// The index of the metric with this name.
    func index(named name: String) -> Int? { names[name] }

    /// Whether the tags of a scan group are members of the device's template instance: those that its definition has.
    func holdsAsMembers(_ group: String) -> Bool { template != nil && StreamDescriptor.folder(ofGroup: group) == nil }

    func isMember(_ metric: MetricDefinition) -> Bool { holdsAsMembers(metric.group) }

    /// The name of the metric that holds the instance.
    var instanceName: String { template?.name ?? "" }

    /// The metric of each tag of a stream: known ones as they are, new ones with the next aliases.
    mutating func metrics(of descriptor: StreamDescriptor, nextAlias: inout UInt32) -> [Int] {
        var used: Set<Int> = []
        return descriptor.tags.map { tag in
            let identity = MetricDefinition.Identity(group: descriptor.group, tag: tag.name, type: tag.engineeringType)
            if let known = indices[identity], used.insert(known).inserted { return known }
            let index = metrics.count
            let name = freeName(for: identity)
            metrics.append(
                MetricDefinition(
                    name: name, alias: nextAlias, datatype: SparkplugDataType(tag.engineeringType), unit: tag.unit,
                    group: descriptor.group, tag: tag.name))
            nextAlias += 1
            indices[identity] = index
            names[name] = index
            taken.insert(name.lowercased())
            used.insert(index)
            return index
        }
    }

    private func isTaken(_ name: String) -> Bool { taken.contains(name.lowercased()) }

    /// The plain name for who comes first; the group's, then the type's help where it is taken.
    private func freeName(for identity: MetricDefinition.Identity) -> String {
        let plain = StreamDescriptor.folder(ofGroup: identity.group).map { "\($0)/\(identity.tag)" } ?? identity.tag
        let inGroup = "\(identity.group)/\(identity.tag)"
        var candidate = plain
        if isTaken(candidate) { candidate = inGroup }
        if isTaken(candidate) { candidate = "\(inGroup)/\(SparkplugDataType(identity.type).name)" }
        var number = 2
        while isTaken(candidate) {
            candidate = "\(inGroup)/\(SparkplugDataType(identity.type).name)/\(number)"
            number += 1
        }
        return candidate
    }
}

/// A stream as an edge node publishes it.
struct PublishedStream: Sendable {
    let descriptor: StreamDescriptor
    /// Index of its device in the edge node.
    let device: Int
    /// Per tag, the index of its metric in the device.
    let metrics: [Int]
    let encoder: StreamEncoder
    var latest = LatestValues()
    /// Whether the gateway has the stream still; old data of others may come all the same.
    var isRetained = true
    /// Whether data of a stream that is not retained made its metrics known again.
    var isRecalled = false
    /// Whether the last birth of its device has its metrics.
    var isBorn = false
    /// Per tag, whether the host was last told a quality that is not good; empty for no tag.
    private(set) var toldNotGood: [Bool] = []
    private var toldNotGoodCount = 0

    /// - Parameter instanceAlias: of the template instance whose members the metrics are; `nil` where they are flat.
    init(_ descriptor: StreamDescriptor, device: Int, metrics: [Int], aliases: [UInt32], instanceAlias: UInt32?) {
        self.descriptor = descriptor
        self.device = device
        self.metrics = metrics
        encoder = StreamEncoder(descriptor, aliases: aliases, instanceAlias: instanceAlias)
    }

    /// A birth told this of every tag.
    mutating func didTell(isNotGood: [Bool]) {
        toldNotGoodCount = isNotGood.reduce(0) { $1 ? $0 + 1 : $0 }
        toldNotGood = toldNotGoodCount == 0 ? [] : isNotGood
    }

    /// A batch told its tags' qualities.
    mutating func didTell(_ batch: SampleBatch) {
        if toldNotGood.isEmpty {
            if batch.isGood { return }
            toldNotGood = [Bool](repeating: false, count: descriptor.tags.count)
        }
        var first = 0
        for run in batch.quality {
            batch.forEachTag(in: first..<(first + run.count)) { tag in
                guard toldNotGood[tag] == run.status.isGood else { return }
                toldNotGood[tag].toggle()
                toldNotGoodCount += toldNotGood[tag] ? 1 : -1
            }
            first += run.count
        }
        if toldNotGoodCount == 0 { toldNotGood = [] }
    }
}
