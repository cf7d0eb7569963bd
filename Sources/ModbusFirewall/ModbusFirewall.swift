package import GatewayCore
package import ModbusProtocol

/// Decides what becomes of a request: rules, then rate, then what was never seen, then limits of the values.
///
/// A value type: requests and the time in, verdicts out.
package struct ModbusFirewall: Sendable {
    /// What to do about writes that a rule allows but nobody has made before.
    package enum NewWrites: String, Sendable, CaseIterable {
        case block, learn, allow
    }

    package struct Configuration: Sendable {
        package var rules: FirewallRules
        package var newWrites: NewWrites
        /// Most writes of one client: sustained, and at once.
        package var writesPerSecond: Double
        package var writeBurst: Int
        /// By unit identifier.
        package var guardedTags: [UInt8: [GuardedTag]]

        package init(
            rules: FirewallRules, newWrites: NewWrites, writesPerSecond: Double, writeBurst: Int, guardedTags: [UInt8: [GuardedTag]]
        ) {
            self.rules = rules
            self.newWrites = newWrites
            self.writesPerSecond = writesPerSecond
            self.writeBurst = writeBurst
            self.guardedTags = guardedTags
        }
    }

    /// A tag whose value has limits.
    package struct GuardedTag: Sendable {
        package var name: String
        package var area: ModbusArea
        package var start: Int
        package var count: Int
        package var minimum: Double?
        package var maximum: Double?
        package var maximumStep: Double?
        /// Whether more has to hold for a write than its value tells: an interlock, a rate.
        package var hasRules: Bool
        /// The engineering value of so many registers; `nil` if they hold none.
        package var value: @Sendable ([UInt16]) -> Double?

        package init(
            name: String, area: ModbusArea, start: Int, count: Int, minimum: Double? = nil, maximum: Double? = nil,
            maximumStep: Double? = nil, hasRules: Bool = false, value: @escaping @Sendable ([UInt16]) -> Double?
        ) {
            self.name = name
            self.area = area
            self.start = start
            self.count = count
            self.minimum = minimum
            self.maximum = maximum
            self.maximumStep = maximumStep
            self.hasRules = hasRules
            self.value = value
        }

        var range: Range<Int> { start..<start + count }
        var hasLimits: Bool { minimum != nil || maximum != nil || maximumStep != nil }
    }

    /// A request that is in order so far.
    package enum Verdict: Sendable {
        /// Reads only: the latest values will do if they are fresh.
        case read
        /// Writes, and these tags' present contents are needed to judge the values.
        case write(needs: [ModbusAccess])
        case refuse(Refusal)
    }

    /// Most clients whose rate is remembered.
    package static let clientsMax = 1024

    private let configuration: Configuration
    private var buckets: [ClientAddress: TokenBucket] = [:]
    package private(set) var baseline: WriteBaseline

    package init(_ configuration: Configuration, baseline: WriteBaseline) {
        self.configuration = configuration
        self.baseline = baseline
    }

    package func knows(_ client: ClientAddress) -> Bool { configuration.rules.know(client) }

    /// Judges all but the values of a write.
    package mutating func judge(_ request: ModbusRequest, unit: UInt8, client: ClientAddress, at now: MonotonicInstant) -> Verdict {
        if let refusal = configuration.rules.refusal(of: request, unit: unit, client: client) { return .refuse(refusal) }
        guard request.isWrite else { return .read }
        guard takeToken(of: client, at: now) else {
            return .refuse(
                Refusal(
                    .deviceBusy, .tooFast,
                    "\(client) writes faster than \(configuration.writesPerSecond) times per second (\(configuration.writeBurst) at once)"))
        }
        let pattern = WriteBaseline.Pattern(client: client, unit: unit, request: request)
        switch configuration.newWrites {
        case .allow: break
        case .learn: baseline.learn(pattern)
        case .block:
            guard baseline.contains(pattern) else {
                return .refuse(Refusal(.illegalDataAddress, .neverSeen, "\(client) has never made this write before: \(pattern)"))
            }
        }
        return .write(needs: neededContents(for: request, unit: unit))
    }

    /// Judges the values of a write, given the present contents of the accesses that were asked for (in that order).
    package func refusal(
        of request: ModbusRequest, unit: UInt8, client: ClientAddress, contents: [ModbusAccess: [UInt16]]
    ) -> Refusal? {
        guard let write = request.accesses?.first(where: \.isWrite) else { return nil }
        for tag in touchedTags(by: write, unit: unit) where tag.hasLimits {
            let access = ModbusAccess(area: tag.area, start: tag.start, count: tag.count, isWrite: false)
            let current = contents[access]
            guard let wanted = registers(of: tag, after: request, writing: write, over: current) else {
                return Refusal(
                    .illegalDataValue, .outOfLimits,
                    "\(tag.name) would be written in part, and its present value, which the rest would come from, is not known")
            }
            if let refusal = refusal(of: wanted, current: current, tag: tag) { return refusal }
        }
        return nil
    }

    private func refusal(of wanted: [UInt16], current: [UInt16]?, tag: GuardedTag) -> Refusal? {
        guard let value = tag.value(wanted), value.isFinite else {
            return Refusal(.illegalDataValue, .outOfLimits, "\(tag.name) would get a value that is no number")
        }
        if let minimum = tag.minimum, value < minimum {
            return Refusal(.illegalDataValue, .outOfLimits, "\(tag.name) would be \(value), at least \(minimum) is allowed")
        }
        if let maximum = tag.maximum, value > maximum {
            return Refusal(.illegalDataValue, .outOfLimits, "\(tag.name) would be \(value), at most \(maximum) is allowed")
        }
        guard let step = tag.maximumStep else { return nil }
        guard let present = current.flatMap(tag.value), present.isFinite else {
            return Refusal(.illegalDataValue, .outOfLimits, "\(tag.name) may change by \(step) at once, but its present value is not known")
        }
        guard abs(value - present) <= step else {
            return Refusal(
                .illegalDataValue, .outOfLimits, "\(tag.name) would change from \(present) to \(value), by at most \(step) is allowed")
        }
        return nil
    }

    /// The names of the tags that a write touches and that have rules beyond the limits of their values.
    func ruledTags(touchedBy request: ModbusRequest, unit: UInt8) -> [String] {
        guard let write = request.accesses?.first(where: \.isWrite) else { return [] }
        return touchedTags(by: write, unit: unit).filter(\.hasRules).map(\.name)
    }

    private func touchedTags(by write: ModbusAccess, unit: UInt8) -> [GuardedTag] {
        (configuration.guardedTags[unit] ?? []).filter { $0.area == write.area && $0.range.overlaps(write.range) }
    }

    /// Contents are needed for steps, for values that are written in part, and for masks.
    private func neededContents(for request: ModbusRequest, unit: UInt8) -> [ModbusAccess] {
        guard let write = request.accesses?.first(where: \.isWrite) else { return [] }
        return touchedTags(by: write, unit: unit).compactMap { tag in
            guard tag.hasLimits else { return nil }
            let isWhole = write.range.lowerBound <= tag.start && tag.start + tag.count <= write.range.upperBound
            if case .maskWrite = request {} else if isWhole, tag.maximumStep == nil { return nil }
            return ModbusAccess(area: tag.area, start: tag.start, count: tag.count, isWrite: false)
        }
    }

    /// The registers of a tag as they will be; `nil` if they depend on contents that are not known.
    private func registers(
        of tag: GuardedTag, after request: ModbusRequest, writing write: ModbusAccess, over current: [UInt16]?
    ) -> [UInt16]? {
        let offset = write.start - tag.start
        let underWrite = current.flatMap { contents -> [UInt16]? in
            offset >= 0 && offset + write.count <= contents.count ? Array(contents[offset..<offset + write.count]) : nil
        }
        guard let written = request.written(to: write, over: underWrite) else { return nil }
        var registers: [UInt16] = []
        for address in tag.range {
            if write.range.contains(address) {
                registers.append(written[address - write.start])
            } else if let current {
                registers.append(current[address - tag.start])
            } else {
                return nil
            }
        }
        return registers
    }

    private mutating func takeToken(of client: ClientAddress, at now: MonotonicInstant) -> Bool {
        if buckets[client] == nil, buckets.count >= ModbusFirewall.clientsMax {
            buckets = buckets.filter { !$0.value.isFull(at: now) }
            guard buckets.count < ModbusFirewall.clientsMax else { return false }
        }
        var bucket = buckets[client] ?? TokenBucket(perSecond: configuration.writesPerSecond, size: configuration.writeBurst, at: now)
        defer { buckets[client] = bucket }
        return bucket.take(at: now)
    }
}
