/// A place within a document, kept as links to its parents and written out only for a message.
indirect enum DocumentPath: Sendable, Equatable {
    case document
    case key(DocumentPath, String)
    case element(DocumentPath, Int)

    func key(_ name: String) -> DocumentPath { .key(self, name) }
    func element(_ index: Int) -> DocumentPath { .element(self, index) }
}

extension DocumentPath: CustomStringConvertible {
    /// For example `spec.tags[3].unit`; empty for the document itself.
    var description: String {
        switch self {
        case .document: ""
        case .key(.document, let name): name
        case .key(let parent, let name): "\(parent).\(name)"
        case .element(let parent, let index): "\(parent)[\(index)]"
        }
    }
}
