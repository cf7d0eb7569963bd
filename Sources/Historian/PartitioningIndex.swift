extension RandomAccessCollection {
    /// The first index whose element is beyond, or the end; elements must be sorted so that those beyond come last.
    func partitioningIndex(where isBeyond: (Element) -> Bool) -> Index {
        var low = startIndex
        var count = count
        while count > 0 {
            let half = count / 2
            let middle = index(low, offsetBy: half)
            if isBeyond(self[middle]) {
                count = half
            } else {
                low = index(after: middle)
                count -= half + 1
            }
        }
        return low
    }
}
