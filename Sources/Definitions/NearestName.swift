/// The candidate nearest to a misspelt name, if one is near enough to be meant.
///
/// Near is an optimal string alignment distance (insertions, deletions, substitutions, swaps of neighbours; letter case free)
/// of at most a third of the longer name, and at least 1. Source: L. Boytsov, "Indexing methods for approximate dictionary searching", 2011, section 2.1.
package func nearestName(to name: String, among candidates: some Sequence<String>) -> String? {
    let lengthMax = 128
    let wanted = Array(name.lowercased().utf8)
    guard wanted.count <= lengthMax, !wanted.isEmpty else { return nil }
    var best: (name: String, distance: Int)?
    for candidate in candidates {
        let letters = Array(candidate.lowercased().utf8)
        guard letters.count <= lengthMax else { continue }
        let limit = max(1, max(wanted.count, letters.count) / 3)
        guard abs(wanted.count - letters.count) <= limit else { continue }
        let distance = alignmentDistance(wanted, letters)
        if distance <= limit, distance < best?.distance ?? .max { best = (candidate, distance) }
    }
    return best?.name
}

private func alignmentDistance(_ left: [UInt8], _ right: [UInt8]) -> Int {
    var beforeLast = [Int](repeating: 0, count: right.count + 1)
    var last = Array(0...right.count)
    for row in left.indices {
        var current = [row + 1]
        current.reserveCapacity(right.count + 1)
        for column in right.indices {
            var cost = min(last[column + 1] + 1, current[column] + 1, last[column] + (left[row] == right[column] ? 0 : 1))
            if row > 0, column > 0, left[row] == right[column - 1], left[row - 1] == right[column] {
                cost = min(cost, beforeLast[column - 1] + 1)
            }
            current.append(cost)
        }
        beforeLast = last
        last = current
    }
    return last[right.count]
}
