internal import GatewayCore
internal import Telemetry

/// The log entries that are read and not done with: which cluster sends each, what waits, what is on its way, and how far the cursor may move.
///
/// Each of the cursor's two lanes has a list of its own, in the order of the log. Acknowledgements come in any order, and the cursor may only move
/// over what is done with from the first on. An entry is kept until then, so that it can be sent through another cluster.
struct DeliveryWindow: Sendable {
    /// What an acknowledgement allows.
    struct Progress: Equatable {
        var lane: LogLane
        /// The cursor may be acknowledged up to here.
        var through: LogPosition
        var entries: UInt64
        var samples: UInt64
    }

    /// An entry to send. Its ticket names it in acknowledgements.
    struct Item: Sendable {
        var ticket: UInt64
        var batch: SampleBatch
        var isFromDisk: Bool
        /// Whether a lane of fresher data runs beside this one.
        var isBacklog: Bool
        var samples: UInt64
    }

    /// How much may be on its way to each cluster.
    struct Limits: Sendable {
        var messagesMax: Int
        var bytesMax: Int
        var backlogSharePercent = 50
    }

    private enum Phase { case waiting, taken, done }

    private struct Slot {
        var position: LogPosition
        var samples: UInt64
        /// `nil` when it is done with.
        var batch: SampleBatch?
        var isFromDisk: Bool
        var device: Int
        var cluster: Int
        var isAlarm: Bool
        var isBacklog: Bool
        var phase: Phase
        var messages = 0
        var bytes: Int
        var sentAt = MonotonicInstant(nanoseconds: 0)
    }

    /// The entries of one of the cursor's lanes.
    private struct Line {
        var slots: [Slot] = []
        /// Slots before this one are gone; they are cut off now and then.
        var head = 0
        /// Number of the slot at index 0.
        var firstNumber: UInt64 = 0
        /// Per cluster, the number before which nothing waits.
        var nextWaiting: [UInt64]
        var waiting = 0
        var waitingBytes = 0

        var count: Int { slots.count - head }
        func index(of number: UInt64) -> Int? {
            guard number >= firstNumber + UInt64(head), number - firstNumber < UInt64(slots.count) else { return nil }
            return Int(number - firstNumber)
        }
    }

    private struct Cluster {
        var messages = 0
        var bytes = 0
        var backlogMessages = 0
        var backlogBytes = 0
        var waitingAlarms = 0
        /// What the broker takes at once, where it says so.
        var messagesMax = Int.max
        var window: DelayWindow
        var progressAt: MonotonicInstant?
    }

    /// The most entries of a lane that are read and not done with.
    static let slotsMax = 65_536
    /// The most entries of a lane that wait to be sent, and how many bytes of raw values they may have before no more are read.
    static let waitingMax = 4096
    static let waitingBytesMax = 4 << 20
    /// The most entries that are read at once.
    static let readMax = 256

    let limits: Limits
    private var lines: [Line]
    private var clusters: [Cluster]
    /// Entries of both lanes that wait to be sent, and their bytes.
    var waiting: Int { lines.reduce(0) { $0 + $1.waiting } }
    var waitingBytes: Int { lines.reduce(0) { $0 + $1.waitingBytes } }
    private var waitingFresh = 0
    /// Those of them that were read before the live lane began.
    private var waitingFreshOnBacklogLane = 0
    /// Devices whose entries are held back until they can move to another cluster.
    private var held: Set<Int> = []
    /// Whether the cursor has a live lane; until then its one lane is the freshest there is.
    private(set) var hasLiveLane = false
    /// While a live lane ends, nothing more is taken from it.
    private(set) var isLiveLaneEnding = false

    init(clusterCount: Int, limits: Limits) {
        self.limits = limits
        lines = LogLane.allCases.map { _ in Line(nextWaiting: [UInt64](repeating: 0, count: clusterCount)) }
        clusters = (0..<clusterCount).map { _ in Cluster(window: DelayWindow(bytesMax: limits.bytesMax)) }
    }

    private static func line(of lane: LogLane) -> Int { lane == .backlog ? 0 : 1 }
    private static func lane(of line: Int) -> LogLane { line == 0 ? .backlog : .live }

    /// Messages on their way to a cluster.
    func messages(to cluster: Int) -> Int { clusters[cluster].messages }
    /// Messages on their way to any cluster.
    var messages: Int { clusters.reduce(0) { $0 + $1.messages } }
    /// When the last acknowledgement of a cluster came, or its first message left after a pause; `nil` while nothing is on its way.
    func progressTime(of cluster: Int) -> MonotonicInstant? { clusters[cluster].messages > 0 ? clusters[cluster].progressAt : nil }

    /// Takes the broker's limit, which counts until it gives another.
    mutating func limit(_ cluster: Int, toMessages limit: Int) { clusters[cluster].messagesMax = max(1, limit) }

