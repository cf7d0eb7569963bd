internal import Foundation

/// Reads files of bounded size, with messages that say what to do.
enum ConfigurationFile {
    struct Problem: Error {
        var message: String
        var suggestion: String?
    }

    static func read(_ path: String) -> Result<[UInt8], Problem> {
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) else {
            return .failure(Problem(message: "cannot read '\(path)': no such file", suggestion: nearbyFile(path)))
        }
        guard !isDirectory.boolValue else {
            return .failure(Problem(message: "cannot read '\(path)': it is a folder", suggestion: "name a YAML file in it"))
        }
        guard let handle = FileHandle(forReadingAtPath: path) else {
            return .failure(
                Problem(message: "cannot read '\(path)': permission denied", suggestion: "make it readable for the user of the gateway"))
        }
        defer { try? handle.close() }
        do {
            let limit = YAMLReader.fileBytesMax
            var bytes: [UInt8] = []
            while bytes.count <= limit, let part = try handle.read(upToCount: limit + 1 - bytes.count), !part.isEmpty {
                bytes.append(contentsOf: part)
            }
            guard bytes.count <= limit else {
                return .failure(
                    Problem(
                        message: "'\(path)' is larger than \(QuantitySyntax.text(bytes: Int64(limit)))",
                        suggestion: "divide it into several definition files"))
            }
            return .success(bytes)
        } catch {
            return .failure(Problem(message: "cannot read '\(path)': \(error.localizedDescription)"))
        }
    }

    /// A file of nearly the same name in the same folder.
    private static func nearbyFile(_ path: String) -> String? {
        let url = URL(fileURLWithPath: path)
        let folder = url.deletingLastPathComponent().path
        guard let names = try? FileManager.default.contentsOfDirectory(atPath: folder) else {
            return "the folder '\(folder)' does not exist"
        }
        return nearestName(to: url.lastPathComponent, among: names.sorted()).map { "did you mean '\($0)'?" }
    }
}
