internal import BenchmarkSignals
internal import Foundation
internal import GatewayCore
internal import Historian
internal import Logging
internal import Telemetry

/// A log on a real disk in a folder of its own, with its commits and its sealing running.
final class BenchmarkLog {
    let folder: String
    let log: Historian
    private let service: Task<Void, any Error>

    /// Bytes that a load appends before it waits for the disk.
    private static let loadBytes = 2 << 20

    static var logger: Logger {
        var logger = Logger(label: "uplink-bench")
        logger.logLevel = .warning
        return logger
    }

    /// Opens a new one, or with `isKept` what was left there.
    init(_ name: String, isKept: Bool = false, time: SystemTime) throws {
        folder = "\(FigureLog.folder)/uplink/\(name)"
        if !isKept { try? FileManager.default.removeItem(atPath: folder) }
        let log = try Historian(
            configuration: HistorianConfiguration(folder: folder, diskLimit: 1 << 40), time: time, logger: BenchmarkLog.logger)
        self.log = log
        service = Task { try await log.run() }
    }

    /// Fills it with `samples` of the plant, polled once a second until now.
    func fill(_ plant: DemoPlant, samples: Int, time: SystemTime) async throws {
        let streams = try plant.descriptors.map { try log.register($0) }
        let perPoll = plant.descriptors.reduce(0) { $0 + $1.tags.count }
        let polls = samples / perPoll
        let first = time.utc.advanced(by: .seconds(-polls))
        var uncommitted = 0
        for poll in 0..<polls {
            let at = first.advanced(by: .seconds(poll))
            for (device, stream) in streams.enumerated() {
                let batch = plant.batch(device: device, poll: poll, of: stream, at: at)
                uncommitted += batch.values.count
                log.append(batch)
            }
            if uncommitted >= BenchmarkLog.loadBytes {
                uncommitted = 0
                try await log.flush()
            }
        }
        try await log.flush()
    }

    func close() async throws {
        service.cancel()
        _ = await service.result
        try await log.close()
    }

    func discard() async throws {
        try await close()
        try FileManager.default.removeItem(atPath: folder)
    }
}
