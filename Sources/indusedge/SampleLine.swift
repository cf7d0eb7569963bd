internal import Historian
internal import Telemetry

/// One stored sample, for people or programs.
struct SampleLine: Encodable {
    let time: String
    /// `true`, or left out.
    let timeUncertain: Bool?
    let device: String
    let group: String
    let tag: String
    let value: JSONValue?
    /// What the definition calls the value, where it is at hand.
    let label: String?
    let unit: String?
    let status: String

    init(_ sample: HistorianReader.Sample, label: String? = nil) {
        self.label = label
        time = sample.value.time.description
        timeUncertain = sample.value.isTimeUncertain ? true : nil
        device = sample.device
        group = sample.group
        tag = sample.tag
        value = sample.value.value.map(JSONValue.init)
        unit = sample.unit.isEmpty ? nil : sample.unit
        status = sample.value.status.description
    }

    func print(json: Bool) throws {
        if json { return try Output.json(self) }
        let quality = status == StatusCode.good.description ? "" : "  \(status)"
        let folder = StreamDescriptor.folder(ofGroup: group).map { $0 + "/" } ?? ""
        let mark = timeUncertain == true ? "~" : ""
        Output.line(
            "\(mark)\(time)  \(device).\(folder)\(tag)  \(value?.value.description ?? "-")\(label.map { " (\($0))" } ?? "")\(unit.map { " \($0)" } ?? "")\(quality)"
        )
    }
}
