import GatewayCore
import Identity
import Testing

@testable import Uplink

@Suite struct CredentialDecisionTests {
    @Test func newOnesAreTakenWhenTheyAreNoWorse() {
        #expect(CredentialRotation.isTaken([.dates, .foreignAuthority], over: nil), "something is better than nothing")
        #expect(CredentialRotation.isTaken([], over: []))
        #expect(!CredentialRotation.isTaken([.dates], over: []))
        #expect(!CredentialRotation.isTaken([.foreignAuthority], over: []))
        #expect(!CredentialRotation.isTaken([.dates], over: [.foreignAuthority]))
        #expect(CredentialRotation.isTaken([.foreignAuthority], over: [.foreignAuthority]))
        #expect(CredentialRotation.isTaken([.foreignAuthority], over: [.dates]), "what has expired serves nobody")
        #expect(CredentialRotation.isTaken([.dates], over: [.dates]))
    }

    @Test func troubleIsToldAtItsSecondLookAndOnce() {
        func refusals(_ looks: [CredentialRotation.Refusal?]) -> [Bool] {
            var rotation = CredentialRotation()
            return looks.map { look in if let look { rotation.didRefuse(look) } else { rotation.didAgree() } }
        }
        let half = CredentialRotation.Refusal(digest: [1], resource: "gateway.key")
        let bad = CredentialRotation.Refusal(digest: [2], resource: "gateway.crt")
        #expect(refusals([half, nil]) == [false, false], "key and certificate are not written at once")
        #expect(refusals([half, half, half, nil, nil]) == [false, true, false, true, false])
        #expect(refusals([half, bad, bad, half, half]) == [false, false, true, false, true])
    }

    private final class Shown: Sendable {}

    @Test func aBrokerThatRefusesTheNewestGetsTheProven() {
        let old = Shown()
        let new = Shown()
        let newer = Shown()
        let start = MonotonicInstant(nanoseconds: 0)
        var choice = CredentialChoice<Shown>()
        func next(_ newest: Shown, after seconds: Int = 0, isUsable: Bool = true) -> Shown {
            choice.next(newest: newest, at: start.advanced(by: .seconds(seconds))) { _ in isUsable }
        }
        #expect(next(old) === old)
        let nothingElse = choice.didFail(with: old, at: start)
        #expect(!nothingElse, "there is nothing else to show")
        choice.didConnect(with: old)
        #expect(choice.isToBeRenewed(old, newest: new, at: start) && !choice.isToBeRenewed(old, newest: old, at: start))

        #expect(next(new) === new)
        let hasProven = choice.didFail(with: new, at: start)
        #expect(hasProven && next(new) === old)
        #expect(next(new, isUsable: false) === new, "what has expired is not shown")
        #expect(!choice.isToBeRenewed(old, newest: new, at: start))
        #expect(choice.isToBeRenewed(old, newest: newer, at: start), "others may do")
        #expect(choice.isToBeRenewed(old, newest: new, at: start.advanced(by: .seconds(3600))))
        #expect(next(new, after: 3600) === new)

        // The proven ones fail, too: so it is not the certificate, and the newest have their turn again.
        let both = choice.didFail(with: old, at: start)
        #expect(!both && next(new) === new)
        choice.didConnect(with: new)
        let isNew = choice.didFail(with: new, at: start)
        #expect(!isNew && next(new) === new)
    }
}
