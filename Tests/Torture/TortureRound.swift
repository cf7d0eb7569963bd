internal import Foundation
internal import TestKit

/// Runs one round: writers that are disturbed, one after the other on one store, with a judgement after each.
struct TortureRound {
    private var plan: TorturePlan
    private let base: String
    private var testimony = Testimony()
    private let samples: TortureSamples
    private var isDatabaseLost = false
    private var hasDamage = false

    /// What came of a round.
    enum Outcome {
        case passed(batches: Int, missing: Int, thinned: UInt64, notes: [String])
        case skipped(String)
        case failed(String, notes: [String])
    }

    private(set) var notes: [String] = []
    private var batches = 0
    private var missing = 0
    private var thinned: UInt64 = 0

    init(_ plan: TorturePlan, folder: String) {
        self.plan = plan
        base = folder
        samples = TortureSamples(seed: plan.seed &+ UInt64(plan.round) &* 7919, isSpread: plan.isThinning)
    }

    private var needsMount: Bool { [.fullDisk, .fullAtStart, .readOnlyRemount].contains(plan.trouble) }
    private var isPowerCut: Bool { plan.trouble == .powerLoss || plan.trouble == .powerLossAndRefusals }
    private var disk: String { base + "/disk" }
    private var folder: String { needsMount ? disk + "/log" : base + "/log" }

    mutating func run() async -> Outcome {
        do {
            try FileManager.default.createDirectory(atPath: base, withIntermediateDirectories: true)
            if needsMount {
                try FileManager.default.createDirectory(atPath: disk, withIntermediateDirectories: true)
                guard TortureRound.command("mount", "-t", "tmpfs", "-o", "size=\(plan.isHeavy ? 7 : 4)m", "tmpfs", disk) == 0 else {
                    return .skipped("mounting is not permitted")
                }
            }
            if plan.trouble == .injectedErrors, TortureRound.command("strace", "-qq", "-o", "/dev/null", "true") != 0 {
                return .skipped("strace is missing or not permitted")
            }
        } catch {
            return .failed("\(error)", notes: notes)
        }
        defer { if needsMount { _ = TortureRound.command("umount", "-l", disk) } }
        do {
            for _ in 0..<plan.runs { try await cycle() }
            return .passed(batches: batches, missing: missing, thinned: thinned, notes: notes)
        } catch {
            return .failed("\(error)", notes: notes)
        }
    }

    /// One writer from start to end, and the judgement.
    private mutating func cycle() async throws {
        var writerPlan = plan.writer(folder: folder)
        writerPlan.expectsRefusals = plan.hasRefusals
        writerPlan.hasDamage = hasDamage || plan.trouble == .folderRemoved || isPowerCut
        var wrapper: [String] = []
        if plan.trouble == .injectedErrors { wrapper = injection() }
        if plan.trouble == .fullAtStart { fillDisk() }
        if plan.trouble == .readOnlyRemount { remount("ro") }
        let writer = try WriterProcess(writerPlan, through: wrapper)
        let isKilled = Bool.random(using: &plan.random)
        switch plan.trouble {
        case .kill, .damage, .damagedDatabase, .rottenDatabase, .clockSteps: try await killSomewhere(writer)
        case .killWhileOpening:
            if batches == 0 {
                try await killSomewhere(writer)
            } else {
                try await writer.untilStarting()
                try await Task.sleep(for: .microseconds(Int.random(in: 0...8_000, using: &plan.random)))
                writer.kill()
            }
        case .fullDisk: try await fillAndEmpty(writer, isKilled: isKilled)
        case .fullAtStart:
            try await Task.sleep(for: .milliseconds(Int.random(in: 0...80, using: &plan.random)))
            emptyDisk()
            if isKilled { try await killSomewhere(writer) }
        case .readOnlyRemount:
            try await Task.sleep(for: .milliseconds(Int.random(in: 0...80, using: &plan.random)))
            remount("rw")
            if isKilled { try await killSomewhere(writer) }
        case .folderRemoved:
            try await writer.untilOpened()
            try await Task.sleep(for: .milliseconds(Int.random(in: 0...100, using: &plan.random)))
            removeSomeFiles()
            if isKilled { try await killSomewhere(writer) }
        case .unreliableDisk, .injectedErrors: if isKilled { try await killSomewhere(writer) }
        case .powerLoss, .powerLossAndRefusals: break
        }
        let lines = try await writer.ended()
        if plan.trouble == .injectedErrors || (plan.trouble == .unreliableDisk && !isKilled) {
            // A writer may find no moment in which a bad disk lets it open or close; the store has to be whole all the same.
            try testimony.add(lines.filter { if case .refused = $0 { false } else { true } })
        } else {
            try testimony.add(lines)
        }
        if plan.trouble == .rottenDatabase, Bool.random(using: &plan.random) { try strikeWriteAheadLog() }
        var contents = try await judge()
        if plan.trouble == .damage { contents = try await damage(contents) }
        if plan.trouble == .damagedDatabase || plan.trouble == .rottenDatabase, Bool.random(using: &plan.random) {
            contents = try await damageDatabase(contents)
        }
        batches = contents.positions.count
        missing = contents.missing
        thinned = contents.thinned
    }

    private mutating func judge() async throws -> TortureOracle.Contents {
        var allowance = Allowance()
        allowance.evictions = plan.isHeavy
        allowance.countedLosses = hasDamage || plan.hasSmallMemory || plan.trouble == .folderRemoved
        allowance.repairs = hasDamage || plan.trouble == .folderRemoved
        allowance.databaseLost = isDatabaseLost
        allowance.tornTails = isPowerCut
        allowance.adoptionsLost = isPowerCut && plan.hasRefusals
        allowance.filesTaken = plan.trouble == .folderRemoved
        allowance.unfinishedFiles = isPowerCut || plan.hasRefusals
        let contents = try await TortureOracle(
            folder: folder, samples: samples, diskLimit: plan.diskLimit, clock: plan.nextStart(), isThinning: plan.isThinning
        )
        .judge(&testimony, allowance)
        isDatabaseLost = false
        return contents
    }

