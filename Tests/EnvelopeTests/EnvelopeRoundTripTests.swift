import Telemetry
import TestKit
import Testing

@testable import Envelope

@Suite struct EnvelopeRoundTripTests {
    @Test(arguments: EnvelopeSuite.allCases) func `what is sealed opens`(_ suite: EnvelopeSuite) throws {
        let pair = try TestPair(suite)
        let (topic, bytes) = try pair.sealer.seal(
            .data, topic: "spBv1.0/g/DDATA/gateway-1/d", payload: Array("hello".utf8),
            batch: EnvelopeBatchKey(epoch: 3, stream: 4, sequence: 5), at: TestPair.time)
        #expect(topic == "ie/1/gateway-1/data")
        let opened = try pair.opener.open(bytes)
        #expect(opened.topic == "spBv1.0/g/DDATA/gateway-1/d")
        #expect(opened.payload == Array("hello".utf8))
        #expect(opened.batch == EnvelopeBatchKey(epoch: 3, stream: 4, sequence: 5))
        #expect(opened.gateway == "gateway-1")
        #expect(opened.freshness == .new)
    }
}
