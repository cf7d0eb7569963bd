internal import Telemetry

extension SampleBatch {
    /// Calls `body` with each tag of the range that the batch has, in tag order; skips absent ones 64 at a time.
    @inline(__always)
    func forEachTag(in range: Range<Int>, _ body: (Int) -> Void) {
        if presence.isEmpty {
            for tag in range { body(tag) }
            return
        }
        var tag = range.lowerBound
        while tag < range.upperBound {
            let left = presence[tag >> 6] >> UInt64(tag & 63)
            if left == 0 {
                tag = (tag | 63) + 1
            } else {
                tag += left.trailingZeroBitCount
                guard tag < range.upperBound else { return }
                body(tag)
                tag += 1
            }
        }
    }
}
