internal import Foundation
internal import TestKit

/// Damages one or two files of a store at random, as bad media, careless copying and curious people do.
struct StoreDamage {
    enum Manner: CaseIterable {
        case truncated, emptied, flippedBit, zeroedPage, garbage, swapped, foreign, removed, foreignExtra, folderInPlace, appended, copied
    }

    /// Damages a file among `paths` and says what was done; `nil` where there was nothing to damage.
    static func strike(_ paths: [String], _ random: inout SeededGenerator, manners: [Manner] = Manner.allCases) throws -> String? {
        guard let path = paths.randomElement(using: &random), let manner = manners.randomElement(using: &random) else { return nil }
        let manager = FileManager.default
        var bytes = StoreFiles.read(path)
        let place = bytes.isEmpty ? 0 : Int.random(in: 0..<bytes.count, using: &random)
        let parent = (path as NSString).deletingLastPathComponent
        let name = (path as NSString).lastPathComponent
        switch manner {
        case .truncated: bytes.removeLast(bytes.count - place)
        case .emptied: bytes = []
        case .flippedBit: if !bytes.isEmpty { bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random) }
        case .zeroedPage: for index in (place & ~4095)..<max(place & ~4095, min(bytes.count, place & ~4095 + 4096)) { bytes[index] = 0 }
        case .garbage:
            for index in place..<max(place, min(bytes.count, place + 3000)) { bytes[index] = UInt8.random(in: 0...255, using: &random) }
        case .swapped:
            guard let other = paths.filter({ $0 != path }).randomElement(using: &random) else { return nil }
            let others = StoreFiles.read(other)
            try StoreFiles.write(bytes, to: other)
            try StoreFiles.write(others, to: path)
            return "swapped \(name) and \((other as NSString).lastPathComponent)"
        case .foreign: bytes = Array("#!/bin/sh\n# not of this store\nexit 1\n".utf8)
        case .removed:
            try manager.removeItem(atPath: path)
            return "removed \(name)"
        case .foreignExtra:
            let digits = name.prefix { $0.isNumber }
            let next = (UInt64(digits) ?? 0) + UInt64.random(in: 1...3, using: &random) * 1000
            let text = String(next)
            let extra = String(repeating: "0", count: max(0, 12 - text.count)) + text + name.dropFirst(digits.count)
            try StoreFiles.write(Array("of another store".utf8), to: parent + "/" + extra)
            return "put \(extra) beside \(name)"
        case .folderInPlace:
            try manager.removeItem(atPath: path)
            try manager.createDirectory(atPath: path, withIntermediateDirectories: false)
            return "put a folder in the place of \(name)"
        case .appended: bytes += (0..<Int.random(in: 1...5000, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
        case .copied:
            try StoreFiles.write(bytes, to: parent + "/copy of " + name)
            return "copied \(name)"
        }
        try StoreFiles.write(bytes, to: path)
        return "\(manner) \(name) at \(place)"
    }
}
