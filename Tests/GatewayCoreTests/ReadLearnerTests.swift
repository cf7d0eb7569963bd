import Foundation
import TestKit
import Testing

@testable import GatewayCore

@Suite("Learning what a device refuses")
struct ReadLearnerTests {
    @Test(
        "scenario 14: a map with 30 scattered forbidden registers is read with at most 1.5 × the requests of the ideal plan after learning")
    func scatteredHoles() throws {
        let seed = seedOfThisRun()
        var generator = SeededGenerator(seed: seed)
        var worst = 0.0
        var most = 0
        for _ in 0..<25 {
            let density = Double.random(in: 0.2...0.9, using: &generator)
            let addresses = (0..<1000).filter { _ in Double.random(in: 0..<1, using: &generator) < density }
            let free = Set(0..<1000).subtracting(addresses)
            let forbidden = Set(free.sorted().shuffled(using: &generator).prefix(30))
            var reader = SimulatedReader(registers(addresses), device: SimulatedDevice(forbidden: forbidden))
            // Whatever is refused while the device is not known yet, every value is read in every poll.
            for _ in 0..<3 {
                let poll = reader.poll(after: .milliseconds(10))
                #expect(poll.read.count == addresses.count, "seed \(seed)")
            }
            let settled = reader.settle()
            let learning = try #require(settled, "seed \(seed)")
            let ideal = fewestRequests(addresses, forbidden: forbidden)
            let ratio = Double(reader.layout.requests.count) / Double(ideal)
            #expect(ratio <= 1.5, "seed \(seed): \(reader.layout.requests.count) requests instead of \(ideal)")
            let last = reader.poll()
            #expect(last.read.count == addresses.count, "seed \(seed)")
            worst = max(worst, ratio)
            most = max(most, reader.device.requests)
            // Finding one of them takes about two requests per halving, and each poll asks for the rest too.
            #expect(reader.device.requests <= 30 * 20 + (learning.polls + 4) * ideal, "seed \(seed): \(reader.device.requests)")
        }
        print("scattered holes: at most \(worst) × the ideal requests, at most \(most) requests until all was known")
    }

    @Test("scenario 26: a refused tag alone is Bad; the others are read at once, and it is asked for again ever more rarely")
    func refusedTag() throws {
        let device = SimulatedDevice(forbidden: [417])
        var reader = SimulatedReader(registers(0..<1000), device: device)
        let first = reader.poll()
        #expect(first.read.count == 999)
        #expect(first.findings == [.refused(span: 417..<418, kind: .value, code: 2)])
        #expect(first.requests <= 8 + 2 * 7 + 2)
        // Once may be a mood, so that it is asked for in the next poll too, alone.
        let second = reader.poll()
        #expect(second.read.count == 999 && second.refusals == 1 && second.requests <= 8 + 3)
        let third = reader.poll()
        #expect(third.read.count == 999 && third.refusals == 0)
        #expect(reader.layout.refused == [417..<418])
        // An hour of polls: eight or nine requests each, and a handful of trials.
        let steady = reader.layout.requests.count
        let before = reader.device.requests
        for _ in 0..<360 { _ = reader.poll(after: .seconds(10)) }
        let trials = reader.device.requests - before - 360 * steady
        #expect(trials > 2 && trials < 12, "\(trials)")
        // The device gets the register: it is read again within the hour without anybody doing anything.
        reader.device.forbidden = []
        for _ in 0..<365 { _ = reader.poll(after: .seconds(10)) }
        let last = reader.poll()
        #expect(last.read.count == 1000)
        #expect(reader.layout.requests.count == 8)
    }

