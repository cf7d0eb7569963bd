internal import Historian
internal import Synchronization

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// A disk that refuses at random, and writes less than it is given: good for some time, then bad for some time, and so on.
package final class UnreliableDisk: StoreDisk {
    /// How bad it is while it is bad.
    package struct Character: Sendable, Codable {
        /// Calls that go well before some go wrong, on average.
        package var goodCalls = 60
        /// Calls of a bad time, on average.
        package var badCalls = 10
        /// Calls of a bad time that are refused, of 100.
        package var refusedPercent = 60
        /// Writes that take only part of the bytes, of 100, at all times.
        package var shortWritePercent = 20

        package init() {}
    }

    private struct State {
        var random: SeededGenerator
        var callsLeft: Int
        var isBad = false
        var isEnabled = true
    }

    private let character: Character
    private let state: Mutex<State>
    private let disk = SystemDisk()

    /// The same seed gives the same refusals for the same calls.
    package init(seed: UInt64, character: Character = Character()) {
        self.character = character
        state = Mutex(State(random: SeededGenerator(seed: seed), callsLeft: character.goodCalls))
    }

    /// Whether anything goes wrong at all; on at first.
    package var isEnabled: Bool {
        get { state.withLock { $0.isEnabled } }
        set { state.withLock { $0.isEnabled = newValue } }
    }

    package func create(_ path: String) -> Int { refusal([EIO, ENOSPC, EROFS]) ?? disk.create(path) }

    package func open(_ path: String) -> Int { disk.open(path) }

    package func write(_ bytes: UnsafeRawBufferPointer, to file: Int32, at offset: Int) -> Int {
        if let refusal = refusal([EIO, ENOSPC, EROFS, EDQUOT]) { return refusal }
        let count = state.withLock { state in
            guard state.isEnabled, bytes.count > 1, Int.random(in: 0..<100, using: &state.random) < character.shortWritePercent else {
                return bytes.count
            }
            return Int.random(in: 1..<bytes.count, using: &state.random)
        }
        return disk.write(UnsafeRawBufferPointer(rebasing: bytes[..<count]), to: file, at: offset)
    }

    package func synchronize(_ file: Int32) -> Int { refusal([EIO, ENOSPC]) ?? disk.synchronize(file) }

    package func rename(_ path: String, to target: String) -> Int { refusal([EIO, ENOSPC, EROFS]) ?? disk.rename(path, to: target) }

    package func remove(_ path: String) -> Int { refusal([EIO, EROFS]) ?? disk.remove(path) }

    package func truncate(_ path: String, to bytes: Int) -> Int { refusal([EIO, EROFS]) ?? disk.truncate(path, to: bytes) }

    package func synchronizeFolder(_ path: String) -> Int { refusal([EIO]) ?? disk.synchronizeFolder(path) }

    private func refusal(_ numbers: [Int32]) -> Int? {
        state.withLock { state in
            guard state.isEnabled else { return nil }
            if state.callsLeft <= 0 {
                state.isBad.toggle()
                let average = state.isBad ? character.badCalls : character.goodCalls
                state.callsLeft = Int.random(in: 1...(2 * average), using: &state.random)
            }
            state.callsLeft -= 1
            guard state.isBad, Int.random(in: 0..<100, using: &state.random) < character.refusedPercent,
                let number = numbers.randomElement(using: &state.random)
            else { return nil }
            return -Int(number)
        }
    }
}
