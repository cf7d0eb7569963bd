/// The texts of one load: the files that were given, and every file that they name, as they were read.
///
/// What a site means can be worked out from it again, whatever became of the files.
package struct ConfigurationBundle: Sendable, Hashable, Codable {
    /// One file that was read.
    package struct File: Sendable, Hashable, Codable {
        /// As it was given or named, resolved beside the site document.
        package var path: String
        /// `nil` if it could not be read.
        package var text: String?

        package init(path: String, text: String?) {
            self.path = path
            self.text = text
        }
    }

    /// The paths that were given, in their order.
    package var given: [String]
    /// In the order they were read.
    package var files: [File]

    package init(given: [String], files: [File] = []) {
        self.given = given
        self.files = files
    }

    /// Tells apart what was read: equal for equal bundles, and hardly ever for others (FNV-1a, 64 bits; Fowler, Noll and Vo).
    package var digest: String {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        func take(_ bytes: some Sequence<UInt8>) {
            for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
            // A byte that no text in UTF-8 has ends each, so that two texts cannot trade their ends.
            hash = (hash ^ 0xFF) &* 0x100_0000_01B3
        }
        for path in given { take(path.utf8) }
        for file in files {
            take(file.path.utf8)
            if let text = file.text { take(text.utf8) } else { take([0xFE]) }
        }
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// What stands in one of the files; a failure if the bundle does not have it.
    func read(_ path: String) -> Result<[UInt8], ConfigurationFile.Problem> {
        guard let text = files.first(where: { $0.path == path })?.text else {
            return .failure(ConfigurationFile.Problem(message: "'\(path)' is not among the files that were kept"))
        }
        return .success(Array(text.utf8))
    }
}