    // MARK: - Reading

    /// How many entries may be read on a lane now; 0: none, until some are sent. What waits on one lane never holds up the other.
    func room(on lane: LogLane) -> Int {
        let line = lines[Self.line(of: lane)]
        guard line.waiting < Self.waitingMax, line.count < Self.slotsMax - Self.readMax, line.waitingBytes < Self.waitingBytesMax else {
            return 0
        }
        let mean = line.waiting == 0 ? 0 : line.waitingBytes / line.waiting
        return mean == 0 ? 32 : max(1, min(Self.readMax, (Self.waitingBytesMax - line.waitingBytes) / mean))
    }

    /// Takes a batch that was read. It waits until `take` gives it out.
    mutating func append(
        _ batch: SampleBatch, at position: LogPosition, isFromDisk: Bool, samples: UInt64, device: Int, isAlarm: Bool, cluster: Int,
        on lane: LogLane
    ) {
        let isBacklog = lane == .backlog && hasLiveLane
        let bytes = max(batch.values.count, 1)
        let line = Self.line(of: lane)
        let slot = Slot(
            position: position, samples: samples, batch: batch, isFromDisk: isFromDisk, device: device, cluster: cluster, isAlarm: isAlarm,
            isBacklog: isBacklog, phase: .waiting, bytes: bytes)
        lines[line].slots.append(slot)
        startsWaiting(slot, on: line)
    }

    /// Takes an entry that has nothing to send. Returns what that allows.
    mutating func pass(over position: LogPosition, on lane: LogLane) -> Progress? {
        let line = Self.line(of: lane)
        lines[line].slots.append(
            Slot(
                position: position, samples: 0, batch: nil, isFromDisk: false, device: 0, cluster: 0, isAlarm: false, isBacklog: false,
                phase: .done, bytes: 0))
        return advance(line)
    }

    /// The time of the oldest fresh entry that still waits.
    var oldestFreshWaiting: SampleBatch? {
        guard waitingFresh > 0 else { return nil }
        for line in lines {
            for slot in line.slots[line.head...] where slot.phase == .waiting && !slot.isBacklog { return slot.batch }
        }
        return nil
    }

    // MARK: - Lanes

    /// The cursor began its live lane.
    mutating func didBeginLiveLane() {
        hasLiveLane = true
        isLiveLaneEnding = false
        drop(line: 1)
    }

    /// Stops sending on the live lane, which is about to begin anew. Returns whether nothing of it is on its way any more.
    mutating func endLiveLane() -> Bool {
        isLiveLaneEnding = true
        return !lines[1].slots[lines[1].head...].contains { $0.phase == .taken }
    }

    mutating func keepLiveLane() { isLiveLaneEnding = false }

    /// Forgets everything: the cursor goes back to what is acknowledged, and its live lane ends.
    mutating func clear() {
        drop(line: 0)
        drop(line: 1)
        hasLiveLane = false
        isLiveLaneEnding = false
        held = []
        for cluster in clusters.indices {
            clusters[cluster] = Cluster(messagesMax: clusters[cluster].messagesMax, window: DelayWindow(bytesMax: limits.bytesMax))
        }
    }

    private mutating func drop(line: Int) {
        for slot in lines[line].slots[lines[line].head...] {
            if slot.phase == .waiting { stopsWaiting(slot, on: line) }
            if slot.phase == .taken { leave(slot) }
        }
        lines[line].firstNumber += UInt64(lines[line].slots.count)
        lines[line].slots = []
        lines[line].head = 0
        for cluster in clusters.indices { lines[line].nextWaiting[cluster] = lines[line].firstNumber }
    }

    // MARK: - Sending

    /// The next entries that a cluster shall send, in this order: fresh data before backlog, and in each alarms first.
    ///
    /// - Parameters:
    ///   - limit: how many at most.
    ///   - allowed: whether a lane may send now.
    mutating func take(
        for cluster: Int, atMost limit: Int, at now: MonotonicInstant, allowed: (_ isBacklog: Bool) -> Bool
    ) -> [Item] {
        var items: [Item] = []
        guard waiting > 0 else { return items }
        for isBacklog in [false, true] {
            guard isBacklog ? waiting > waitingFresh : waitingFresh > 0, allowed(isBacklog) else { continue }
            // A message that waits for the first byte of the link is better than a link that waits.
            for alarmsOnly in clusters[cluster].waitingAlarms > 0 ? [true, false] : [false] {
                for line in lines.indices {
                    let isEmpty = line == 0 ? !isBacklog && waitingFreshOnBacklogLane == 0 : isBacklog || isLiveLaneEnding
                    if isEmpty { continue }
                    take(from: line, cluster, isBacklog, alarmsOnly, limit, now, &items)
                }
            }
        }
        return items
    }

