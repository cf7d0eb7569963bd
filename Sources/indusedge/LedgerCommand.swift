internal import ArgumentParser
internal import GatewayCore
internal import Historian
internal import Telemetry

struct LedgerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ledger", abstract: "Account for every sample and every outage: stored, suppressed, sent, pending, evicted, refused.",
        discussion: "sampled = suppressed + stored; stored = on disk + thinned + removed + not on disk; for every reader stored = "
            + "acknowledged + pending + evicted + refused; for every outage pending = delivered late + lost + refused + still pending. "
            + "The terms are counted independently. Exit status 1 when a sum fails, with the tag and the reader it fails for.")

    @Argument(help: ArgumentHelp("The store's folder, or the site document that names it.", valueName: "store"))
    var store: String

    @Flag(help: "A line per tag instead of per device.")
    var tags = false

    @Flag(help: "All outages that are kept instead of the newest of each reader.")
    var outages = false

    @Option(help: "Only outages and times off that ended after this: RFC 3339, or a span back from now like 15m. Counts are not cut.")
    var since: TimeExpression?

    @Flag(help: "Also when devices were not connected: reads their diagnostics since --since, or of the last day.")
    var devices = false

    @Flag(help: "One JSON document instead of text.")
    var json = false

    /// How many outages of a reader are told of unless all are asked for.
    private static let outagesShown = 10
    /// How far back the diagnostics of devices are read unless --since says otherwise.
    private static let deviceSpan = Duration.seconds(-86_400)

    private struct Report: Encodable {
        let balanced: Bool
        let imbalances: [String]
        let total: Ledger.TagRow
        let tags: [Ledger.TagRow]
        let outages: [Outages]
        let downtimes: [Downtime]
        let released: [Released]
        let devices: [Device]?

        struct Device: Encodable {
            let device: String
            let start: String
            let end: String?
            let faultyPolls: UInt64
            let missedPolls: UInt64
            let sentence: String
        }

        struct Outages: Encodable {
            let reader: String
            let outages: [Outage]
            let earlier: Earlier
        }

        struct Released: Encodable {
            let reader: String
            let since: String
            let sentence: String
        }

        struct Span: Encodable {
            let start: String
            let end: String?

            init(_ span: Ledger.TimeSpan) {
                start = span.start.description
                end = span.end.description
            }
        }

        struct Outage: Encodable {
            let start: String
            let end: String?
            let losses: UInt64
            let samples: UInt64
            let carriedOver: UInt64
            let delivered: UInt64
            let lost: UInt64
            let refused: UInt64
            let pending: UInt64
            let gatewayOff: [Span]
            let sentence: String
        }

        struct Earlier: Encodable {
            let outages: UInt64
            let start: String?
            let end: String?
            let samples: UInt64
            let delivered: UInt64
            let lost: UInt64
            let refused: UInt64
        }

        struct Downtime: Encodable {
            let lastSample: String
            let firstSample: String
            let epochBefore: UInt32
            let epochAfter: UInt32
            let stopped: String?
            let started: String?
            let sentence: String
        }

        let storage: StorageAccount

        init(_ ledger: Ledger, storage: StorageAccount, devices: [DeviceOutages]?) {
            self.storage = storage
            self.devices = devices?.flatMap { device in
                device.outages.map { outage in
                    Device(
                        device: device.device, start: outage.start.description, end: outage.end?.description,
                        faultyPolls: outage.faultyPolls, missedPolls: outage.missedPolls, sentence: outage.sentence(device: device.device))
                }
            }
            balanced = ledger.isBalanced
            imbalances = ledger.imbalances
            total = ledger.total
            tags = ledger.tags
            outages = ledger.outages.map { cursor in
                Outages(
                    reader: cursor.cursor,
                    outages: cursor.outages.map { outage in
                        Outage(
                            start: outage.start.description, end: outage.end?.description, losses: outage.losses, samples: outage.samples,
                            carriedOver: outage.carriedOver, delivered: outage.delivered, lost: outage.lost, refused: outage.refused,
                            pending: outage.pending, gatewayOff: outage.gatewayOff.map(Span.init), sentence: cursor.sentence(outage))
                    },
                    earlier: Earlier(
                        outages: cursor.earlier.outages, start: cursor.earlier.from?.description,
                        end: cursor.earlier.through?.description, samples: cursor.earlier.samples, delivered: cursor.earlier.delivered,
                        lost: cursor.earlier.lost, refused: cursor.earlier.refused))
            }
            downtimes = ledger.downtimes.map { downtime in
                Downtime(
                    lastSample: downtime.span.start.description, firstSample: downtime.span.end.description,
                    epochBefore: downtime.epochBefore, epochAfter: downtime.epochAfter, stopped: downtime.stopped?.description,
                    started: downtime.started?.description, sentence: downtime.sentence)
            }
            released = ledger.released.map { Released(reader: $0.cursor, since: $0.since.description, sentence: $0.sentence) }
        }
    }

    func run() async throws {
        try await reportingErrors {
            let reader = try Historian.openReadOnly(folder: storeFolder(store))
            let now = SystemTime().utc
            var ledger = try reader.ledger()
            let (isBalanced, imbalances) = (ledger.isBalanced, ledger.imbalances)
            if let since { ledger = ledger.limited(to: since.timestamp(now: now)) }
            let start = since?.timestamp(now: now) ?? now.advanced(by: LedgerCommand.deviceSpan)
            let deviceOutages = devices ? try reader.deviceOutages(since: start) : nil
            if json {
                try Output.json(Report(ledger, storage: try reader.storage(), devices: deviceOutages))
            } else {
                printText(ledger, deviceOutages, try reader.storage())
            }
            guard !isBalanced else { return }
            for imbalance in imbalances { Output.trouble("does not balance: \(imbalance)") }
            throw ExitCode.failure
        }
    }

    private func printText(_ ledger: Ledger, _ devices: [DeviceOutages]?, _ storage: StorageAccount) {
        printTags(ledger)
        Output.line("")
        printReaders(ledger.total)
        Output.line("")
        for sentence in ledger.explanation { Output.line(sentence) }
        for released in ledger.released { Output.line(released.sentence) }
        printOutages(ledger)
        for device in devices ?? [] {
            for outage in device.outages { Output.line(outage.sentence(device: device.device)) }
        }
        Output.line("")
        Output.line(storage.sentence)
        let total = ledger.total
        let lost = total.cursors.reduce(0) { $0 + $1.evicted + $1.refused } + total.notOnDisk
        Output.line(
            ledger.isBalanced
                ? "The ledger balances; \(lost == 0 ? "nothing was lost." : "what was lost is counted above.")"
                : "The ledger does NOT balance for \(ledger.unbalanced.count) tags; --tags shows them.")
    }

    private func printTags(_ ledger: Ledger) {
        var rows = [["", "sampled", "= suppressed", "+ stored", "on disk", "thinned", "removed", "not on disk", ""]]
        func row(_ name: String, _ account: Ledger.TagRow) -> [String] {
            [
                name, String(account.sampled), String(account.suppressed), String(account.stored), String(account.onDisk),
                String(account.thinned), String(account.removed), String(account.notOnDisk), account.isBalanced ? "" : "DOES NOT BALANCE",
            ]
        }
        if tags {
            for tag in ledger.tags { rows.append(row(tag.name, tag)) }
        } else {
            for device in ledger.tags.map(\.device).uniqued() {
                rows.append(row(device, Ledger(tags: ledger.tags.filter { $0.device == device }).total))
            }
        }
        rows.append(row("all", ledger.total))
        Output.table(rows)
    }

    private func printReaders(_ total: Ledger.TagRow) {
        Output.table(
            [["reader", "stored", "= acknowledged", "+ pending", "+ evicted", "+ refused", ""]]
                + total.cursors.map {
                    [
                        $0.cursor, String($0.stored), String($0.acknowledged), String($0.pending), String($0.evicted), String($0.refused),
                        $0.isBalanced ? "" : "DOES NOT BALANCE",
                    ]
                })
    }

    private func printOutages(_ ledger: Ledger) {
        if !ledger.outages.isEmpty || !ledger.downtimes.isEmpty { Output.line("") }
        for cursor in ledger.outages {
            if let earlier = cursor.earlierSentence { Output.line(earlier) }
            let shown = outages ? cursor.outages.count : min(LedgerCommand.outagesShown, cursor.outages.count)
            if shown < cursor.outages.count {
                Output.line("\(cursor.reader): \(cursor.outages.count - shown) more outages before these; --outages shows them")
            }
            for outage in cursor.outages.suffix(shown) { Output.line(cursor.sentence(outage)) }
        }
        let shown = outages ? ledger.downtimes.count : LedgerCommand.outagesShown
        for downtime in ledger.downtimes.suffix(shown) { Output.line(downtime.sentence) }
    }
}

