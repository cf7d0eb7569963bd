/// How one block of residuals is packed: decided by counting what each choice costs.
struct BlockPlan {
    /// Offsets are counted from here.
    var base: Int64
    /// Bits per offset.
    var width: Int
    /// Residuals that do not fit into `width` bits from `base` on.
    var exceptionCount: Int
    /// Estimated bits of the block, all included.
    var bits: Int

    /// Bits of a block's width and base, about.
    private static let headBits = 24
    /// Residuals that are looked at to see whether some lie far from the others.
    private static let probes = 16

    /// The cheapest plan for `count` residuals, at least one.
    init(_ residuals: UnsafePointer<Int64>, count: Int) {
        var lowest = residuals[0]
        var highest = residuals[0]
        for index in 1..<max(count, 1) {
            lowest = min(lowest, residuals[index])
            highest = max(highest, residuals[index])
        }
        base = lowest
        width = ColumnFormat.width(of: UInt64(bitPattern: highest &- lowest))
        exceptionCount = 0
        bits = BlockPlan.headBits &+ count &* width
        if count >= BlockPlan.probes && width >= 3 { tryExceptions(residuals, count, lowest: lowest) }
    }

    /// Narrows the frame to where most residuals are, if what remains outside is cheaper as exceptions.
    private mutating func tryExceptions(_ residuals: UnsafePointer<Int64>, _ count: Int, lowest: Int64) {
        guard let middle = BlockPlan.middle(residuals, count, width: width) else { return }
        // How many residuals need which width in a frame around the middle.
        withUnsafeTemporaryAllocation(of: UInt16.self, capacity: 65) { histogram in
            histogram.initialize(repeating: 0)
            for index in 0..<count {
                let distance = residuals[index] &- middle
                histogram[65 &- (distance ^ (distance &>> 63)).leadingZeroBitCount] &+= 1
            }
            let full = width
            // A place, and a signed difference to the base.
            let exceptionBits = 8 &+ 8 &* ((full &+ 8) / 7)
            var outside = 0
            var candidate = full &- 1
            var index = 64
            while index > candidate {
                outside &+= Int(histogram[index])
                index &-= 1
            }
            while candidate > 0 && outside <= 255 {
                let cost = BlockPlan.headBits &+ 8 &+ count &* candidate &+ outside &* exceptionBits
                if cost < bits {
                    bits = cost
                    width = candidate
                    exceptionCount = outside
                }
                outside &+= Int(histogram[candidate])
                candidate &-= 1
            }
            guard exceptionCount > 0 || width < full else { return }
            base = max(lowest, middle &- (1 &<< Int64(truncatingIfNeeded: width &- 1)))
        }
    }

    /// The middle of where most of the residuals are; `nil` where the whole range is hardly wider than that.
    @inline(__always)
    private static func middle(_ residuals: UnsafePointer<Int64>, _ count: Int, width: Int) -> Int64? {
        let step = count / probes
        // The lowest and the highest probe may lie far away; the second of either end tells. Without branches, as probes come in any order.
        let (one, other) = (residuals[0], residuals[step])
        var (lowest, low) = (min(one, other), max(one, other))
        var (highest, high) = (low, lowest)
        for index in 2..<probes {
            let value = residuals[index &* step]
            low = min(low, max(lowest, value))
            lowest = min(lowest, value)
            high = max(high, min(highest, value))
            highest = max(highest, value)
        }
        let spread = UInt64(bitPattern: high &- low)
        guard ColumnFormat.width(of: spread) &+ 2 <= width else { return nil }
        return low &+ Int64(bitPattern: spread / 2)
    }
}
