internal import ArgumentParser
internal import Foundation
internal import GatewayCore
internal import ModbusAdapter
internal import PlantSimulation
internal import Synchronization
internal import Telemetry

struct SimulateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate", abstract: "Host simulated machines as Modbus TCP devices on 127.0.0.1.",
        discussion: "Prints a line per machine once it listens, then serves until SIGTERM or SIGINT.")

    @Argument(
        help: ArgumentHelp(
            "Machines and their ports: \(MachineKind.allCases.map(\.rawValue).joined(separator: ", ")). Port 0 takes a free one.",
            valueName: "machine:port"))
    var machines: [String]

    @Option(help: "How many simulated seconds pass in one.")
    var speed = 1.0

    @Option(help: "none, demo, or a file with a fault script.")
    var faults = "demo"

    @Option(help: "Seed of the noise: the same seed gives the same course.")
    var seed: UInt64 = 1

    mutating func validate() throws {
        guard speed > 0, speed <= 1000 else { throw ValidationError("--speed is \(speed), expected more than 0 and at most 1000") }
        for machine in machines { _ = try SimulateCommand.parse(machine) }
    }

    private static func parse(_ text: String) throws -> (kind: MachineKind, port: UInt16) {
        let parts = text.split(separator: ":", maxSplits: 1)
        guard parts.count == 2, let kind = MachineKind(rawValue: String(parts[0])), let port = UInt16(parts[1]) else {
            throw ValidationError(
                "'\(text)' is not a machine and a port, such as feed-pump:15021; machines: "
                    + MachineKind.allCases.map(\.rawValue).joined(separator: ", "))
        }
        return (kind, port)
    }

    private func script() throws -> FaultScript {
        switch faults {
        case "none": return FaultScript(faults: [])
        case "demo": return .demo
        default:
            do {
                return try FaultScript(parsing: String(contentsOfFile: faults, encoding: .utf8))
            } catch let error as GatewayError {
                throw error
            } catch {
                throw GatewayError(
                    .notFound, resource: "fault script \(faults)", operation: "read",
                    "the file cannot be read; --faults takes none, demo or a file", cause: error)
            }
        }
    }

    func run() async throws {
        try await reportingErrors {
            let script = try script()
            let stop = await StopSignals()
            try await withThrowingTaskGroup(of: Void.self) { group in
                var servers: [ModbusServer] = []
                for text in machines {
                    let (kind, port) = try SimulateCommand.parse(text)
                    let machine = kind.make(seed: seed, faults: script.faults(of: kind))
                    let server = try ModbusServer(port: port, registerCount: machine.registers.count)
                    servers.append(server)
                    let host = MachineHost(machine: machine, server: server, speed: speed)
                    group.addTask { try await host.run() }
                    Output.line("\(kind.rawValue) listens on 127.0.0.1:\(server.port)")
                }
                group.addTask { try await stop.wait() }
                // The signal, or a machine that cannot serve, ends all of them.
                defer { for server in servers { server.stop() } }
                try await group.next()
            }
        }
    }
}

/// Moves one machine on with the clock and shows its registers to the server's clients, on a thread of its own.
private actor MachineHost {
    private var machine: any SimulatedMachine
    private let server: ModbusServer
    private let speed: Double
    private let time = SystemTime()
    private let thread: DedicatedThread

    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    init(machine: any SimulatedMachine, server: ModbusServer, speed: Double) {
        self.machine = machine
        self.server = server
        self.speed = speed
        thread = DedicatedThread(name: machine.name)
    }

    /// Serves until the server is stopped.
    func run() throws {
        var last = time.now
        try server.run { registers in
            let now = time.now
            machine.advance(by: last.duration(to: now).inSeconds * speed)
            last = now
            _ = registers.update(fromContentsOf: machine.registers)
        }
    }
}
