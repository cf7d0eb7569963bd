internal import Foundation
internal import GatewayCore
internal import Sparkplug
internal import Telemetry

/// Draws what a `PlantObserver` has learned: a picture that is redrawn on a terminal, lines elsewhere.
struct PlantView: Sendable {
    let observer: PlantObserver
    /// The gateway's store, for its size.
    let data: String?
    let labels: ValueLabels
    let time: any TimeSource

    private static let redrawEvery = Duration.milliseconds(500)
    private static let lineEvery = Duration.seconds(5)
    /// Values shown per machine; the rest is there, but not on the screen.
    private static let valuesMax = 7

    func run(until deadline: MonotonicInstant?) async throws {
        let isTerminal = isatty(STDOUT_FILENO) == 1
        let period = isTerminal ? Self.redrawEvery : Self.lineEvery
        var next = time.now
        var last = (time: time.now, messages: UInt64(0), samples: UInt64(0))
        while true {
            next = next.advanced(by: period)
            try await time.sleep(until: deadline.map { min($0, next) } ?? next)
            let picture = observer.picture
            let seconds = max(0.001, last.time.duration(to: time.now).inSeconds)
            let rates = (
                messages: Double(picture.messages - last.messages) / seconds, samples: Double(picture.samples - last.samples) / seconds
            )
            last = (time.now, picture.messages, picture.samples)
            if isTerminal {
                Output.line("\u{1B}[H\u{1B}[2J" + drawing(picture, rates))
            } else {
                for line in summary(picture, rates) { Output.line(line) }
            }
            if let deadline, time.now >= deadline { return }
        }
    }

    private func header(_ picture: PlantObserver.Picture, _ rates: (messages: Double, samples: Double)) -> String {
        let connection = picture.isConnected ? "\(picture.tlsVersion ?? "no TLS"), client certificate" : "NOT CONNECTED \(picture.trouble)"
        let size = data.map { "   log \(megabytes(of: $0))" } ?? ""
        return "broker \(observer.broker): \(connection)   \(decimal(rates.messages)) messages/s, \(decimal(rates.samples)) samples/s, "
            + "\(picture.samples) samples\(size)"
    }

    private func summary(_ picture: PlantObserver.Picture, _ rates: (messages: Double, samples: Double)) -> [String] {
        [header(picture, rates)]
            + picture.machines.sorted { $0.key < $1.key }.map { name, machine in
                "  \(name): health \(health(machine)) \(machine.state) \(machine.reason)"
                    + (machine.trouble.isEmpty ? "" : "   device \(machine.trouble)")
            }
    }

    private func drawing(_ picture: PlantObserver.Picture, _ rates: (messages: Double, samples: Double)) -> String {
        var lines = ["IndusEdge   \(header(picture, rates))", ""]
        for (name, machine) in picture.machines.sorted(by: { $0.key < $1.key }) {
            lines.append("\(bold(name))   \(bar(machine)) \(health(machine))  \(machine.state)   \(machine.reason)")
            if !machine.trouble.isEmpty { lines.append("    device \(machine.trouble)") }
            for tag in machine.names.prefix(Self.valuesMax) {
                guard let update = machine.values[tag] else { continue }
                let time = update.value.isTimeUncertain ? "  ~ time uncertain" : ""
                let quality = (update.value.status.isGood ? "" : "  \(update.value.status)") + time
                lines.append(
                    "    \(tag.padding(toLength: 24, withPad: " ", startingAt: 0)) \(shown(update.value.value)) \(update.unit)\(label(update.value, name, tag))\(quality)"
                )
            }
            lines.append("")
        }
        if picture.machines.isEmpty { lines.append("waiting for the first births …") }
        if picture.violationCount > 0 {
            lines.append("\(picture.violationCount) violations of Sparkplug: \(picture.violations.first ?? "")")
        }
        lines.append("Ctrl-C ends.")
        return lines.joined(separator: "\n")
    }

    private func health(_ machine: PlantObserver.Machine) -> String { machine.health.map { "\(Int($0.rounded()))" } ?? "–" }

    private func bar(_ machine: PlantObserver.Machine) -> String {
        guard let health = machine.health else { return "[··········]" }
        let full = Int((health / 10).rounded())
        let colour = health < 60 ? "31" : health < 80 ? "33" : "32"
        return "\u{1B}[\(colour)m[\(String(repeating: "█", count: full))\(String(repeating: "·", count: 10 - full))]\u{1B}[0m"
    }

    private func bold(_ text: String) -> String { "\u{1B}[1m\(text)\u{1B}[0m" }

    private func shown(_ value: Variant?) -> String {
        switch value {
        case .none: "–"
        case .double(let number): decimal(number)
        case .float(let number): decimal(Double(number))
        case .some(let other): other.description
        }
    }

    private func label(_ value: DataValue, _ device: String, _ tag: String) -> String {
        // A metric is called group/tag.
        labels.label(of: value, device: device, tag: tag.split(separator: "/").last.map(String.init) ?? tag).map { " (\($0))" } ?? ""
    }

    private func decimal(_ number: Double) -> String { String(format: "%.2f", number) }

    private func megabytes(of folder: String) -> String {
        var bytes = 0
        let keys: [URLResourceKey] = [.fileSizeKey]
        let files = FileManager.default.enumerator(at: URL(fileURLWithPath: folder), includingPropertiesForKeys: keys)
        while let file = files?.nextObject() as? URL { bytes += (try? file.resourceValues(forKeys: Set(keys)).fileSize) ?? 0 }
        return String(format: "%.2f MB", Double(bytes) / 1e6)
    }
}
