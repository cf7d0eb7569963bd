/// A queue with elements added at the back and taken from both ends, in constant time and without keeping what was taken.
struct Deque<Element> {
    private var storage: [Element?] = []
    private var head = 0
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }
    var first: Element? { isEmpty ? nil : storage[head] }
    var last: Element? { isEmpty ? nil : storage[slot(count - 1)] }

    private func slot(_ index: Int) -> Int {
        let slot = head + index
        return slot >= storage.count ? slot - storage.count : slot
    }

    subscript(index: Int) -> Element {
        get {
            guard index >= 0, index < count, let element = storage[slot(index)] else {
                preconditionFailure("index \(index) of \(count)")
            }
            return element
        }
        set {
            precondition(index >= 0 && index < count, "index \(index) of \(count)")
            storage[slot(index)] = newValue
        }
    }

    mutating func append(_ element: Element) {
        if count == storage.count {
            var larger: [Element?] = []
            larger.reserveCapacity(max(16, storage.count * 2))
            for index in 0..<count { larger.append(storage[slot(index)]) }
            larger.append(contentsOf: repeatElement(nil, count: max(16, storage.count * 2) - count))
            storage = larger
            head = 0
        }
        storage[slot(count)] = element
        count += 1
    }

    @discardableResult
    mutating func popFirst() -> Element? {
        guard !isEmpty else { return nil }
        let element = storage[head]
        storage[head] = nil
        head = slot(1)
        count -= 1
        return element
    }

    @discardableResult
    mutating func popLast() -> Element? {
        guard !isEmpty else { return nil }
        let last = slot(count - 1)
        let element = storage[last]
        storage[last] = nil
        count -= 1
        return element
    }

    /// The first index whose element is beyond; elements must be sorted so that those beyond come last.
    func firstIndex(where isBeyond: (Element) -> Bool) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if isBeyond(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
