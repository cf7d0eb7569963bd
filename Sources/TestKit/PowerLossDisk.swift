package import Historian
internal import Synchronization

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// A disk that forgets at a power cut what was never synchronized, in any order: a later write may be there and an earlier one not.
///
/// It keeps what stood on the medium in the place of every unsynchronized sector, and how to undo every change of a name whose folder
/// was not synchronized. A refused synchronization leaves its sectors forgotten for good, although the system shows them and calls
/// the next synchronization a success (A. Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020).
package final class PowerLossDisk: StoreDisk {
    /// What one file would be after a power cut.
    private struct Medium {
        var path: String
        /// Bytes on the medium.
        var size: Int
        /// By sector: what the medium has where the file shows something else.
        var stale: [Int: [UInt8]] = [:]
        /// The same for sectors whose synchronization was refused: until they are written anew, nothing brings them to the medium.
        var forgotten: [Int: [UInt8]] = [:]
    }

    private enum NameChange {
        case created(String)
        /// The file's other name keeps it for the undoing.
        case removed(String, keptAs: String)
        case renamed(String, to: String, replaced: String?)

        var paths: [String] {
            switch self {
            case .created(let path), .removed(let path, _): [path]
            case .renamed(let path, let target, _): [path, target]
            }
        }
    }

    private struct State {
        var random: SeededGenerator
        var files: [String: Medium] = [:]
        var paths: [Int32: String] = [:]
        var changes: [NameChange] = []
        var kept = 0
        var callsLeft: Int
    }

    private let inner: any StoreDisk
    private let attic: String
    private let onCut: @Sendable () -> Void
    private let state: Mutex<State>

    /// What a disk writes as a whole.
    private static let sectorBytes = 512

    /// Cuts the power at the call number `calls`, and calls `onCut` then, which should not return to a process that goes on.
    ///
    /// `attic` is a folder on the same file system where removed files wait for being needed again.
    package init(_ inner: any StoreDisk, attic: String, seed: UInt64, calls: Int = .max, onCut: @escaping @Sendable () -> Void = {}) {
        self.inner = inner
        self.attic = attic
        self.onCut = onCut
        mkdir(attic, 0o700)
        state = Mutex(State(random: SeededGenerator(seed: seed), callsLeft: calls))
    }

    /// Makes the files what they are after a power cut now.
    package func cut() {
        state.withLock { state in
            forget(&state)
            onCut()
        }
    }

    // MARK: - StoreDisk

    package func create(_ path: String) -> Int {
        turn { state in
            let existed = access(path, F_OK) == 0
            if existed { keepAll(of: path, beyond: 0, &state) }
            let result = inner.create(path)
            guard result >= 0 else { return result }
            if !existed {
                state.changes.append(.created(path))
                state.files[path] = Medium(path: path, size: 0)
            }
            state.paths[Int32(result)] = path
            return result
        }
    }

    package func open(_ path: String) -> Int {
        turn { state in
            let result = inner.open(path)
            if result >= 0 { state.paths[Int32(result)] = path }
            return result
        }
    }

    package func write(_ bytes: UnsafeRawBufferPointer, to file: Int32, at offset: Int) -> Int {
        turn { state in
            guard let path = state.paths[file] else { return inner.write(bytes, to: file, at: offset) }
            let first = offset / PowerLossDisk.sectorBytes
            let end = (offset + bytes.count + PowerLossDisk.sectorBytes - 1) / PowerLossDisk.sectorBytes
            for sector in first..<max(first, end) { keep(sector, of: path, &state) }
            return inner.write(bytes, to: file, at: offset)
        }
    }

    package func synchronize(_ file: Int32) -> Int {
        turn { state in
            let result = inner.synchronize(file)
            guard let path = state.paths[file], var medium = state.files[path] else { return result }
            if result == 0 {
                medium.size = PowerLossDisk.size(of: path)
            } else {
                medium.forgotten.merge(medium.stale) { first, _ in first }
            }
            medium.stale = [:]
            state.files[path] = medium
            return result
        }
    }

    package func rename(_ path: String, to target: String) -> Int {
        turn { state in
            let replaced = access(target, F_OK) == 0 ? keepFile(target, &state) : nil
            let result = inner.rename(path, to: target)
            guard result == 0 else { return result }
            state.changes.append(.renamed(path, to: target, replaced: replaced))
            state.files[target] = state.files.removeValue(forKey: path)
            state.files[target]?.path = target
            for (file, name) in state.paths where name == path { state.paths[file] = target }
            return 0
        }
    }

    package func remove(_ path: String) -> Int {
        turn { state in
            let kept = keepFile(path, &state)
            let result = inner.remove(path)
            if result == 0, let kept {
                state.changes.append(.removed(path, keptAs: kept))
                state.files[kept] = state.files.removeValue(forKey: path)
                state.files[kept]?.path = kept
            }
            return result
        }
    }

    package func truncate(_ path: String, to bytes: Int) -> Int {
        turn { state in
            keepAll(of: path, beyond: bytes, &state)
            return inner.truncate(path, to: bytes)
        }
    }

    package func synchronizeFolder(_ path: String) -> Int {
        turn { state in
            let result = inner.synchronizeFolder(path)
            guard result == 0 else { return result }
            state.changes.removeAll { change in
                guard change.paths.allSatisfy({ $0.hasPrefix(path + "/") && !$0.dropFirst(path.count + 1).contains("/") }) else {
                    return false
                }
                if case .removed(_, let kept) = change { unlink(kept) }
                return true
            }
            return 0
        }
    }

    // MARK: - Keeping

    private func turn(_ body: (inout State) -> Int) -> Int {
        state.withLock { state in
            state.callsLeft -= 1
            if state.callsLeft == 0 {
                forget(&state)
                onCut()
            }
            return body(&state)
        }
    }

    private static func size(of path: String) -> Int {
        var information = stat()
        return stat(path, &information) == 0 ? Int(information.st_size) : 0
    }

    private static func bytes(of path: String, at offset: Int, count: Int) -> [UInt8] {
        let file = systemOpen(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return [] }
        defer { close(file) }
        return [UInt8](unsafeUninitializedCapacity: count) { buffer, total in
            total = max(0, pread(file, buffer.baseAddress, count, off_t(offset)))
        }
    }

    private func keep(_ sector: Int, of path: String, _ state: inout State) {
        var medium = state.files[path] ?? Medium(path: path, size: PowerLossDisk.size(of: path))
        if medium.stale[sector] == nil {
            // What is written anew has a chance again to reach the medium; until then the medium has what it had.
            medium.stale[sector] =
                medium.forgotten.removeValue(forKey: sector)
                ?? PowerLossDisk.bytes(of: path, at: sector * PowerLossDisk.sectorBytes, count: PowerLossDisk.sectorBytes)
        }
        state.files[path] = medium
    }

    private func keepAll(of path: String, beyond bytes: Int, _ state: inout State) {
        let end = (PowerLossDisk.size(of: path) + PowerLossDisk.sectorBytes - 1) / PowerLossDisk.sectorBytes
        let first = bytes / PowerLossDisk.sectorBytes
        for sector in first..<max(first, end) { keep(sector, of: path, &state) }
    }

    /// Gives a file another name in the attic.
    private func keepFile(_ path: String, _ state: inout State) -> String? {
        state.kept += 1
        let kept = attic + "/\(getpid())-\(state.kept)"
        return link(path, kept) == 0 ? kept : nil
    }

    // MARK: - Forgetting

    /// Undoes a random part of what was not synchronized.
    private func forget(_ state: inout State) {
        // Some cuts lose everything, some nothing, most something.
        let lostPercent = [0, 30, 50, 80, 100].randomElement(using: &state.random) ?? 50
        let sectors = Bool.random(using: &state.random) ? 1 : 8
        for path in state.files.keys.sorted() {
            if let medium = state.files[path] { forget(medium, lostPercent: lostPercent, sectorsTogether: sectors, &state.random) }
        }
        var kept = Set<String>()
        for change in state.changes.reversed() {
            // A name's earlier change stays when a later one does.
            if change.paths.contains(where: kept.contains) || Int.random(in: 0..<100, using: &state.random) >= lostPercent {
                kept.formUnion(change.paths)
            } else {
                undo(change)
            }
        }
        state.files = [:]
        state.changes = []
    }

    private func undo(_ change: NameChange) {
        switch change {
        case .created(let path): unlink(path)
        case .removed(let path, let keptName): systemRename(keptName, path)
        case .renamed(let path, let target, let replaced):
            systemRename(target, path)
            if let replaced { systemRename(replaced, target) }
        }
    }

    private func forget(_ medium: Medium, lostPercent: Int, sectorsTogether: Int, _ random: inout SeededGenerator) {
        let file = systemOpen(medium.path, O_RDWR | O_CLOEXEC)
        guard file >= 0 else { return }
        defer { close(file) }
        let shown = PowerLossDisk.size(of: medium.path)
        let size =
            Int.random(in: 0..<100, using: &random) < lostPercent
            ? medium.size : Int.random(in: min(shown, medium.size)...max(shown, medium.size), using: &random)
        var fates: [Int: Bool] = [:]
        for (sector, bytes) in medium.stale.sorted(by: { $0.key < $1.key }) {
            let page = sector / sectorsTogether
            let isLost = fates[page] ?? (Int.random(in: 0..<100, using: &random) < lostPercent)
            fates[page] = isLost
            if isLost { put(bytes, in: sector, file) }
        }
        for (sector, bytes) in medium.forgotten { put(bytes, in: sector, file) }
        ftruncate(file, off_t(size))
    }

    /// Puts a sector back; where the medium had no bytes there are zeros.
    private func put(_ bytes: [UInt8], in sector: Int, _ file: Int32) {
        let whole = bytes + [UInt8](repeating: 0, count: PowerLossDisk.sectorBytes - bytes.count)
        _ = whole.withUnsafeBytes { pwrite(file, $0.baseAddress, $0.count, off_t(sector * PowerLossDisk.sectorBytes)) }
    }
}

/// The C functions, out of reach of the methods of the same names.
private func systemOpen(_ path: String, _ flags: Int32) -> Int32 { open(path, flags) }
private func systemRename(_ path: String, _ target: String) { rename(path, target) }
