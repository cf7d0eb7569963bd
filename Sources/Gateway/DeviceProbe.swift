package import Commissioning
package import GatewayCore
package import ModbusAdapter
internal import ModbusProtocol
internal import Telemetry

/// Finds out what a device offers: which addresses it answers, and what their values seem to be.
package struct DeviceProbe: Sendable {
    /// One of the four tables.
    package enum Area: String, Sendable, CaseIterable {
        case holding, input, coil, discrete

        fileprivate var modbus: ModbusArea {
            switch self {
            case .holding: .holdingRegisters
            case .input: .inputRegisters
            case .coil: .coils
            case .discrete: .discreteInputs
            }
        }
        fileprivate var isBits: Bool { modbus.isBits }
    }
    package var endpoint: ModbusEndpoint
    package var unit: UInt8
    package var areas: [Area]
    /// Which addresses are tried in each area.
    package var span: Range<Int>
    package var requestsPerSecond: Double
    /// The search ends when this much time has passed, with what was found until then.
    package var searchTime: Duration
    package var readings: Int
    package var readingInterval: Duration
    package var responseTimeout: Duration

    package init(
        endpoint: ModbusEndpoint, unit: UInt8, areas: [Area], span: Range<Int>, requestsPerSecond: Double, searchTime: Duration,
        readings: Int, readingInterval: Duration, responseTimeout: Duration
    ) {
        self.endpoint = endpoint
        self.unit = unit
        self.areas = areas
        self.span = span
        self.requestsPerSecond = requestsPerSecond
        self.searchTime = searchTime
        self.readings = readings
        self.readingInterval = readingInterval
        self.responseTimeout = responseTimeout
    }

    /// What will be asked, a sentence a line: for people, before it begins.
    package var announcement: [String] {
        [
            "unit \(unit) at \(endpoint) is asked with functions that only read: "
                + areas.map { "0\($0.modbus.rawValue) (\($0.rawValue))" }.joined(separator: ", ") + " and 43/14 (identification)",
            "addresses \(span.lowerBound)…\(span.upperBound - 1), at most \(requestsPerSecond) requests per second, search ends after "
                + "\(searchTime.inSeconds) s at the latest",
            "what is found is then read \(readings) times, every \(readingInterval.inSeconds) s",
        ]
    }

    /// Searches, reads and judges. `progress` is told a sentence now and then.
    ///
    /// Throws a `GatewayError` when the device cannot be reached, or is lost for good.
    package func run(time: any TimeSource, progress: @Sendable (String) -> Void) async throws -> DraftDefinition {
        let prober = ModbusProber(
            line: ModbusLine(endpoint, responseTimeout: responseTimeout, connectTimeout: .seconds(3)), unit: unit)
        try await prober.connect()
        do {
            let draft = try await run(prober, time: time, progress: progress)
            await prober.disconnect()
            return draft
        } catch {
            await prober.disconnect()
            throw error
        }
    }

    private struct Found {
        var area: Area
        var ranges: [Range<Int>]
        var blockMax: Int
    }

    private func run(_ prober: ModbusProber, time: any TimeSource, progress: @Sendable (String) -> Void) async throws -> DraftDefinition {
        let start = time.utc
        let identification = await prober.identification()
        let names = identification.sorted { $0.object < $1.object }.map(\.text)
        progress(names.isEmpty ? "the device does not say what it is" : "the device calls itself \(names.joined(separator: ", "))")
        var pace = Pace(interval: .seconds(1 / requestsPerSecond), next: time.now)
        let deadline = time.now.advanced(by: searchTime)
        var found: [Found] = []
        for area in areas {
            found.append(try await search(area, prober, pace: &pace, deadline: deadline, time: time, progress: progress))
        }
        var rows: [[[[UInt16]]]] = found.map { $0.ranges.map { _ in [] } }
        let isAnythingToRead = found.contains { !$0.area.isBits && !$0.ranges.isEmpty }
        var nextReading = time.now
        for _ in 0..<(isAnythingToRead ? readings : 0) {
            try await time.sleep(until: nextReading)
            nextReading = max(nextReading.advanced(by: readingInterval), time.now)
            for (index, area) in found.enumerated() where !area.area.isBits {
                for (number, range) in area.ranges.enumerated() {
                    if let row = try await read(range, of: area, prober, pace: &pace, time: time) { rows[index][number].append(row) }
                }
            }
        }
        var registers: [DraftDefinition.Registers] = []
        var bits: [DraftDefinition.Bits] = []
        for (index, area) in found.enumerated() where !area.ranges.isEmpty {
            if area.area.isBits {
                bits.append(.init(table: area.area.rawValue, ranges: area.ranges))
            } else {
                let ranges = zip(area.ranges, rows[index]).compactMap { RegisterReadings(start: $0.lowerBound, rows: $1) }
                registers.append(.init(table: area.area.rawValue, map: MapInference(ranges).map()))
            }
        }
        let remarks =
            ["Probed on \(start), unit \(unit) at \(endpoint)."]
            + (names.isEmpty ? [] : ["The device calls itself \(names.joined(separator: ", "))."])
            + announcement
        return DraftDefinition(name: names.joined(separator: "-"), remarks: remarks, registers: registers, bits: bits)
    }

    private func search(
        _ area: Area, _ prober: ModbusProber, pace: inout Pace, deadline: MonotonicInstant, time: any TimeSource,
        progress: (String) -> Void
    ) async throws -> Found {
        var search = AddressSearch(span: span, blockMax: area.isBits ? ModbusLimits.readBitsMax : ModbusLimits.readRegistersMax)
        var isCut = false
        while let asked = search.next {
            guard time.now < deadline else {
                isCut = true
                break
            }
            try await pace.wait(time)
            search.record(DeviceProbe.meaning(of: try await prober.read(area.modbus, start: asked.lowerBound, count: asked.count)))
        }
        let ranges = search.ranges.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)…\($0.upperBound - 1)" }
        progress(
            "\(area.rawValue): \(ranges.isEmpty ? "nothing" : ranges.joined(separator: ", ")) (\(search.requests) requests)"
                + (search.abortReason.map { "; \($0)" } ?? "") + (isCut ? "; the time for searching is over" : ""))
        return Found(area: area, ranges: search.ranges, blockMax: search.blockMax)
    }

    private static func meaning(of answer: ModbusProber.Answer) -> AddressSearch.Answer {
        switch answer {
        case .registers, .bits: .readable
        case .exception(1): .noSuchArea
        // Gateway path unavailable, gateway target failed to respond: the device itself said nothing.
        case .exception(10), .exception(11), .nothing: .silent
        case .exception: .refused
        }
    }

    /// One reading of a range; `nil` when a part of it did not come.
    private func read(
        _ range: Range<Int>, of found: Found, _ prober: ModbusProber, pace: inout Pace, time: any TimeSource
    ) async throws -> [UInt16]? {
        var row: [UInt16] = []
        row.reserveCapacity(range.count)
        for start in stride(from: range.lowerBound, to: range.upperBound, by: found.blockMax) {
            try await pace.wait(time)
            let count = min(found.blockMax, range.upperBound - start)
            guard case .registers(let part) = try await prober.read(found.area.modbus, start: start, count: count) else { return nil }
            row += part
        }
        return row
    }

    /// Keeps requests apart.
    private struct Pace {
        let interval: Duration
        var next: MonotonicInstant

        mutating func wait(_ time: any TimeSource) async throws {
            try await time.sleep(until: next)
            next = max(next, time.now).advanced(by: interval)
        }
    }
}
