/// The latest answers of one unit, block by block, as they came from the device.
///
/// A question is answered only out of a single block: values that span two answers could be half old and half new.
package struct RegisterImage: Sendable {
    private struct Block: Sendable {
        var area: ModbusArea
        var start: Int
        var values: [UInt16]
        /// When the poll began that brought the values, on the monotonic clock in nanoseconds.
        var time: Int64
    }

    /// Most blocks remembered; a unit is read in far fewer requests.
    package static let blocksMax = 4096

    private var blocks: [Block] = []

    package init() {}

    /// Takes over an answer; bits are 0 or 1.
    package mutating func store(_ area: ModbusArea, start: Int, values: some Collection<UInt16>, at time: Int64) {
        if let index = blocks.firstIndex(where: { $0.area == area && $0.start == start && $0.values.count == values.count }) {
            blocks[index].time = time
            for (place, value) in values.enumerated() { blocks[index].values[place] = value }
        } else if blocks.count < RegisterImage.blocksMax {
            blocks.append(Block(area: area, start: start, values: Array(values), time: time))
        }
    }

    /// The values, if one answer that is not older than `oldest` has them all.
    package func values(_ area: ModbusArea, start: Int, count: Int, notBefore oldest: Int64) -> [UInt16]? {
        for block in blocks
        where block.area == area && block.time >= oldest && block.start <= start && start + count <= block.start + block.values.count {
            return Array(block.values[(start - block.start)..<(start - block.start + count)])
        }
        return nil
    }

    /// Forgets what a write has made doubtful.
    package mutating func forget(_ area: ModbusArea, start: Int, count: Int) {
        blocks.removeAll { $0.area == area && $0.start < start + count && start < $0.start + $0.values.count }
    }
}