    @Test(
        "a limit of the length is told apart from a hole, whichever code it is refused with", arguments: [2, 3, 4],
        [16, 20, 60, 64, 100, 124])
    func lengthLimit(code: UInt8, most: Int) throws {
        var reader = SimulatedReader(registers(0..<600), device: SimulatedDevice(lengthMax: most, lengthCode: code))
        let settled = reader.settle()
        _ = try #require(settled)
        #expect(reader.learner.knowledge.refusals.isEmpty)
        #expect(reader.layout.requests.count == (600 + most - 1) / most)
        let last = reader.poll()
        #expect(last.read.count == 600)
        #expect(reader.device.requests < 400, "\(reader.device.requests)")
    }

    @Test("a limit and holes together are both learned")
    func limitAndHoles() throws {
        let seed = seedOfThisRun()
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<40 {
            let addresses = (0..<600).filter { _ in Int.random(in: 0..<3, using: &generator) > 0 }
            let forbidden = Set(Set(0..<600).subtracting(addresses).sorted().shuffled(using: &generator).prefix(10))
            let most = Int.random(in: 20...124, using: &generator)
            var reader = SimulatedReader(registers(addresses), device: SimulatedDevice(forbidden: forbidden, lengthMax: most))
            let settled = reader.settle()
            _ = try #require(settled, "seed \(seed)")
            let ideal = fewestRequests(addresses, forbidden: forbidden, lengthMax: most)
            #expect(Double(reader.layout.requests.count) <= 1.5 * Double(ideal), "seed \(seed): \(reader.layout.requests.count), \(ideal)")
            let last = reader.poll()
            #expect(last.read.count == addresses.count, "seed \(seed)")
        }
    }

    @Test("a border between two blocks of the device costs one more request, not the values around it")
    func seam() throws {
        var reader = SimulatedReader(registers(0..<100), device: SimulatedDevice(seams: [37, 64]))
        let last = reader.poll()
        #expect(last.read.count == 100)
        let settled = reader.settle()
        _ = try #require(settled)
        #expect(reader.layout.requests.map(\.count) == [37, 27, 36])
    }

    @Test("a device that refuses once only leaves nothing behind")
    func mood() throws {
        for moods in 1...2 {
            var reader = SimulatedReader(registers((0..<125).filter { $0 % 3 > 0 }), device: SimulatedDevice(moods: moods))
            let last = reader.poll()
            #expect(last.read.count == 83)
            let settled = reader.settle()
            _ = try #require(settled)
            #expect(reader.learner.knowledge.refusals.isEmpty)
            #expect(reader.layout.requests.count == 1)
        }
    }

    @Test("a device that refuses everything is not flooded, and is read whole again soon after it has come to its senses")
    func refusesAll() throws {
        var reader = SimulatedReader(registers(0..<1000), device: SimulatedDevice(refusesAll: true))
        for _ in 0..<20 {
            let poll = reader.poll()
            #expect(poll.read.isEmpty)
            #expect(poll.requests <= 8 + 2 * RefusalSearch.stepsMax + ReadLearner.valueTrialsMin, "\(poll.requests)")
        }
        reader.device.refusesAll = false
        for _ in 0..<60 { _ = reader.poll() }
        let poll = reader.poll()
        #expect(poll.read.count == 1000 && poll.requests == 8, "\(poll.read.count) values in \(poll.requests) requests")
    }

    @Test("a hole that closes is read across again after a day, and the trial costs one request")
    func retry() throws {
        var reader = SimulatedReader(registers([0, 1, 2, 10, 11]), device: SimulatedDevice(forbidden: [5]))
        let settled = reader.settle()
        _ = try #require(settled)
        #expect(reader.layout.requests.count == 2)
        _ = reader.poll(after: .seconds(86_500))
        let failed = reader.poll()
        #expect(failed.requests == 2 && failed.read.count == 5)
        reader.device.forbidden = []
        _ = reader.poll(after: .seconds(86_500))
        let last = reader.poll()
        #expect(last.requests == 1)
    }

