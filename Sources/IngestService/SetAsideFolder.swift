internal import Foundation
internal import GatewayCore
package import Ingest
package import Telemetry

/// Keeps what could not go into the database, with the reason, a JSON document a line; bounded.
///
/// Used by one thread. What was put there is on the disk before anybody is told that it is.
package final class SetAsideFolder {
    package let path: String
    private let bytesMax: Int
    private var file: FileHandle?
    private var bytes: Int

    /// How much the folder may hold where nobody says otherwise, in bytes.
    package static let bytesMaxDefault = 1 << 30
    /// How many samples of a refused batch go into one line.
    private static let samplesPerLine = 1000

    /// Throws a `GatewayError` when the folder cannot be made.
    package init(_ path: String, bytesMax: Int = SetAsideFolder.bytesMaxDefault) throws(GatewayError) {
        self.path = path
        self.bytesMax = bytesMax
        do {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            let names = try FileManager.default.contentsOfDirectory(atPath: path)
            bytes = names.reduce(0) { sum, name in
                let attributes = try? FileManager.default.attributesOfItem(atPath: path + "/" + name)
                return sum + ((attributes?[.size] as? NSNumber)?.intValue ?? 0)
            }
        } catch {
            throw GatewayError(.storageFailed, resource: path, operation: "make the folder", "it cannot be used", cause: error)
        }
    }

    private struct MessageLine: Encodable {
        let time: String
        let reason: String
        let topic: String
        let payload: Data
    }

    private struct SampleLine: Encodable {
        struct Value: Encodable {
            let device: String
            let group: String
            let tag: String
            /// Nanoseconds since 1970.
            let time: Int64
            let kind: String
            let value: String
            let status: UInt32
            let timeUncertain: Bool
        }
        let time: String
        let reason: String
        let gateway: String
        let epoch: UInt32
        let stream: UInt32
        let sequence: UInt64
        let samples: [Value]
    }

    /// Keeps a message. Throws a `GatewayError` when there is no room, or the disk does not take it.
    package func keep(_ message: IngestMessage, reason: String, at time: Timestamp) throws(GatewayError) {
        try write([MessageLine(time: time.description, reason: reason, topic: message.topic, payload: Data(message.payload))], at: time)
    }

    /// Keeps some samples of a batch.
    package func keep(
        _ samples: Range<Int>, of batch: SampleChunk.Batch, in chunk: SampleChunk, _ catalog: [Series], gateway: String, reason: String,
        at time: Timestamp
    ) throws(GatewayError) {
        let lines = stride(from: samples.lowerBound, to: samples.upperBound, by: Self.samplesPerLine).map { first in
            SampleLine(
                time: time.description, reason: reason, gateway: gateway, epoch: batch.key.epoch, stream: batch.key.stream,
                sequence: batch.key.sequence,
                samples: chunk.samples[first..<min(first + Self.samplesPerLine, samples.upperBound)].map { sample in
                    let series = catalog[Int(sample.series)]
                    return SampleLine.Value(
                        device: series.device, group: series.group, tag: series.tag, time: sample.time, kind: "\(sample.kind)",
                        value: sample.text(chunk.texts), status: sample.status, timeUncertain: sample.isTimeUncertain)
                })
        }
        try write(lines, at: time)
    }

    private func write(_ lines: [some Encodable], at time: Timestamp) throws(GatewayError) {
        do {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            var data = Data()
            for line in lines {
                data.append(try encoder.encode(line))
                data.append(10)
            }
            guard bytes + data.count <= bytesMax else {
                throw GatewayError(
                    .storageFull, resource: path, operation: "set aside", "it holds \(bytes) bytes, at most \(bytesMax) are allowed")
            }
            let file = try openFile(at: time)
            try file.write(contentsOf: data)
            try file.synchronize()
            bytes += data.count
        } catch let error as GatewayError {
            throw error
        } catch {
            self.file = nil
            throw GatewayError(.storageFailed, resource: path, operation: "set aside", "it cannot be written", cause: error)
        }
    }

    private func openFile(at time: Timestamp) throws -> FileHandle {
        if let file { return file }
        let name = "\(path)/\(time.description.filter { $0 != ":" })-\(ProcessInfo.processInfo.processIdentifier).ndjson"
        if !FileManager.default.fileExists(atPath: name) {
            guard FileManager.default.createFile(atPath: name, contents: nil, attributes: [.posixPermissions: 0o600]) else {
                throw CocoaError(.fileWriteUnknown)
            }
        }
        let opened = try FileHandle(forWritingTo: URL(fileURLWithPath: name))
        try opened.seekToEnd()
        file = opened
        return opened
    }
}

extension Sample {
    /// The value in words.
    fileprivate func text(_ texts: [String]) -> String {
        switch kind {
        case .none: ""
        case .number: Double(bitPattern: bits).description
        case .integer: Int64(bitPattern: bits).description
        case .boolean: bits == 0 ? "false" : "true"
        case .text: texts[Int(bits)]
        }
    }
}
