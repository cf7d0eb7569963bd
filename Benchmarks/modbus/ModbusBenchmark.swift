import GatewayCore
import Glibc
import ModbusAdapter
import Telemetry

/// How many read requests the adapter makes, one connection each, flat out: polls of one request, decoded into batches.
///
///     modbus-bench PORT CONNECTIONS REGISTERS SECONDS
///
/// Prints one line of JSON as `requests.c` does.
@main
enum ModbusBenchmark {
    static func main() async throws {
        let words = CommandLine.arguments.dropFirst().compactMap { Double($0) }
        guard words.count == 4 else { return print("usage: modbus-bench PORT CONNECTIONS REGISTERS SECONDS") }
        let (port, connections, registers) = (UInt16(words[0]), Int(words[1]), Int(words[2]))
        let time = SystemTime()
        let start = time.now
        let until = start.advanced(by: .seconds(words[3]))
        let counts = try await withThrowingTaskGroup(of: (requests: Int, errors: Int).self) { tasks in
            for index in 0..<connections {
                tasks.addTask {
                    let client = Client(name: "device-\(index)", port: port, registers: registers)
                    return try await client.run(until: until, time: time)
                }
            }
            var sum = (requests: 0, errors: 0)
            for try await count in tasks { sum = (sum.requests + count.requests, sum.errors + count.errors) }
            return sum
        }
        let seconds = Double(start.duration(to: time.now).nanoseconds) / 1e9
        var use = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &use)
        let cpu =
            Double(use.ru_utime.tv_sec + use.ru_stime.tv_sec) + Double(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6
        print("{\"requests\": \(counts.requests), \"errors\": \(counts.errors), \"seconds\": \(seconds), \"cpu_seconds\": \(cpu)}")
    }
}

/// One device that is read over and over.
private struct Client {
    private let adapter: ModbusAdapter
    private let plan: ReadPlan

    init(name: String, port: UInt16, registers: Int) {
        let line = ModbusLine(.tcp(host: "127.0.0.1", port: port), responseTimeout: .seconds(5))
        adapter = ModbusAdapter(name: name, line: line, unit: 1)
        let descriptor = StreamDescriptor(device: name, group: "all", tags: (0..<registers).map { Tag("r\($0)", .uint16) })
        plan = ReadPlan(
            stream: StreamID(rawValue: 1), descriptor: descriptor,
            requests: [ReadRequest(area: 3, start: 0, count: registers, fields: 0..<registers)],
            fields: (0..<registers).map { ReadField(tag: $0, area: 3, start: $0, count: 1, dataType: .uint16) })
    }

    func run(until: MonotonicInstant, time: any TimeSource) async throws -> (requests: Int, errors: Int) {
        try await adapter.connect()
        let counts = try await poll(on: adapter, until: until, time: time)
        await adapter.disconnect()
        return counts
    }

    /// On the adapter's own thread, as the gateway does it.
    private func poll(
        on adapter: isolated ModbusAdapter, until: MonotonicInstant, time: any TimeSource
    ) async throws -> (requests: Int, errors: Int) {
        var (requests, errors) = (0, 0)
        while time.now < until {
            let result = try await adapter.read(plan, at: time.utc)
            requests += 1
            if !result.batch.isGood { errors += 1 }
        }
        return (requests, errors)
    }
}
