/// Memory that encoder and decoder work in, kept from column to column: nothing is allocated while columns of the same size come.
///
/// One per thread of work. It holds no data that outlives a call.
package struct ColumnScratch: ~Copyable, @unchecked Sendable {
    /// One block's residuals, room for a group that is rounded up, and the values of its exceptions.
    var block = Slab<Int64>()
    /// One block's offsets at the end of a column, where they cannot be read eight bytes at a time.
    var tail = Slab<UInt8>()
    /// Values with their common divisor taken out; lanes of a float column.
    var quotients = Slab<Int64>()
    var lanes = Slab<Int64>()
    /// Values and lengths of runs; entries and indices of a dictionary.
    var values = Slab<Int64>()
    var lengths = Slab<Int64>()
    /// Places and patterns of a float column's exceptions; lengths and indices of texts.
    var places = Slab<Int64>()
    var patterns = Slab<Int64>()
    /// Hash table of a dictionary: places in it are one more than the index of the entry, 0 where free.
    var table = Slab<UInt32>()
    /// A column before it is appended to the caller's bytes.
    var output = Slab<UInt8>()

    package init() {}
}

/// Uninitialized memory that only grows.
struct Slab<Element: BitwiseCopyable>: ~Copyable {
    private var memory: UnsafeMutablePointer<Element>
    private var capacity: Int

    init() {
        capacity = 16
        memory = .allocate(capacity: capacity)
    }

    deinit { memory.deallocate() }

    /// Memory for `count` elements, with whatever was in it; pointers handed out before are void if it had to grow.
    @inline(__always)
    mutating func reserve(_ count: Int) -> UnsafeMutablePointer<Element> {
        if count > capacity { grow(to: count) }
        return memory
    }

    @inline(never)
    private mutating func grow(to count: Int) {
        memory.deallocate()
        capacity = count
        memory = .allocate(capacity: count)
    }
}
