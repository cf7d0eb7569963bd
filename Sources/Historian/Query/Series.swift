package import Telemetry

/// One tag through all streams that carried it: a changed scan group is a new stream, but goes on with the same series.
///
/// Streams in which the tag has another type, scaling or unit are another series of the same name.
package struct Series: Sendable, Hashable {
    package let device: String
    /// The scan group that the tag is in now, or was in last.
    package let group: String
    package let tag: Tag
    /// Where its values are, newest stream first.
    package let members: [TagID]
    /// 1, or more for an earlier definition of a tag that was changed.
    package let generation: Int

    /// `pump-1/temperature`; `pump-1/Health/score` for what the gateway makes itself; `pump-1/temperature (2)` for an earlier definition.
    package var name: String { "\(device)/\(tagName)" + (generation > 1 ? " (\(generation))" : "") }

    /// The name without the device.
    package var tagName: String { Series.tagName(tag.name, group: group) }

    private static func tagName(_ tag: String, group: String) -> String {
        StreamDescriptor.folder(ofGroup: group).map { "\($0)/\(tag)" } ?? tag
    }

    /// All series of a store, by device, then as the streams have them.
    package static func all(in streams: [StreamID: StreamDescriptor]) -> [Series] {
        struct Key: Hashable {
            var device: String
            var name: String
        }
        struct Found {
            var group: String
            var tag: Tag
            var members: [TagID]
        }
        var order: [Key] = []
        var definitions: [Key: [Found]] = [:]
        for (stream, descriptor) in streams.sorted(by: { $0.key > $1.key }) {
            for (index, tag) in descriptor.tags.enumerated() {
                let key = Key(device: descriptor.device, name: tagName(tag.name, group: descriptor.group))
                let member = TagID(stream: stream, index: index)
                guard definitions[key] != nil else {
                    order.append(key)
                    definitions[key] = [Found(group: descriptor.group, tag: tag, members: [member])]
                    continue
                }
                if let same = definitions[key]?.firstIndex(where: { $0.tag == tag }) {
                    definitions[key]?[same].members.append(member)
                } else {
                    definitions[key]?.append(Found(group: descriptor.group, tag: tag, members: [member]))
                }
            }
        }
        func place(_ key: Key) -> (String, StreamID, Int) {
            guard let newest = definitions[key]?.first?.members.first else { return (key.device, StreamID(rawValue: 0), 0) }
            return (key.device, newest.stream, newest.index)
        }
        return order.sorted { place($0) < place($1) }.flatMap { key in
            (definitions[key] ?? []).enumerated().map { generation, found in
                Series(device: key.device, group: found.group, tag: found.tag, members: found.members, generation: generation + 1)
            }
        }
    }
}

/// Chooses series by name: `device/tag` or `device.tag`, where `*` stands for any characters and `?` for one; a device's name alone is
/// all its tags.
package struct TagPattern: Sendable, Hashable {
    package let text: String
    private let pattern: [UInt8]

    package init(_ text: String) {
        self.text = text
        var bytes = Array(text.utf8)
        // The name of a device has neither dot nor slash, so that the first of them ends it.
        if let end = bytes.firstIndex(where: { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: ".") }) {
            bytes[end] = UInt8(ascii: "/")
        } else {
            bytes += Array("/*".utf8)
        }
        pattern = bytes
    }

    package func matches(_ series: Series) -> Bool { TagPattern.matches(Array("\(series.device)/\(series.tagName)".utf8), pattern) }

    /// The series that any of the patterns matches, in the order of the patterns, each once; and the patterns that match none.
    package static func choose(_ patterns: [TagPattern], from all: [Series]) -> (series: [Series], unmatched: [TagPattern]) {
        var chosen: [Series] = []
        var taken: Set<Int> = []
        var unmatched: [TagPattern] = []
        for pattern in patterns {
            var isMatched = false
            for (index, series) in all.enumerated() where pattern.matches(series) {
                isMatched = true
                if taken.insert(index).inserted { chosen.append(series) }
            }
            if !isMatched { unmatched.append(pattern) }
        }
        return (chosen, unmatched)
    }

    /// Goes back to the last star only, so that the work is at most the product of the lengths.
    private static func matches(_ text: [UInt8], _ pattern: [UInt8]) -> Bool {
        var textIndex = 0
        var patternIndex = 0
        var star: (pattern: Int, text: Int)?
        while textIndex < text.count {
            if patternIndex < pattern.count, pattern[patternIndex] == UInt8(ascii: "*") {
                star = (patternIndex, textIndex)
                patternIndex += 1
            } else if patternIndex < pattern.count, pattern[patternIndex] == UInt8(ascii: "?") || pattern[patternIndex] == text[textIndex] {
                patternIndex += 1
                textIndex += 1
            } else if let last = star {
                patternIndex = last.pattern + 1
                textIndex = last.text + 1
                star = (last.pattern, textIndex)
            } else {
                return false
            }
        }
        return pattern[patternIndex...].allSatisfy { $0 == UInt8(ascii: "*") }
    }
}

extension [Series] {
    /// What has to be read for them.
    package var selection: TagSelection {
        var tags: [StreamID: [Int]] = [:]
        for series in self {
            for member in series.members { tags[member.stream, default: []].append(member.index) }
        }
        return TagSelection(tags)
    }
}
