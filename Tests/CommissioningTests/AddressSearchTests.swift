import TestKit
import Testing

@testable import Commissioning

@Suite("Search for addresses") struct AddressSearchTests {
    /// Lets a search ask a device that answers exactly these addresses, at most `limit` at once.
    private func run(_ readable: [Range<Int>], in span: Range<Int>, limit: Int = 125) -> AddressSearch {
        var search = AddressSearch(span: span, blockMax: 125)
        while let asked = search.next, search.requests < 100_000 {
            let isReadable =
                asked.count <= limit && readable.contains { $0.lowerBound <= asked.lowerBound && asked.upperBound <= $0.upperBound }
            search.record(isReadable ? .readable : .refused)
        }
        return search
    }

    @Test("ranges with holes between them are found with their exact ends, in a bounded number of requests")
    func random() {
        var generator = SeededGenerator()
        for _ in 0..<300 {
            var readable: [Range<Int>] = []
            var next = Int.random(in: 0...300, using: &generator)
            for _ in 0..<Int.random(in: 1...8, using: &generator) {
                let end = next + Int.random(in: AddressSearch.sampleStep...400, using: &generator)
                readable.append(next..<end)
                next = end + Int.random(in: 1...300, using: &generator)
            }
            let limit = [125, 125, 100, 60, 16].randomElement(using: &generator) ?? 125
            let search = run(readable, in: 0..<4000, limit: limit)
            #expect(search.ranges == readable && search.abortReason == nil, "limit \(limit): \(search.ranges), there are \(readable)")
            let registers = readable.reduce(0) { $0 + $1.count }
            #expect(search.requests <= 4000 / AddressSearch.sampleStep + registers / limit + readable.count * 25 + 20, "\(search.requests)")
        }
    }

    @Test("a device that answers everything needs one request per block; one that answers nothing a bounded number")
    func extremes() {
        #expect(run([0..<5000], in: 0..<5000).requests == 40)
        let none = run([], in: 0..<2000)
        #expect(none.ranges.isEmpty && none.requests <= 2000 / AddressSearch.sampleStep + 10)
        #expect(run([7..<8], in: 7..<8).ranges == [7..<8])
    }

    @Test("an area the device does not know, and a device that falls silent, end the search with the reason")
    func aborts() {
        var search = AddressSearch(span: 0..<100, blockMax: 125)
        search.record(.noSuchArea)
        #expect(search.next == nil && search.abortReason == "the device does not know the function")
        var silent = AddressSearch(span: 0..<10_000, blockMax: 125)
        while silent.next != nil { silent.record(.silent) }
        #expect(silent.requests == AddressSearch.silentMax && silent.abortReason?.hasPrefix("no answer") == true)
    }
}