    // MARK: - Troubles

    private mutating func killSomewhere(_ writer: WriterProcess) async throws {
        try await writer.untilOpened()
        // To thin takes its time.
        let longest = plan.isThinning ? 2_500_000 : plan.isHeavy ? 800_000 : 250_000
        try await Task.sleep(for: .microseconds(Int.random(in: 0...longest, using: &plan.random)))
        writer.kill()
    }

    private mutating func fillAndEmpty(_ writer: WriterProcess, isKilled: Bool) async throws {
        try await writer.untilOpened()
        for _ in 0..<Int.random(in: 1...4, using: &plan.random) {
            try await Task.sleep(for: .milliseconds(Int.random(in: 0...60, using: &plan.random)))
            fillDisk()
            try await Task.sleep(for: .milliseconds(Int.random(in: 5...100, using: &plan.random)))
            if !isKilled || Bool.random(using: &plan.random) { emptyDisk() }
        }
        if isKilled { writer.kill() } else { _ = try await writer.ended() }
        emptyDisk()
    }

    /// Fills the disk to the last bytes.
    private mutating func fillDisk() {
        let file = open(disk + "/ballast", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard file >= 0 else { return }
        defer { close(file) }
        for size in [1 << 16, 1 << 12, 1] {
            let bytes = [UInt8](repeating: 1, count: size)
            while write(file, bytes, size) > 0 {}
        }
        let spare = [0, 0, 4096, 20_000].randomElement(using: &plan.random) ?? 0
        ftruncate(file, lseek(file, 0, SEEK_END) - off_t(spare))
    }

    private func emptyDisk() { unlink(disk + "/ballast") }

    private func remount(_ mode: String) { _ = TortureRound.command("mount", "-o", "remount,\(mode)", disk) }

    /// The call that tells strace to let system calls of the writer fail.
    private mutating func injection() -> [String] {
        let calls = [
            ("fdatasync", "EIO"), ("pwrite64", "ENOSPC"), ("pwrite64", "EIO"), ("fdatasync,fsync", "EIO"), ("unlink", "EIO"),
            ("ftruncate,truncate", "EIO"), ("pwrite64,fdatasync", "EROFS"),
        ]
        let (names, error) = calls.randomElement(using: &plan.random) ?? calls[0]
        let first = Int.random(in: 1...60, using: &plan.random)
        let step = Int.random(in: 2...40, using: &plan.random)
        notes.append("\(names) fails with \(error) from call \(first) on, every \(step)th")
        return [
            "strace", "-f", "-qq", "-o", "/dev/null", "--seccomp-bpf", "-e", "trace=\(names)", "-e",
            "inject=\(names):error=\(error):when=\(first)+\(step)",
        ]
    }

    private mutating func removeSomeFiles() {
        let paths = StoreFiles(folder).data
        if Bool.random(using: &plan.random) {
            try? FileManager.default.removeItem(atPath: folder + "/journal")
            notes.append("removed the journal's folder")
        } else if let path = paths.randomElement(using: &plan.random) {
            try? FileManager.default.removeItem(atPath: path)
            notes.append("removed \(path)")
        }
    }

    /// Damages files of a closed store that was whole, and compares what is there with what was.
    private mutating func damage(_ before: TortureOracle.Contents) async throws -> TortureOracle.Contents {
        guard let note = try StoreDamage.strike(StoreFiles(folder).data, &plan.random) else { return before }
        notes.append(note)
        hasDamage = true
        let after = try await judge()
        for (key, position) in after.positions where before.positions[key] != position {
            throw TortureFailure(
                "\(key) is at \(position) after the damage, and was at \(before.positions[key].map(String.init) ?? "none")")
        }
        return after
    }

    /// Damages the database of a closed store: everything in the journal has to be there all the same.
    private mutating func damageDatabase(_ before: TortureOracle.Contents) async throws -> TortureOracle.Contents {
        // A store that never held anything and lost its database is a new one.
        if before.positions.isEmpty { return before }
        let manners: [StoreDamage.Manner] = [.emptied, .foreign, .removed, .folderInPlace]
        let path = StoreFiles(folder).database
        guard
            let note = try StoreDamage.strike(
                [path], &plan.random,
                manners: plan.trouble == .damagedDatabase ? manners : [.flippedBit, .zeroedPage, .garbage, .truncated])
        else { return before }
        notes.append(note)
        isDatabaseLost = true
        hasDamage = true
        let after = try await judge()
        for key in before.positions.keys where after.positions[key] == nil { throw TortureFailure("\(key) is gone with the database") }
        return after
    }

    /// What the database has not yet put into its file is lost, too.
    private mutating func strikeWriteAheadLog() throws {
        let path = StoreFiles(folder).database + "-wal"
        guard StoreFiles.size(path) > 0 else { return }
        guard let note = try StoreDamage.strike([path], &plan.random) else { return }
        notes.append(note)
        isDatabaseLost = true
        hasDamage = true
    }

    /// Runs a program and returns its exit status; -1 where it cannot be started.
    static func command(_ arguments: String...) -> Int32 {
        var process = pid_t()
        var strings: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        defer { for string in strings { free(string) } }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0)
        guard let name = strings[0], posix_spawnp(&process, name, &actions, nil, &strings, environ) == 0 else { return -1 }
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        return status & 0x7F == 0 ? status >> 8 & 0xFF : -1
    }
}
