package import Telemetry

/// One segment of the log, as the store knows it without reading it: a file of the journal, or the block that it was sealed into.
package struct Segment: Sendable, Hashable {
    package var number: UInt64
    package var epoch: UInt32
    /// The first position that may be in it.
    package var base: UInt64
    /// The last position in it; `base - 1` while it is empty.
    package var end: UInt64
    /// How many bytes of the file count; what stands behind them was never confirmed by the disk.
    package var bytes: Int
    /// All samples in it, readable or not. Made anew at each look where the file is a block.
    package var tallies: StreamTallies {
        get { packed?.unpacked ?? open }
        _modify {
            var tallies = StreamTallies()
            if let packed { tallies = packed.unpacked } else { swap(&tallies, &open) }
            defer { keep(tallies) }
            yield &tallies
        }
    }
    /// Of a file of the journal.
    private var open: StreamTallies = [:]
    /// Of a block.
    private var packed: PackedTallies?
    /// Of these: given up before they reached the disk; `nil` where that was never counted.
    package var lost: StreamTallies? = [:]
    /// Oldest and newest time of its batches; `nil` while it has none.
    package var times: ClosedRange<Timestamp>?
    /// The file is gone or unreadable; its samples are told of as a gap.
    package var isMissing = false
    /// Whether the file is a block.
    package var isSealed = false {
        didSet { if isSealed != oldValue { keep(packed?.unpacked ?? open) } }
    }
    /// How many times the block was thinned: 0 while it has every batch.
    package var level: UInt8 = 0
    /// The oldest segment that a block stands for; otherwise `number`.
    package var firstNumber: UInt64

    init(number: UInt64, epoch: UInt32, base: UInt64, end: UInt64, bytes: Int) {
        self.number = number
        self.epoch = epoch
        self.base = base
        self.end = end
        self.bytes = bytes
        firstNumber = number
    }

    private mutating func keep(_ tallies: StreamTallies) {
        packed = isSealed ? PackedTallies(tallies) : nil
        open = isSealed ? [:] : tallies
    }

    /// Adds its tallies to others.
    func addTallies(to sum: inout StreamTallies) {
        if let packed { packed.visit { sum[$0, default: Tally()] += $1 } } else { sum += open }
    }

    package var fileName: String { isSealed ? BlockFormat.fileName(number, level: level) : Segment.fileName(number) }

    /// The number with leading zeros, so that names sort like numbers.
    package static func fileName(_ number: UInt64) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, 12 - digits.count)) + digits + ".segment"
    }

    static func number(fileName: String) -> UInt64? {
        guard fileName.hasSuffix(".segment"), let number = UInt64(fileName.dropLast(8)), self.fileName(number) == fileName else {
            return nil
        }
        return number
    }

    mutating func include(time: Timestamp) {
        guard let times else {
            self.times = time...time
            return
        }
        self.times = min(times.lowerBound, time)...max(times.upperBound, time)
    }
}