    @Test("a new connection brings all trials forward, but never more than one way per poll and not at every reconnection")
    func reconnect() throws {
        let addresses = (0..<300).filter { $0 % 10 != 5 }
        var reader = SimulatedReader(registers(addresses), device: SimulatedDevice(forbidden: Set(stride(from: 5, to: 300, by: 10))))
        let settled = reader.settle()
        _ = try #require(settled)
        let steady = reader.layout.requests.count
        reader.learner.didConnect(at: reader.now)
        let last = reader.poll()
        #expect(last.requests == steady)
        _ = reader.poll(after: .seconds(700))
        reader.learner.didConnect(at: reader.now)
        for _ in 0..<40 {
            let poll = reader.poll()
            #expect(poll.requests <= steady + 1)
        }
        reader.learner.didConnect(at: reader.now)
        let again = reader.poll()
        #expect(again.requests == steady)
    }

    @Test("what was learned survives a restart, and a damaged record is forgotten instead of believed")
    func remembering() throws {
        let addresses = (0..<600).filter { $0 % 7 != 3 }
        let device = SimulatedDevice(forbidden: [10, 101, 353], lengthMax: 100)
        var reader = SimulatedReader(registers(addresses), device: device)
        let settled = reader.settle()
        _ = try #require(settled)
        let kept = reader.learner.learned(at: reader.now)
        let text = try JSONEncoder().encode(kept)
        let read = try JSONDecoder().decode(LearnedReads.self, from: text)
        #expect(read == kept)
        var again = SimulatedReader(registers(addresses), device: device, remembered: read)
        let poll = again.poll()
        #expect(poll.refusals == 0 && poll.requests == reader.layout.requests.count)
        for damage in [
            { $0.refusals[0].count = 0 }, { $0.refusals[0].start = -1 }, { $0.refusals[0].start = .max }, { $0.refusals[0].count = .max },
            { $0.refusals[0].failures = 0 }, { $0.refusals[0].retrySeconds = .nan }, { $0.model.byteSeconds = -1 },
            { $0.model.requestSeconds = .infinity }, { $0.lengths[0].longestRead = -5 }, { $0.lengths[0].shortestRefused = 1 },
        ] as [(inout LearnedReads) -> Void] {
            var broken = kept
            damage(&broken)
            #expect(!broken.isPossible)
            var learner = ReadLearner(limits: ReadLimits { _ in 125 }, remembered: broken, at: MonotonicInstant(nanoseconds: 0))
            #expect(learner.knowledge.isEmpty)
            learner.didConnect(at: MonotonicInstant(nanoseconds: 0))
        }
    }

    @Test("a device with more forbidden holes than are remembered is read without holes")
    func tooManyWays() {
        var knowledge = AddressKnowledge()
        for index in 0...AddressKnowledge.waysMax {
            knowledge.noteRefused(area: 3, span: 10 * index..<10 * index + 3, kind: .way, code: 2, at: MonotonicInstant(nanoseconds: 0))
        }
        #expect(knowledge.avoidsHoles && knowledge.refusals.isEmpty && !knowledge.isEmpty)
    }

    @Test("a search never asks for more than its budget, and finds something in it whatever the device does")
    func bounded() throws {
        let seed = seedOfThisRun()
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<300 {
            let addresses = (0..<2000).filter { _ in Int.random(in: 0..<4, using: &generator) > 0 }
            let fields = registers(addresses, area: 1)
            let whole = ReadRequest(
                area: 1, start: addresses.first ?? 0, count: (addresses.last ?? 0) - (addresses.first ?? 0) + 1, fields: 0..<fields.count)
            var device = SimulatedDevice(
                forbidden: Set((0..<Int.random(in: 1...50, using: &generator)).map { _ in Int.random(in: 0..<2000, using: &generator) }))
            guard case .refused = device.answer(whole) else { continue }
            var search = RefusalSearch(whole, code: 2, fields: fields, limits: ReadLimits { _ in 2000 }, longestRead: 0)
            while let step = search.next() { search.take(device.answer(step)) }
            #expect(search.steps <= RefusalSearch.stepsMax, "seed \(seed)")
            #expect(!search.findings.isEmpty, "seed \(seed)")
            #expect(search.results.map(\.fields.count).reduce(0, +) == fields.count, "seed \(seed)")
        }
    }

