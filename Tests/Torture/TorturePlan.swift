internal import TestKit

/// What disturbs the writer of one round.
enum Trouble: String, CaseIterable, Codable {
    case kill, killWhileOpening, unreliableDisk, powerLoss, powerLossAndRefusals, fullDisk, fullAtStart, readOnlyRemount, injectedErrors
    case clockSteps, damage, damagedDatabase, rottenDatabase, folderRemoved
}

/// What the child does: everything but the moment of its end follows from here.
struct WriterPlan: Codable {
    var folder: String
    /// Of the samples: the same for all runs of a round.
    var samplesSeed: UInt64
    /// Of the work: another one for each run.
    var workSeed: UInt64
    /// The second of the round in which it begins.
    var clock: Int64
    var diskLimit: Int
    var memoryTailBytes: Int
    var usesUnreliableDisk = false
    /// Calls of the disk until the power is cut.
    var powerCutCalls: Int?
    /// Opens the store anew, without closing it, after so many bursts.
    var burstsPerOpening: Int?
    var hasClockSteps = false
    /// Bursts of batches until it closes by itself.
    var bursts: Int
    /// More than enough to fill a small disk limit.
    var isHeavy: Bool
    /// Whether somebody removes files under its hands.
    var expectsMissingFiles = false
    /// Whether the disk may refuse what it does at the end, too.
    var expectsRefusals = false
    /// Whether files were damaged before it began.
    var hasDamage = false
    /// Old data is replaced by summaries, instead of going at once.
    var isThinning = false
}

/// One round: derived from seed and number alone.
struct TorturePlan {
    let seed: UInt64
    let round: Int
    let trouble: Trouble
    let diskLimit: Int
    let isHeavy: Bool
    let runs: Int
    let hasSmallMemory: Bool
    let isThinning: Bool
    let isShort: Bool
    var random: SeededGenerator
    private var clock: Int64 = 0

    /// `isShort` is for checks that must not take long: the same troubles with fewer runs of less work.
    init(seed: UInt64, round: Int, trouble chosen: Trouble?, isShort: Bool = false) {
        self.isShort = isShort
        var mix = SeededGenerator(seed: seed &+ UInt64(round) &* 0x9E37_79B9_7F4A_7C15)
        random = SeededGenerator(seed: mix.next())
        self.seed = seed
        self.round = round
        // All kinds come in turn, so that few rounds suffice to see each.
        trouble = chosen ?? Trouble.allCases[round % Trouble.allCases.count]
        isHeavy = Int.random(in: 0..<(isShort ? 10 : 3), using: &random) == 0
        diskLimit = isHeavy ? 4 << 20 : 64 << 20
        runs = isShort ? 2 : Int.random(in: 2...4, using: &random)
        hasSmallMemory = Int.random(in: 0..<4, using: &random) == 0
        isThinning = isHeavy && Bool.random(using: &random)
    }

    /// The second of the round for the next start: later than those before.
    mutating func nextStart() -> Int64 {
        clock += 4
        return clock
    }

    mutating func writer(folder: String) -> WriterPlan {
        var plan = WriterPlan(
            folder: folder, samplesSeed: seed &+ UInt64(round) &* 7919, workSeed: random.next(), clock: nextStart(),
            diskLimit: diskLimit,
            memoryTailBytes: hasSmallMemory ? 128 << 10 : 32 << 20, bursts: isHeavy ? 400 : isShort ? 50 : 150, isHeavy: isHeavy)
        plan.isThinning = isThinning
        switch trouble {
        case .unreliableDisk: plan.usesUnreliableDisk = true
        case .powerLoss: plan.powerCutCalls = Int.random(in: 1...(isHeavy ? 500 : isShort ? 60 : 150), using: &random)
        case .powerLossAndRefusals:
            plan.usesUnreliableDisk = true
            plan.powerCutCalls = Int.random(in: 1...(isHeavy ? 500 : isShort ? 60 : 150), using: &random)
            if Bool.random(using: &random) { plan.burstsPerOpening = Int.random(in: 3...20, using: &random) }
        case .clockSteps: plan.hasClockSteps = true
        case .folderRemoved: plan.expectsMissingFiles = true
        default: break
        }
        return plan
    }

    /// Whether the disk refuses now and then, so that batches may be given up when memory is small.
    var hasRefusals: Bool {
        switch trouble {
        case .unreliableDisk, .powerLossAndRefusals, .fullDisk, .fullAtStart, .readOnlyRemount, .injectedErrors, .folderRemoved: true
        default: false
        }
    }
}
