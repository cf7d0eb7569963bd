internal import Foundation

/// The files of a store, found by listing its folder.
struct StoreFiles {
    let folder: String

    init(_ folder: String) { self.folder = folder }

    /// Paths of all files, also in folders within; not those that were set aside.
    var all: [String] {
        guard let names = FileManager.default.enumerator(atPath: folder) else { return [] }
        return names.compactMap { $0 as? String }.map { folder + "/" + $0 }
            .filter { !$0.hasSuffix(".damaged") && StoreFiles.isFile($0) }.sorted()
    }

    /// Files that hold samples: everything in a folder within.
    var data: [String] { all.filter { $0.dropFirst(folder.count + 1).contains("/") } }

    var database: String { folder + "/state.sqlite" }

    static func isFile(_ path: String) -> Bool {
        var isFolder: ObjCBool = false
        return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && !isFolder.boolValue
    }

    static func size(_ path: String) -> Int {
        ((try? FileManager.default.attributesOfItem(atPath: path))?[.size] as? NSNumber)?.intValue ?? 0
    }

    static func read(_ path: String) -> [UInt8] { FileManager.default.contents(atPath: path).map(Array.init) ?? [] }

    static func write(_ bytes: [UInt8], to path: String) throws { try Data(bytes).write(to: URL(fileURLWithPath: path)) }
}