    @Test("a thousand tags are planned in milliseconds", .disabled(if: ProcessInfo.processInfo.environment["INDUS_MEASURE"] == nil))
    func speed() {
        let fields = registers((0..<10_000).filter { $0 % 10 < 1 })
        let time = SystemTime()
        let before = time.now
        for _ in 0..<100 { _ = ReadPlanner.layout(fields, limits: ReadLimits { _ in 125 }) }
        print("a plan of \(fields.count) tags takes \(before.duration(to: time.now) / 100)")
    }
}

@Suite("Line cost model")
struct LineCostFitTests {
    private func fit(_ truth: LineCostModel, start: LineCostModel, lengths: [Double], noise: Double, outliers: Int = 0, count: Int = 600)
        -> LineCostModel
    {
        var generator = SeededGenerator(seed: 7)
        var fit = LineCostFit(start: start)
        for index in 0..<count {
            let bytes = lengths[index % lengths.count]
            var seconds = truth.seconds(bytes: bytes) * (1 + Double.random(in: -noise...noise, using: &generator))
            if outliers > 0, index % outliers == outliers - 1 { seconds += 1 }
            fit.observe(bytes: bytes, seconds: seconds)
        }
        return fit.model
    }

    private func isNear(_ value: Double, _ truth: Double, _ share: Double) -> Bool { abs(value - truth) <= share * truth }

    @Test("finds the two parts of the cost, from a start that is far off")
    func converges() {
        let truth = LineCostModel(requestSeconds: 12e-3, byteSeconds: 0.57e-3)
        let found = fit(truth, start: LineCostModel(requestSeconds: 1e-3, byteSeconds: 1e-7), lengths: [2, 20, 100, 250], noise: 0.05)
        #expect(isNear(found.requestSeconds, truth.requestSeconds, 0.15) && isNear(found.byteSeconds, truth.byteSeconds, 0.05), "\(found)")
    }

    @Test("with answers of one length the price of a byte stays what it was, and the sum is right")
    func oneLength() {
        let start = LineCostModel(requestSeconds: 1e-3, byteSeconds: 1e-6)
        let found = fit(LineCostModel(requestSeconds: 5e-3, byteSeconds: 2e-6), start: start, lengths: [100], noise: 0.02)
        #expect(isNear(found.byteSeconds, 1e-6, 0.01))
        #expect(isNear(found.seconds(bytes: 100), 5.2e-3, 0.02))
    }

    @Test("one slow answer in fifty changes little")
    func robust() {
        let truth = LineCostModel(requestSeconds: 2e-3, byteSeconds: 1e-5)
        let found = fit(truth, start: truth, lengths: [10, 100, 250], noise: 0.1, outliers: 50)
        #expect(isNear(found.seconds(bytes: 100), truth.seconds(bytes: 100), 0.25), "\(found)")
    }

    @Test("a line that has become slower is followed, and no part is ever negative")
    func follows() {
        var fit = LineCostFit(start: LineCostModel(requestSeconds: 1e-3, byteSeconds: 1e-6))
        for index in 0..<300 { fit.observe(bytes: Double(index % 5) * 50, seconds: 1e-3) }
        for index in 0..<3000 { fit.observe(bytes: Double(index % 5) * 50, seconds: 8e-3) }
        #expect(isNear(fit.model.seconds(bytes: 100), 8e-3, 0.05), "\(fit.model)")
        for index in 0..<1000 { fit.observe(bytes: Double(index % 5) * 50, seconds: 1e-3 / Double(1 + index % 5)) }
        #expect(fit.model.requestSeconds >= 0 && fit.model.byteSeconds >= 0)
        fit.observe(bytes: 10, seconds: .nan)
        fit.observe(bytes: 10, seconds: -1)
        #expect(fit.model.requestSeconds.isFinite && fit.model.byteSeconds.isFinite)
    }
}
