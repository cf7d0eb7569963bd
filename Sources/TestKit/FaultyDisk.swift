internal import Historian
package import Synchronization

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// A disk that refuses when it is told to.
package final class FaultyDisk: StoreDisk {
    /// Which calls are refused, and with which `errno`; 0 lets a call through.
    package struct Faults: Sendable {
        /// Refusal of every write.
        package var write = 0
        /// Refusal of every synchronization of a file.
        package var synchronize = 0
        /// Refusal of everything done with names: creating, renaming, removing, and synchronizing a folder.
        package var names = 0
        /// Refusal of cutting a file off.
        package var truncate = 0
        /// Bytes that are still taken before the disk is full.
        package var bytesLeft = Int.max

        package init() {}
    }

    /// What the disk does at present.
    package let faults = Mutex(Faults())
    private let disk = SystemDisk()

    package init() {}

    package func create(_ path: String) -> Int { refusal(\.names) ?? disk.create(path) }

    package func open(_ path: String) -> Int { disk.open(path) }

    package func write(_ bytes: UnsafeRawBufferPointer, to file: Int32, at offset: Int) -> Int {
        let (refusal, allowed) = faults.withLock { faults in
            let allowed = min(bytes.count, faults.bytesLeft)
            faults.bytesLeft -= allowed
            return (faults.write, allowed)
        }
        if refusal != 0 { return -refusal }
        if allowed == 0 { return -Int(ENOSPC) }
        return disk.write(UnsafeRawBufferPointer(rebasing: bytes[..<allowed]), to: file, at: offset)
    }

    package func synchronize(_ file: Int32) -> Int { refusal(\.synchronize) ?? disk.synchronize(file) }

    package func rename(_ path: String, to target: String) -> Int { refusal(\.names) ?? disk.rename(path, to: target) }

    package func remove(_ path: String) -> Int { refusal(\.names) ?? disk.remove(path) }

    package func truncate(_ path: String, to bytes: Int) -> Int { refusal(\.truncate) ?? disk.truncate(path, to: bytes) }

    package func synchronizeFolder(_ path: String) -> Int { refusal(\.names) ?? disk.synchronizeFolder(path) }

    private func refusal(_ fault: KeyPath<Faults, Int>) -> Int? {
        let number = faults.withLock { $0[keyPath: fault] }
        return number == 0 ? nil : -number
    }
}