/// When one device was not connected.
struct DeviceOutages {
    let device: String
    let outages: [DeviceOutageFinder.Outage]
}

extension HistorianReader {
    /// What the diagnostics kept since `since` tell of each device's connection.
    fileprivate func deviceOutages(since: Timestamp) throws -> [DeviceOutages] {
        var finders: [String: DeviceOutageFinder] = [:]
        var values: [String: Variant] = [:]
        let tags = ["online", "missedPolls", "faultyPolls"]
        // The tags of a batch come one after the other, in the order of the stream.
        try query(tags: tags, from: since) { sample in
            guard sample.group == StreamDescriptor.diagnosticsGroup else { return }
            values[sample.tag] = sample.value.value
            guard sample.tag == tags.last else { return }
            if case .bool(let isOnline) = values["online"], case .uint(let missed) = values["missedPolls"],
                case .uint(let faulty) = values["faultyPolls"]
            {
                finders[sample.device, default: DeviceOutageFinder()].add(
                    time: sample.value.time, isOnline: isOnline, faultyPolls: faulty, missedPolls: missed)
            }
            values = [:]
        }
        return finders.sorted { $0.key < $1.key }.map { DeviceOutages(device: $0.key, outages: $0.value.outages) }
    }
}

extension Ledger {
    /// Without the outages and times off that were over by `since`.
    fileprivate func limited(to since: Timestamp) -> Ledger {
        var ledger = self
        for index in ledger.outages.indices {
            ledger.outages[index].outages.removeAll { outage in outage.end.map { $0 < since } ?? false }
            if let through = ledger.outages[index].earlier.through, through < since { ledger.outages[index].earlier = OutageSum() }
        }
        ledger.outages.removeAll { $0.outages.isEmpty && $0.earlier.outages == 0 }
        ledger.downtimes.removeAll { $0.span.end < since }
        return ledger
    }
}

extension [String] {
    /// Each element once, in the order of its first appearance.
    fileprivate func uniqued() -> [String] {
        var seen: Set<String> = []
        return filter { seen.insert($0).inserted }
    }
}
