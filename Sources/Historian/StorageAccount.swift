package import Telemetry

/// What a store takes on disk, and what writing it has cost the medium.
package struct StorageAccount: Sendable, Hashable, Codable {
    /// Bytes of all files of the store.
    package var bytesOnDisk: Int
    /// Samples in them that are kept singly.
    package var samplesOnDisk: UInt64
    /// Bytes written since the store was made: pages of segments and of the database, blocks.
    package var bytesWritten: UInt64
    /// Samples stored since then.
    package var samplesStored: UInt64

    /// `nil` while there are none.
    package var bytesPerSample: Double? { samplesOnDisk > 0 ? Double(bytesOnDisk) / Double(samplesOnDisk) : nil }
    package var bytesWrittenPerSample: Double? { samplesStored > 0 ? Double(bytesWritten) / Double(samplesStored) : nil }

    /// For people.
    package var sentence: String {
        func perSample(_ bytes: Double?) -> String { bytes.map { " (\(rounded($0)) B each)" } ?? "" }
        return "disk: \(mebibytes(UInt64(bytesOnDisk))) hold \(samplesOnDisk) samples\(perSample(bytesPerSample)); "
            + "\(mebibytes(bytesWritten)) were written for \(samplesStored) samples\(perSample(bytesWrittenPerSample))"
    }

    private func mebibytes(_ bytes: UInt64) -> String { "\(rounded(Double(bytes) / 1_048_576)) MiB" }

    private func rounded(_ number: Double) -> String {
        let tenths = UInt64((number * 10).rounded())
        return "\(tenths / 10).\(tenths % 10)"
    }
}

extension HistorianReader {
    /// What the store takes on disk now.
    package func storage() throws(GatewayError) -> StorageAccount {
        let state = try look()
        var bytes = state.segments.reduce(0) { $0 + $1.bytes }
        for name in ["/state.sqlite", "/state.sqlite-wal", "/state.sqlite-shm", "/lock", "/catalogue"] {
            bytes += Files.size(configuration.folder + name)
        }
        func count(_ tallies: StreamTallies) -> UInt64 {
            tallies.reduce(0) { $0 &+ $1.value.samples(of: state.streams[$1.key]?.descriptor.tags.count ?? 0) }
        }
        let samples = state.segments.reduce(UInt64(0)) { $0 &+ count($1.tallies.subtracting($1.lost ?? [:])) }
        return StorageAccount(
            bytesOnDisk: bytes, samplesOnDisk: samples, bytesWritten: state.bytesWritten, samplesStored: state.storedSamples)
    }
}
