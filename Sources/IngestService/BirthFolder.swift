internal import Foundation
package import Ingest
package import Logging
package import Telemetry

/// Keeps the births of gateways, so that a restart can read at once what brokers have kept meanwhile: a gateway that has ended cannot be asked
/// for them again.
///
/// A file for each start of a gateway at each broker, a JSON document a line; without values. Used by one thread.
package final class BirthFolder {
    private struct Line: Codable {
        var broker: String
        var node: String
        var epoch: UInt32
        var topic: String
        var payload: Data
    }

    private struct Key: Hashable {
        var broker: String
        var node: String
    }

    private struct Start {
        var epoch: UInt32
        /// Of its file, when this process began. A gateway with a new disk may count from lower numbers, so these do not tell which start is older.
        var written: Date?
        /// What each topic told last.
        var told: [String: Data] = [:]
        var linesWritten = 0
        /// Open from the first line that is not synchronized until it is: gateways are more than a process may have files open.
        var file: FileHandle?
    }

    private let path: String
    private let logger: Logger
    private var starts: [Key: [Start]] = [:]
    private var unsynchronized: Set<Key> = []
    private var bytes = 0
    private var isFailing = false

    /// How much all births may take; what comes beyond it is not kept, and asked for after a restart.
    private static let bytesMax = 256 << 20
    /// How many starts of a gateway are kept.
    private static let startsMax = 4
    /// A file is written anew when it has more than twice as many lines as births, and these.
    private static let linesSpare = 64
    private static let suffix = ".births"

    /// Throws a `GatewayError` when the folder cannot be made or read.
    package init(_ path: String, logger: Logger) throws(GatewayError) {
        self.path = path
        self.logger = logger
        do {
            let files = FileManager.default
            try files.createDirectory(atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
            for name in try files.contentsOfDirectory(atPath: path).sorted() where name.hasSuffix(Self.suffix) {
                let written = try files.attributesOfItem(atPath: path + "/" + name)[.modificationDate] as? Date
                read(try Data(contentsOf: URL(fileURLWithPath: path + "/" + name)), of: name, written: written)
            }
        } catch {
            throw GatewayError(.storageFailed, resource: path, operation: "read the births", "the folder cannot be used", cause: error)
        }
        for key in starts.keys { starts[key]?.sort { ($0.written ?? .distantPast, $0.epoch) < ($1.written ?? .distantPast, $1.epoch) } }
    }

    /// Damaged lines are left out: what they told of is asked for.
    private func read(_ data: Data, of name: String, written: Date?) {
        let decoder = JSONDecoder()
        var damaged = 0
        for text in data.split(separator: 10) {
            guard let line = try? decoder.decode(Line.self, from: text) else {
                damaged += 1
                continue
            }
            let key = Key(broker: line.broker, node: line.node)
            let place = place(of: line.epoch, key)
            let before = starts[key]?[place].told.updateValue(line.payload, forKey: line.topic)
            starts[key]?[place].linesWritten += 1
            starts[key]?[place].written = written
            bytes += line.payload.count - (before?.count ?? 0)
        }
        if damaged > 0 {
            logger.warning("births are damaged, and are asked for again", metadata: ["file": "\(name)", "lines": "\(damaged)"])
        }
    }

    private func place(of epoch: UInt32, _ key: Key) -> Int {
        if let known = starts[key]?.firstIndex(where: { $0.epoch == epoch }) { return known }
        starts[key, default: []].append(Start(epoch: epoch))
        return (starts[key]?.count ?? 1) - 1
    }

    /// What was kept of a broker, oldest start first: topics and payloads.
    package func births(broker: String) -> [IngestBirth] {
        starts.keys.filter { $0.broker == broker }.sorted { $0.node < $1.node }.flatMap { key in
            (starts[key] ?? []).flatMap { start in
                start.told.sorted { $0.key < $1.key }.map {
                    IngestBirth(node: key.node, epoch: start.epoch, topic: $0.key, payload: Array($0.value))
                }
            }
        }
    }

    /// Keeps a birth, if it tells anything new.
    package func keep(_ birth: IngestBirth, broker: String) {
        let key = Key(broker: broker, node: birth.node)
        let place = place(of: birth.epoch, key)
        let payload = Data(birth.payload)
        guard var start = starts[key]?[place], start.told[birth.topic] != payload else { return }
        let grown = bytes + payload.count - (start.told[birth.topic]?.count ?? 0)
        guard grown <= Self.bytesMax else { return complain("they take \(bytes) bytes, at most \(Self.bytesMax) are kept") }
        bytes = grown
        start.told[birth.topic] = payload
        do {
            if start.linesWritten >= 2 * start.told.count + Self.linesSpare {
                try rewrite(&start, key)
            } else {
                let file = try start.file ?? open(start, key)
                start.file = file
                try file.write(contentsOf: try line(birth.topic, payload, start, key))
                start.linesWritten += 1
            }
            unsynchronized.insert(key)
            isFailing = false
        } catch {
            start.file = nil
            complain("\(error)")
        }
        starts[key]?[place] = start
        forgetOldest(of: key)
    }

    /// Brings what was kept to the disk: before data that needs it is acknowledged.
    package func synchronize() {
        guard !unsynchronized.isEmpty else { return }
        for key in unsynchronized {
            for place in starts[key]?.indices ?? 0..<0 {
                guard let file = starts[key]?[place].file else { continue }
                do {
                    try file.synchronize()
                    try file.close()
                } catch {
                    complain("\(error)")
                }
                starts[key]?[place].file = nil
            }
        }
        unsynchronized = []
    }

    private func forgetOldest(of key: Key) {
        while let oldest = starts[key]?.first, (starts[key]?.count ?? 0) > Self.startsMax {
            bytes -= oldest.told.values.reduce(0) { $0 + $1.count }
            try? oldest.file?.close()
            try? FileManager.default.removeItem(atPath: name(oldest, key))
            starts[key]?.removeFirst()
        }
    }

    private func line(_ topic: String, _ payload: Data, _ start: Start, _ key: Key) throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        var data = try encoder.encode(Line(broker: key.broker, node: key.node, epoch: start.epoch, topic: topic, payload: payload))
        data.append(10)
        return data
    }

    private func open(_ start: Start, _ key: Key) throws -> FileHandle {
        let name = name(start, key)
        if !FileManager.default.fileExists(atPath: name),
            !FileManager.default.createFile(atPath: name, contents: nil, attributes: [.posixPermissions: 0o600])
        {
            throw CocoaError(.fileWriteUnknown)
        }
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: name))
        try file.seekToEnd()
        return file
    }

    private func rewrite(_ start: inout Start, _ key: Key) throws {
        var data = Data()
        for (topic, payload) in start.told { data.append(try line(topic, payload, start, key)) }
        try data.write(to: URL(fileURLWithPath: name(start, key)), options: .atomic)
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: name(start, key))
        try? start.file?.close()
        start.linesWritten = start.told.count
        start.file = try open(start, key)
    }

    /// Names of brokers and nodes have characters that no file's name may have.
    private func name(_ start: Start, _ key: Key) -> String {
        // FNV-1a (Fowler, Noll and Vo), because the standard library's hashes differ from run to run.
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in "\(key.broker)\n\(key.node)".utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return "\(path)/\(String(hash, radix: 16))-\(start.epoch)\(Self.suffix)"
    }

    private func complain(_ reason: String) {
        guard !isFailing else { return }
        isFailing = true
        logger.warning("births are not kept; after a restart they are asked for", metadata: ["folder": "\(path)", "reason": "\(reason)"])
    }
}
