/// Paths within documents.
enum FilePath {
    /// A path as the document means it: relative ones begin at the folder of the document.
    static func resolve(_ path: String, besideFile file: String) -> String {
        guard !path.hasPrefix("/"), let slash = file.lastIndex(of: "/") else { return path }
        return file[...slash] + path
    }
}
