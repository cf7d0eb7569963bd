/// What a writer tells its parent, a line each, before or after the fact as the kind demands.
enum ProgressLine: Equatable {
    /// This process is about to open the store.
    case starting(process: Int32)
    /// The store is open with this epoch.
    case opened(epoch: UInt32)
    /// About to append, through these numbers of batches per stream.
    case appending(epoch: UInt32, counts: [UInt64])
    /// A commit has confirmed so many batches per stream.
    case confirmed(epoch: UInt32, counts: [UInt64])
    /// A cursor's acknowledged place was saved.
    case saved(cursor: String, position: UInt64)
    /// What a cursor had acknowledged ahead of its place was saved.
    case savedAhead(cursor: String, positions: ClosedRange<UInt64>)
    /// Something that must not be.
    case failure(String)
    /// The writer has given up, because the store does not open; why.
    case refused(String)
    /// The store was closed in order.
    case closed

    var text: String {
        switch self {
        case .starting(let process): "b \(process)"
        case .opened(let epoch): "o \(epoch)"
        case .appending(let epoch, let counts): "a \(epoch) " + counts.map(String.init).joined(separator: " ")
        case .confirmed(let epoch, let counts): "c \(epoch) " + counts.map(String.init).joined(separator: " ")
        case .saved(let cursor, let position): "s \(cursor) \(position)"
        case .savedAhead(let cursor, let positions): "l \(cursor) \(positions.lowerBound) \(positions.upperBound)"
        case .failure(let text): "f " + text.split(separator: "\n").joined(separator: " | ")
        case .refused(let text): "r " + text.split(separator: "\n").joined(separator: " | ")
        case .closed: "z"
        }
    }

    init?(_ line: Substring) {
        let words = line.split(separator: " ")
        func rest() -> String { words.dropFirst().joined(separator: " ") }
        switch words.first {
        case "o":
            guard words.count == 2, let epoch = UInt32(words[1]) else { return nil }
            self = .opened(epoch: epoch)
        case "b":
            guard words.count == 2, let process = Int32(words[1]) else { return nil }
            self = .starting(process: process)
        case "a", "c":
            let counts = words.dropFirst(2).compactMap { UInt64($0) }
            guard words.count == 2 + TortureSamples.descriptors.count, counts.count == words.count - 2, let epoch = UInt32(words[1])
            else { return nil }
            self = words.first == "a" ? .appending(epoch: epoch, counts: counts) : .confirmed(epoch: epoch, counts: counts)
        case "s":
            guard words.count == 3, let position = UInt64(words[2]) else { return nil }
            self = .saved(cursor: String(words[1]), position: position)
        case "l":
            guard words.count == 4, let first = UInt64(words[2]), let last = UInt64(words[3]), first <= last else { return nil }
            self = .savedAhead(cursor: String(words[1]), positions: first...last)
        case "f": self = .failure(rest())
        case "r": self = .refused(rest())
        case "z": self = .closed
        default: return nil
        }
    }
}
