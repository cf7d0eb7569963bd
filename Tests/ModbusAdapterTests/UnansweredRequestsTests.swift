import GatewayCore
import Testing

@testable import ModbusAdapter

@Suite struct UnansweredRequestsTests {
    private let start = MonotonicInstant(nanoseconds: 1_000_000_000)

    @Test("a given-up transaction is late once, the last answered a duplicate, any other invalid")
    func transactions() {
        var requests = UnansweredRequests()
        requests.answered(transaction: 1)
        requests.gaveUp(transaction: 2)
        let kinds = [2, 2, 1, 1, 3].map { requests.kind(ofTransaction: $0) }
        #expect(kinds == [.late, .invalid, .duplicate, .duplicate, .invalid])
    }

    @Test("however many are given up, only so many are remembered")
    func bound() {
        var requests = UnansweredRequests()
        for number in 0..<1000 { requests.gaveUp(transaction: UInt16(number)) }
        let oldest = requests.kind(ofTransaction: 0)
        let newest = requests.kind(ofTransaction: 999)
        #expect(oldest == .invalid && newest == .late)
    }

    @Test("a silent unit makes its own next request wait, nobody else's")
    func units() {
        var requests = UnansweredRequests()
        let until = start.advanced(by: .seconds(1))
        requests.gaveUp(unit: 9, function: 3, lateUntil: until, now: start)
        #expect(requests.ambiguousUntil(unit: 9, function: 3) == until)
        #expect(requests.ambiguousUntil(unit: 9, function: 4) == nil)
        #expect(requests.ambiguousUntil(unit: 1, function: 3) == nil)
        // Its late reply ends the wait.
        let kind = requests.kind(ofFrame: 9, function: 3)
        #expect(kind == .late)
        #expect(requests.ambiguousUntil(unit: 9, function: 3) == nil)
    }

    @Test("a second frame of the unit that answered last is a duplicate")
    func duplicate() {
        var requests = UnansweredRequests()
        requests.answered(unit: 4, function: 3)
        let kinds = [requests.kind(ofFrame: 4, function: 3), requests.kind(ofFrame: 5, function: 3)]
        #expect(kinds == [.duplicate, .invalid])
    }
}
