internal import Telemetry

/// One tag's values, bucket by bucket: what is left of old history.
///
/// Numbers are kept as raw lanes: integers extended to 64 bits, floats as bit patterns.
struct TagSummary {
    struct Change: Hashable {
        var time: Int64
        var status: StatusCode
        /// The slot, as in `SampleBatch.values`.
        var slot: [UInt8]
        var bucket: Int
    }

    let tag: Tag
    private(set) var good: [Int64] = []
    private(set) var bad: [Int64] = []
    private(set) var minimum: [Int64] = []
    private(set) var maximum: [Int64] = []
    private(set) var last: [Int64] = []
    private(set) var sum: [Double] = []
    private(set) var changes: [Change] = []
    /// Read from a block that has changes and no ranges.
    private(set) var isOfChanges = false
    /// There were more changes than are kept singly.
    private var hasManyChanges = false
    /// A value that was not Bad was there, in whichever bucket: from then on there is one that holds.
    private var hasValue = false

    /// Most changes that are kept of one tag in one block.
    static let changesMax = 4096
    /// So many changes are kept however few the buckets are.
    private static let changesMin = 16

    init(_ tag: Tag) { self.tag = tag }

    /// What a block holds of a tag that keeps ranges.
    mutating func restore(good: [Int64], bad: [Int64], minimum: [Int64], maximum: [Int64], last: [Int64], sum: [Double]) {
        self.good = good
        self.bad = bad
        self.minimum = minimum
        self.maximum = maximum
        self.last = last
        self.sum = sum
        hasManyChanges = true
    }

    /// What a block holds of a tag that keeps changes.
    mutating func restore(good: [Int64], bad: [Int64], changes: [Change]) {
        self.good = good
        self.bad = bad
        self.changes = changes
        isOfChanges = true
    }

    mutating func beginBucket() {
        good.append(0)
        bad.append(0)
        guard tag.dataType != .string else { return }
        let before = last.last ?? 0
        minimum.append(before)
        maximum.append(before)
        last.append(before)
        sum.append(0)
    }

    mutating func add(time: Int64, status: StatusCode, slot: UnsafeRawBufferPointer) {
        let bucket = good.count - 1
        note(Change(time: time, status: status, slot: [], bucket: bucket), slot)
        if status.isBad {
            bad[bucket] += 1
            return
        }
        good[bucket] += 1
        guard tag.dataType != .string else { return }
        let lane = TagSummary.lane(slot, tag.dataType)
        hasValue = true
        last[bucket] = lane
        let number = TagSummary.number(lane, tag.dataType)
        sum[bucket] += number
        if good[bucket] == 1 {
            minimum[bucket] = lane
            maximum[bucket] = lane
        } else {
            include(lane, in: bucket)
        }
    }

    /// Adds a bucket of a summary with shorter buckets; `changes` are those that the summary has in it.
    mutating func add(_ finer: TagSummary, bucket index: Int, changes: ArraySlice<Change>) {
        let bucket = good.count - 1
        let count = finer.good[index]
        let isFirst = good[bucket] == 0
        good[bucket] += count
        bad[bucket] += finer.bad[index]
        if finer.isOfChanges {
            for change in changes {
                var change = change
                change.bucket = bucket
                let slot = change.slot
                slot.withUnsafeBytes { note(change, $0) }
                if tag.dataType != .string, !change.status.isBad { hold(slot.withUnsafeBytes { TagSummary.lane($0, tag.dataType) }) }
            }
            guard count > 0, tag.dataType != .string else { return }
            if isFirst { hold(last[bucket]) }
            // How long each value held is not known any more.
            sum[bucket] = .nan
        } else if count > 0 {
            // What lies between was given up before.
            hasManyChanges = true
            if tag.dataType != .string { self.changes = [] }
            if isFirst {
                minimum[bucket] = finer.minimum[index]
                maximum[bucket] = finer.maximum[index]
            } else {
                include(finer.minimum[index], in: bucket)
                include(finer.maximum[index], in: bucket)
            }
            hasValue = true
            last[bucket] = finer.last[index]
            sum[bucket] += finer.sum[index]
        }
    }

    private mutating func hold(_ lane: Int64) {
        let bucket = good.count - 1
        if hasValue {
            include(lane, in: bucket)
        } else {
            minimum[bucket] = lane
            maximum[bucket] = lane
            hasValue = true
        }
        last[bucket] = lane
    }

    private mutating func include(_ lane: Int64, in bucket: Int) {
        if TagSummary.isLess(lane, minimum[bucket], tag.dataType) { minimum[bucket] = lane }
        if TagSummary.isLess(maximum[bucket], lane, tag.dataType) { maximum[bucket] = lane }
    }

    private mutating func note(_ change: Change, _ slot: UnsafeRawBufferPointer) {
        if hasManyChanges, tag.dataType != .string { return }
        if let before = changes.last, before.status == change.status, before.slot.elementsEqual(slot) { return }
        if hasManyChanges, changes.last?.bucket == change.bucket { changes.removeLast() }
        var change = change
        change.slot = Array(slot)
        changes.append(change)
        guard changes.count > TagSummary.changesMax, !hasManyChanges else { return }
        hasManyChanges = true
        if tag.dataType == .string {
            // A text that never rests keeps its last value of each bucket.
            var kept: [Change] = []
            for change in changes {
                if kept.last?.bucket == change.bucket { kept.removeLast() }
                kept.append(change)
            }
            changes = kept
        } else {
            changes = []
        }
    }

    /// Whether every change is kept instead of minimum, maximum, last and sum.
    var keepsChanges: Bool {
        if tag.dataType == .string { return true }
        return !hasManyChanges && changes.count <= max(TagSummary.changesMin, good.count)
    }

    // MARK: - Lanes

    static func lane(_ slot: UnsafeRawBufferPointer, _ type: DataType) -> Int64 {
        switch type {
        case .bool, .uint8: Int64(slot[0])
        case .int8: Int64(Int8(bitPattern: slot[0]))
        case .uint16: Int64(slot.littleEndian(UInt16.self, at: 0))
        case .int16: Int64(slot.littleEndian(Int16.self, at: 0))
        case .uint32, .float32: Int64(slot.littleEndian(UInt32.self, at: 0))
        case .int32: Int64(slot.littleEndian(Int32.self, at: 0))
        case .uint64, .int64, .float64: slot.littleEndian(Int64.self, at: 0)
        case .string: 0
        }
    }

    static func number(_ lane: Int64, _ type: DataType) -> Double {
        switch type {
        case .float32: Double(Float(bitPattern: UInt32(truncatingIfNeeded: lane)))
        case .float64: Double(bitPattern: UInt64(bitPattern: lane))
        case .uint64: Double(UInt64(bitPattern: lane))
        default: Double(lane)
        }
    }

    private static func isLess(_ left: Int64, _ right: Int64, _ type: DataType) -> Bool {
        switch type {
        case .uint64: UInt64(bitPattern: left) < UInt64(bitPattern: right)
        case .float32, .float64:
            // A bucket that begins with NaN takes the first number that comes.
            number(left, type) < number(right, type) || number(right, type).isNaN && !number(left, type).isNaN
        default: left < right
        }
    }
}
