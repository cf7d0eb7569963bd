import Glibc
import Testing

@testable import ModbusAdapter

@Suite struct ManyDescriptorsTests {
    @Test("a connection whose descriptor is beyond what select can watch works like any other")
    func beyondSelect() async throws {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        limit.rlim_cur = min(limit.rlim_max, 4096)
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        let server = try ScriptedServer([.serveRegisters])
        var held: [Int32] = []
        defer { for descriptor in held { close(descriptor) } }
        while held.last ?? 0 < 1100 {
            let descriptor = open("/dev/null", O_RDONLY | O_CLOEXEC)
            // Where the system does not give so many there is nothing to test.
            guard descriptor >= 0 else { return }
            held.append(descriptor)
        }
        let client = LineClient(.tcp(host: "127.0.0.1", port: server.port), timeout: .seconds(2))
        try await client.open()
        #expect(await client.registers(7, 3) == .success([7, 8, 9]))
        await client.close()
    }
}