    private mutating func take(
        from line: Int, _ cluster: Int, _ isBacklog: Bool, _ alarmsOnly: Bool, _ limit: Int, _ now: MonotonicInstant, _ items: inout [Item]
    ) {
        var number = max(lines[line].nextWaiting[cluster], lines[line].firstNumber + UInt64(lines[line].head))
        var firstLeft: UInt64?
        let end = lines[line].firstNumber + UInt64(lines[line].slots.count)
        while number < end {
            let index = Int(number - lines[line].firstNumber)
            let slot = lines[line].slots[index]
            if slot.cluster == cluster, slot.phase == .waiting {
                let isDue = slot.isBacklog == isBacklog && (slot.isAlarm || !alarmsOnly) && !held.contains(slot.device)
                if isDue {
                    guard items.count < limit, hasRoom(cluster, isBacklog: isBacklog) else {
                        firstLeft = firstLeft ?? number
                        break
                    }
                    if let batch = slot.batch {
                        stopsWaiting(slot, on: line)
                        lines[line].slots[index].phase = .taken
                        lines[line].slots[index].messages = 1
                        lines[line].slots[index].sentAt = now
                        enter(cluster, messages: 1, bytes: slot.bytes, isBacklog: isBacklog, at: now)
                        items.append(
                            Item(
                                ticket: number << 1 | UInt64(line), batch: batch, isFromDisk: slot.isFromDisk, isBacklog: isBacklog,
                                samples: slot.samples))
                    }
                } else {
                    firstLeft = firstLeft ?? number
                }
            }
            number += 1
        }
        lines[line].nextWaiting[cluster] = firstLeft ?? number
    }

    /// Whether another entry may be sent. One may go over the limits, so that one that is larger than they are is not stuck for ever.
    private func hasRoom(_ cluster: Int, isBacklog: Bool) -> Bool {
        let state = clusters[cluster]
        if state.messages == 0 { return true }
        guard state.messages < min(limits.messagesMax, state.messagesMax), state.bytes < limits.bytesMax else { return false }
        if !isBacklog { return state.bytes - state.backlogBytes < state.window.bytes }
        if state.backlogMessages == 0 { return true }
        return state.bytes < state.window.bytes && state.backlogBytes < state.window.bytes * limits.backlogSharePercent / 100
            && state.backlogMessages < max(1, limits.messagesMax * limits.backlogSharePercent / 100)
    }

    /// An entry that was taken goes out as so many messages and bytes; 0 messages: it is done with.
    ///
    /// Returns whether it may go out still (its cluster may have been lost meanwhile), and what it allows.
    mutating func sending(
        _ ticket: UInt64, by cluster: Int, messages: Int, bytes: Int, at now: MonotonicInstant
    ) -> (isValid: Bool, progress: Progress?) {
        guard let (line, index) = find(ticket, cluster) else { return (false, nil) }
        let slot = lines[line].slots[index]
        leave(slot)
        lines[line].slots[index].messages = messages
        lines[line].slots[index].bytes = bytes
        lines[line].slots[index].sentAt = now
        if messages == 0 { return (true, finish(line, index)) }
        enter(cluster, messages: messages, bytes: bytes, isBacklog: slot.isBacklog, at: now)
        return (true, nil)
    }

    /// An entry that was taken can never be sent: it is passed over, and its samples count as nobody's. Returns what that allows.
    mutating func refuse(_ ticket: UInt64, by cluster: Int) -> Progress? {
        guard let (line, index) = find(ticket, cluster) else { return nil }
        leave(lines[line].slots[index])
        lines[line].slots[index].samples = 0
        return finish(line, index)
    }

    /// Takes the acknowledgement of one message. One that the window does not expect is ignored: a peer may say anything.
    mutating func acknowledge(
        _ ticket: UInt64, by cluster: Int, at now: MonotonicInstant
    ) -> (roundTrip: Duration, bytes: Int, progress: Progress?)? {
        guard let (line, index) = find(ticket, cluster) else { return nil }
        let slot = lines[line].slots[index]
        let roundTrip = slot.sentAt.duration(to: now)
        clusters[cluster].progressAt = now
        if slot.messages > 1 {
            lines[line].slots[index].messages -= 1
            clusters[cluster].messages -= 1
            if slot.isBacklog { clusters[cluster].backlogMessages -= 1 }
            return (roundTrip, 0, nil)
        }
        clusters[cluster].window.acknowledged(slot.bytes, after: roundTrip, inFlight: clusters[cluster].bytes, at: now)
        leave(slot)
        return (roundTrip, slot.bytes, finish(line, index))
    }

