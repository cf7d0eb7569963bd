import Definitions
import Testing

@Suite("Patience with devices")
struct PatienceTests {
    private func device(_ keys: String) -> String {
        site("devices: [{name: p1, definition: pump, connection: {modbusTCP: {host: 127.0.0.1}}\(keys)}]")
    }

    @Test("what is not given has its default")
    func defaults() throws {
        let loaded = try load(device(""))
        #expect(loaded.site?.devices.first?.patience == PatienceSettings())
        #expect(PatienceSettings().retries == 1 && PatienceSettings().demoteAfter == 3)
        let partly = try load(device(", backoff: {max: 1m}"))
        #expect(partly.site?.devices.first?.patience == PatienceSettings(backoffMaximum: .seconds(60)))
    }

    @Test("what is given counts")
    func given() throws {
        let loaded = try load(device(", retries: 0, demoteAfter: 7, backoff: {initial: 100ms, max: 5s}"))
        #expect(loaded.diagnostics == [])
        #expect(
            loaded.site?.devices.first?.patience
                == PatienceSettings(retries: 0, demoteAfter: 7, backoffInitial: .milliseconds(100), backoffMaximum: .seconds(5)))
    }

    @Test(
        "what cannot be is refused, at its place",
        arguments: [
            (", backoff: {initial: 10s, max: 5s}", "the first wait is longer than the longest one"), (", retries: 11", "11"),
            (", demoteAfter: 0", "0"), (", backoff: {initial: 1ms}", "1ms"), (", backoff: {maximum: 5s}", "maximum"),
        ])
    func refused(keys: String, words: String) throws {
        let errors = try load(device(keys)).diagnostics.filter { $0.severity == .error }
        #expect(errors.count == 1 && errors.first?.description.contains(words) == true, "\(errors)")
        #expect(errors.first?.position.line == siteLine)
    }
}
