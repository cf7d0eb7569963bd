internal import Definitions
internal import Foundation
internal import GatewayCore
internal import PlantSimulation
internal import Telemetry

/// The machines of the demo, many times over with seeds of their own, as batches of their fast scan groups.
struct DemoPlant {
    /// Polls that are made beforehand; after the last the first one follows.
    static let pollsMax = 240

    let descriptors: [StreamDescriptor]
    /// By device and poll: slots as in `SampleBatch.values`.
    private let polls: [[[UInt8]]]

    /// `devices` streams with `tagCount` tags each, polled once a second.
    init(devices: Int, tagCount: Int, seed: UInt64) throws {
        let loaded = ConfigurationLoader().load(
            files: ["firmware-config/demo/site.yaml"], environment: ProcessInfo.processInfo.environment)
        guard let site = loaded.site, !loaded.hasErrors else {
            throw GatewayError(
                .notFound, resource: "firmware-config/demo/site.yaml", operation: "load",
                "the demo plant cannot be loaded; start the benchmark in the folder of the project")
        }
        var descriptors: [StreamDescriptor] = []
        var polls: [[[UInt8]]] = []
        var machineSeed = seed
        for device in 0..<devices {
            var machines: [(machine: any SimulatedMachine, tags: [TagDefinition])] = []
            var tags: [Tag] = []
            while tags.count < tagCount {
                for configured in site.devices where tags.count < tagCount {
                    guard let kind = MachineKind(rawValue: configured.name) else { continue }
                    machineSeed &+= 1
                    let fast = configured.tags.filter { $0.scanGroup == "fast" }.prefix(tagCount - tags.count)
                    let number = machines.count
                    for definition in fast {
                        var tag = definition.tag
                        tag.name = "\(configured.name)-\(number).\(definition.name)"
                        tags.append(tag)
                    }
                    machines.append((kind.make(seed: machineSeed), Array(fast)))
                }
            }
            let descriptor = StreamDescriptor(device: "line-\(device + 1)", group: "fast", tags: tags)
            descriptors.append(descriptor)
            polls.append(
                (0..<DemoPlant.pollsMax).map { _ in
                    var batch = SampleBatch(
                        stream: StreamID(rawValue: 0), descriptor: descriptor, time: Timestamp(nanoseconds: 0), status: .good)
                    var tag = 0
                    for index in machines.indices {
                        machines[index].machine.advance(by: 1)
                        let words = machines[index].machine.registers
                        for definition in machines[index].tags {
                            batch.set(DemoPlant.value(definition, words), tag: tag, in: descriptor)
                            tag += 1
                        }
                    }
                    return batch.values
                })
        }
        self.descriptors = descriptors
        self.polls = polls
    }

    /// What the registers hold at a tag's place, for the types that the demo's fast groups have.
    private static func value(_ definition: TagDefinition, _ words: [UInt16]) -> Variant {
        let offset = definition.address.offset
        return switch definition.tag.dataType {
        case .bool: .bool(words[offset] >> UInt16(definition.address.bit ?? 0) & 1 == 1)
        case .int16: .int(Int64(Int16(bitPattern: words[offset])))
        case .float32: .float(Float(bitPattern: UInt32(words[offset]) << 16 | UInt32(words[offset + 1])))
        default: .uint(UInt64(words[offset]))
        }
    }

    /// The batch of one poll.
    func batch(device: Int, poll: Int, of stream: StreamID, at time: Timestamp) -> SampleBatch {
        SampleBatch(
            stream: stream, time: time, quality: [QualityRun(count: descriptors[device].tags.count, status: .good)],
            values: polls[device][poll % DemoPlant.pollsMax])
    }
}
