import Foundation
import GatewayCore
import Identity
import Synchronization
import Telemetry
import TestKit
import Testing

@testable import Gateway

@Suite("Certificates are forecast")
struct IdentityServiceTests {
    private static let day = Duration.seconds(86_400)

    private final class Present: Sendable {
        let holders: Mutex<[IdentityHolder]>
        init(_ holders: [IdentityHolder]) { self.holders = Mutex(holders) }
    }

    private func identity(at time: Timestamp) throws -> (folder: TemporaryFolder, holder: IdentityHolder) {
        let folder = try TemporaryFolder()
        _ = try DevelopmentIdentity.create(in: folder.path, at: time)
        let files = TLSFiles(ca: folder.path + "/ca.crt", certificate: folder.path + "/gateway.crt", key: folder.path + "/gateway.key")
        return (folder, IdentityHolder(isRoute: true, name: "central", files: files))
    }

    @Test("from 30 days before the end, daily, until new files are there; and nothing of it while the clock is not set")
    func forecast() async throws {
        let time = ManualTime()
        let log = MemoryLog()
        let recorder = LogRecorder()
        let (folder, holder) = try identity(at: time.utc)
        let present = Present([holder])
        let isClockSet = Mutex(true)
        let service = IdentityService(
            log: log, time: time, logger: recorder.logger,
            identities: { stamp in
                let stamp = isClockSet.withLock { $0 } ? stamp : ClockStamp(time: Timestamp(nanoseconds: 0), isUncertain: true)
                return present.holders.withLock { $0.map { ($0, $0.reading(at: stamp)) } }
            }, register: { log.register($0) })
        let task = Task { try await service.run() }
        defer { task.cancel() }
        let descriptor = IdentityStream.descriptor(device: "route-central")
        func look(after duration: Duration) async {
            await time.untilAsleep(1)
            time.advance(by: duration)
            await time.untilAsleep(1)
        }
        func newest(_ tag: String) throws -> DataValue {
            let batch = try #require(log.batches.last)
            let index = try #require(descriptor.tags.firstIndex { $0.name == tag })
            return try #require(batch.value(of: index, in: descriptor))
        }
        await look(after: .seconds(1))
        #expect(try newest("alarm").value == .bool(false))
        #expect(try newest("certificateDaysLeft").value == .int(89) && newest("alarmReason").value == .string(""))
        #expect(recorder.lines.isEmpty)

        await look(after: Self.day * 60)
        #expect(try newest("alarm").value == .bool(true) && newest("certificateDaysLeft").value == .int(29))
        #expect(recorder.lines.map { $0.message } == ["certificate needs attention"])
        let before = log.batches.count
        await look(after: .seconds(10))
        #expect(log.batches.count == before && recorder.lines.count == 1, "the same day it is not told again")
        await look(after: Self.day)
        #expect(try log.batches.count == before + 1 && recorder.lines.count == 2 && newest("certificateDaysLeft").value == .int(28))

        isClockSet.withLock { $0 = false }
        await look(after: Self.day * 100)
        #expect(try newest("alarm").value == .bool(false) && newest("certificateDaysLeft").status == .badNoData)
        isClockSet.withLock { $0 = true }
        await look(after: Self.day)
        #expect(try newest("alarm").value == .bool(true) && newest("certificateDaysLeft").value == .int(-73))
        let reason = String(describing: try newest("alarmReason").value)
        #expect(reason.contains("expired on"), "\(reason)")

        // A whole new identity: the authority of the old one has ended, too.
        for name in DevelopmentIdentity.fileNames { try FileManager.default.removeItem(atPath: "\(folder.path)/\(name)") }
        _ = try DevelopmentIdentity.create(in: folder.path, at: time.utc)
        await look(after: .seconds(10))
        #expect(try newest("alarm").value == .bool(false) && newest("certificateDaysLeft").value == .int(89))
        #expect(recorder.lines.last?.message == "certificate is in order again")

        try FileManager.default.removeItem(atPath: folder.path + "/gateway.key")
        await look(after: .seconds(10))
        #expect(try newest("alarm").value == .bool(true) && newest("certificateDaysLeft").value == .int(89))
        present.holders.withLock { $0 = [] }
        await look(after: .seconds(10))
        #expect(try newest("alarm").value == .bool(false), "what is gone is no alarm any more")
    }
}