    /// The place in the log of an entry that is on its way to a cluster, and its samples.
    func entry(_ ticket: UInt64, of cluster: Int) -> (position: LogPosition, samples: UInt64)? {
        guard let (line, index) = find(ticket, cluster) else { return nil }
        return (lines[line].slots[index].position, lines[line].slots[index].samples)
    }

    private func find(_ ticket: UInt64, _ cluster: Int) -> (line: Int, index: Int)? {
        let line = Int(ticket & 1)
        guard let index = lines[line].index(of: ticket >> 1), lines[line].slots[index].phase == .taken,
            lines[line].slots[index].cluster == cluster
        else { return nil }
        return (line, index)
    }

    // MARK: - Clusters

    /// Gives all that is not done with, and whose cluster is none of `clusters` or is to be left, to others: what was on its way waits again.
    mutating func reassign(leaving lost: Int?, to place: (_ device: Int) -> Int) {
        held = []
        for line in lines.indices {
            for index in lines[line].slots.indices.dropFirst(lines[line].head) {
                let slot = lines[line].slots[index]
                switch slot.phase {
                case .done: continue
                case .taken:
                    guard slot.cluster == lost else { continue }
                    leave(slot)
                    lines[line].slots[index].phase = .waiting
                    lines[line].slots[index].cluster = place(slot.device)
                    startsWaiting(lines[line].slots[index], on: line)
                case .waiting:
                    let cluster = place(slot.device)
                    guard slot.cluster != cluster else { continue }
                    if slot.isAlarm {
                        clusters[slot.cluster].waitingAlarms -= 1
                        clusters[cluster].waitingAlarms += 1
                    }
                    lines[line].slots[index].cluster = cluster
                }
            }
            for cluster in clusters.indices { lines[line].nextWaiting[cluster] = lines[line].firstNumber }
        }
        if let lost { clusters[lost].window = DelayWindow(bytesMax: limits.bytesMax) }
    }

    /// Holds back the entries of devices that are about to move. Returns whether all that is on its way of them has arrived, so that they can.
    mutating func hold(_ devices: Set<Int>) -> Bool {
        held = devices
        return !lines.contains { line in
            line.slots[line.head...].contains { $0.phase == .taken && devices.contains($0.device) }
        }
    }

    // MARK: - Counting

    private mutating func enter(_ cluster: Int, messages: Int, bytes: Int, isBacklog: Bool, at now: MonotonicInstant) {
        if clusters[cluster].messages == 0 { clusters[cluster].progressAt = now }
        clusters[cluster].messages += messages
        clusters[cluster].bytes += bytes
        if isBacklog {
            clusters[cluster].backlogMessages += messages
            clusters[cluster].backlogBytes += bytes
        }
    }

    private mutating func leave(_ slot: Slot) {
        clusters[slot.cluster].messages -= slot.messages
        clusters[slot.cluster].bytes -= slot.bytes
        if slot.isBacklog {
            clusters[slot.cluster].backlogMessages -= slot.messages
            clusters[slot.cluster].backlogBytes -= slot.bytes
        }
    }

    private mutating func startsWaiting(_ slot: Slot, on line: Int) {
        lines[line].waiting += 1
        lines[line].waitingBytes += slot.bytes
        if !slot.isBacklog {
            waitingFresh += 1
            if line == 0 { waitingFreshOnBacklogLane += 1 }
        }
        if slot.isAlarm { clusters[slot.cluster].waitingAlarms += 1 }
    }

    private mutating func stopsWaiting(_ slot: Slot, on line: Int) {
        lines[line].waiting -= 1
        lines[line].waitingBytes -= slot.bytes
        if !slot.isBacklog {
            waitingFresh -= 1
            if line == 0 { waitingFreshOnBacklogLane -= 1 }
        }
        if slot.isAlarm { clusters[slot.cluster].waitingAlarms -= 1 }
    }

    private mutating func finish(_ line: Int, _ index: Int) -> Progress? {
        lines[line].slots[index].phase = .done
        lines[line].slots[index].batch = nil
        return index == lines[line].head ? advance(line) : nil
    }

    private mutating func advance(_ line: Int) -> Progress? {
        var progress: Progress?
        while lines[line].head < lines[line].slots.count, lines[line].slots[lines[line].head].phase == .done {
            let slot = lines[line].slots[lines[line].head]
            progress = Progress(
                lane: Self.lane(of: line), through: slot.position, entries: (progress?.entries ?? 0) + 1,
                samples: (progress?.samples ?? 0) + slot.samples)
            lines[line].head += 1
        }
        // Cutting off half of the list at a time costs a constant per entry.
        if lines[line].head > 64, lines[line].head * 2 >= lines[line].slots.count {
            lines[line].slots.removeFirst(lines[line].head)
            lines[line].firstNumber += UInt64(lines[line].head)
            lines[line].head = 0
        }
        return progress
    }
}
