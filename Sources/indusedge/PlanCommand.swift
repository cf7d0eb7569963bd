internal import ArgumentParser
internal import Definitions
internal import Gateway

struct PlanCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan",
        abstract: "Show, offline, how the devices will be read: requests, bytes, time, and which groups cannot make their period.",
        discussion: """
            Uses what an earlier run of the same site measured and learned, where its log is here; else usual times for lines of each kind. \
            Exit status 1 when a group cannot make its period.
            """)

    @Argument(help: ArgumentHelp("The site document, and definitions that it does not name.", valueName: "file"))
    var files: [String]

    @Flag(help: "One JSON document instead of text.")
    var json = false

    func run() async throws {
        try await reportingErrors {
            let plan = SitePlan(try loadSite(files))
            if json {
                try Output.json(plan)
            } else {
                for line in plan.lines { PlanCommand.show(line) }
                for problem in plan.problems {
                    Output.line("problem: group \(problem.group) of device \(problem.device) cannot make its period: \(problem.message)")
                }
                Output.line("\(plan.lines.count) lines, \(plan.problems.count) problems")
            }
            if !plan.problems.isEmpty { throw ExitCode.failure }
        }
    }

    private static func show(_ line: SitePlan.Line) {
        Output.line("line \(line.name): busy \(SitePlan.percent(line.utilisation)) of the time")
        for device in line.devices {
            let source = device.isMeasured ? "times as measured" : "times of a usual line"
            Output.line("  device \(device.name) (\(device.definition), unit \(device.unit); \(source))")
            for group in device.groups {
                let share = SitePlan.percent(group.predictedSeconds / group.periodSeconds)
                var text =
                    "    group \(group.name) every \(SitePlan.milliseconds(group.periodSeconds)): "
                    + "\(group.requests.count) \(group.requests.count == 1 ? "request" : "requests"), \(group.bytes) bytes, "
                    + "\(SitePlan.milliseconds(group.predictedSeconds)) predicted, \(share) of the period"
                if let mean = group.achievedMeanSeconds, let p95 = group.achievedP95Seconds {
                    text += "; last achieved \(SitePlan.milliseconds(mean)) in the mean, 95 % within \(SitePlan.milliseconds(p95))"
                }
                Output.line(text)
                for request in group.requests {
                    let unit = request.table == "coil" || request.table == "discrete" ? "bits" : "registers"
                    let vain = request.inVain > 0 ? ", \(request.inVain) \(unit) read in vain" : ""
                    Output.line(
                        "      \(request.table) \(request.start)…\(request.start + request.count - 1): \(request.count) \(unit), "
                            + "\(request.tags) \(request.tags == 1 ? "tag" : "tags")\(vain)")
                }
                if !group.refusedTags.isEmpty {
                    Output.line("      not asked for, since the device refuses them: \(group.refusedTags.joined(separator: ", "))")
                }
            }
        }
    }
}
