/// Paths within documents.
enum FilePath {
    /// A path as the document means it: relative ones begin at the folder of the document.
    static func resolve(_ path: String, besideFile file: String) -> String {
        guard !path.hasPrefix("/"), let slash = file.lastIndex(of: "/") else { return path }
        return file[...slash] + path
    }

    /// The same for a private key, which may be named by a PKCS#11 URI (RFC 7512) instead.
    static func resolveKey(_ key: String, besideFile file: String) -> String {
        key.hasPrefix("pkcs11:") ? key : resolve(key, besideFile: file)
    }
}
