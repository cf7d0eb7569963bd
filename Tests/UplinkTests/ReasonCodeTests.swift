import Testing

@testable import Uplink

@Suite struct ReasonCodeTests {
    /// The codes that each packet may carry (MQTT 5.0, 3.2.2.2, 3.4.2.1, 3.9.3, 3.14.2.1).
    static let codes: [ReasonCode.Packet: [UInt8]] = [
        .connectAnswer: [
            0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95, 0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F,
        ],
        .publishAnswer: [0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99],
        .subscribeAnswer: [0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2],
        .disconnect: [
            0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C,
            0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2,
        ],
    ]

    @Test func everyCodeOfTheStandardHasWordsOfItsOwn() {
        for (packet, codes) in Self.codes {
            var sentences: Set<String> = []
            for code in codes {
                let words = ReasonCode(rawValue: code).words(in: packet, clientID: "gw")
                #expect(!words.contains("does not know)"), "\(packet) \(code)")
                #expect(words.hasSuffix("(\(packet.rawValue) \(ReasonCode(rawValue: code).number))"), "\(words)")
                #expect(sentences.insert(words.prefix { $0 != "(" }.description).inserted, "two codes say “\(words)”")
            }
        }
    }

    @Test func codesTheStandardDoesNotKnowAreNamedToo() {
        for code in UInt8(0xA3)...0xFF {
            let reason = ReasonCode(rawValue: code)
            #expect(reason.words(in: .publishAnswer, clientID: "gw").contains("a code that the standard does not know"))
            #expect(reason.isFailure && reason.remedy(in: .publishAnswer) == .retryLater)
        }
    }

    @Test func onlyWhatCanNeverBeTakenIsGivenUp() {
        let givenUp = (Self.codes[.publishAnswer] ?? []).filter {
            ReasonCode(rawValue: $0).remedy(in: .publishAnswer) == .messageRefused
        }
        #expect(givenUp == [0x90, 0x99], "a topic or a payload that the broker's rules refuse; everything else is held until it is taken")
    }
}

@Suite struct TopicAliasesTests {
    @Test func theFirstTopicsGetNumbersAndKeepThem() {
        var aliases = TopicAliases(maximum: 2)
        let first = aliases.alias(for: "plant/a")
        #expect(first?.number == 1 && first?.isNew == true)
        let second = aliases.alias(for: "plant/b")
        #expect(second?.number == 2 && second?.isNew == true)
        let again = aliases.alias(for: "plant/a")
        #expect(again?.number == 1 && again?.isNew == false)
        let third = aliases.alias(for: "plant/c")
        #expect(third == nil)
        aliases.forget("plant/a")
        let freed = aliases.alias(for: "plant/c")
        #expect(freed?.number == 1 && freed?.isNew == true)
        let late = aliases.alias(for: "plant/a")
        #expect(late == nil)
    }

    @Test func withoutTheBrokersLeaveThereAreNone() {
        var aliases = TopicAliases(maximum: 0)
        let alias = aliases.alias(for: "plant/a")
        #expect(alias == nil)
    }
}
