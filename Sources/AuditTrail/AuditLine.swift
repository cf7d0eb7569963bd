internal import Foundation
internal import Identity
internal import Telemetry

/// One record as it stands in a file: `hash space JSON newline`.
///
/// The hash is SHA-256 over the 64 digits of the hash before it and the bytes of the JSON as they stand, so that anybody can check it
/// without knowing how to write the same JSON again.
struct AuditLine {
    let bytes: [UInt8]
    let hash: String

    init(_ record: AuditRecord, after previous: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let json = Array(try encoder.encode(record.bounded))
        hash = try AuditLine.hash(json, after: previous)
        bytes = Array(hash.utf8) + [UInt8(ascii: " ")] + json + [UInt8(ascii: "\n")]
    }

    /// The most bytes of a line: ten texts of their greatest length, each byte of which may be written as `\u0000`.
    static let bytesMax = 65_536

    static func hash(_ json: some Sequence<UInt8>, after previous: String) throws(GatewayError) -> String {
        let digest = try SHA256.digest(of: Array(previous.utf8) + json)
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: digest.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    /// What is wrong with a line.
    struct Damage: Error {
        let message: String
    }

    /// Reads a line (without its newline) that follows a record with the hash `previous`.
    ///
    /// Throws `Damage` when it is not what was written there.
    static func read(_ line: some Collection<UInt8>, after previous: String?) throws -> (record: AuditRecord, hash: String) {
        let hash = String(decoding: line.prefix(64), as: UTF8.self)
        let json = line.dropFirst(65)
        guard line.count > 65, line.count <= bytesMax, isDigest(hash), line.dropFirst(64).first == UInt8(ascii: " ") else {
            throw Damage(message: "not a record")
        }
        if let previous {
            let expected = try AuditLine.hash(json, after: previous)
            guard expected == hash else {
                throw Damage(message: "the hash is \(hash.prefix(12))…, but record and chain give \(expected.prefix(12))…")
            }
        }
        guard let record = try? JSONDecoder().decode(AuditRecord.self, from: Data(json)) else { throw Damage(message: "not a record") }
        return (record, hash)
    }
}
