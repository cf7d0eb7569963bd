/// Names one tag of one device, as `device.tag`.
package struct TagReference: Sendable, Hashable {
    package var device: String
    package var tag: String

    package init(device: String, tag: String) {
        self.device = device
        self.tag = tag
    }

    /// The device that stands for the one whose tag is written.
    package static let thisDevice = "this"

    /// Cuts at the first dot, which device names do not have; `nil` where there is none, or nothing before or after it.
    package init?(_ text: some StringProtocol) {
        guard let dot = text.firstIndex(of: "."), dot != text.startIndex else { return nil }
        let tag = text[text.index(after: dot)...]
        guard !tag.isEmpty else { return nil }
        self.init(device: String(text[..<dot]), tag: String(tag))
    }
}

extension TagReference: CustomStringConvertible {
    package var description: String { "\(device).\(tag)" }
}
