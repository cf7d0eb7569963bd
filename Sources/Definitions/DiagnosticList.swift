/// Collects the problems of one load, up to a limit.
struct DiagnosticList {
    /// The most problems that are kept: a broken 8 MiB file must not become a 1 GiB report.
    static let countMax = 1000

    private(set) var all: [Diagnostic] = []
    private(set) var hasErrors = false

    mutating func append(_ diagnostic: Diagnostic) {
        if diagnostic.severity == .error { hasErrors = true }
        guard all.count < DiagnosticList.countMax else { return }
        all.append(diagnostic)
        if all.count == DiagnosticList.countMax {
            all.append(
                Diagnostic(
                    .error, file: diagnostic.file, at: diagnostic.position, path: "",
                    "more than \(DiagnosticList.countMax) problems; the others are not shown",
                    suggestion: "repair the first ones and check again"))
            hasErrors = true
        }
    }

    /// The problems file by file in the order the files were met, and by position within each.
    var sorted: [Diagnostic] {
        var order: [String: Int] = [:]
        for diagnostic in all where order[diagnostic.file] == nil { order[diagnostic.file] = order.count }
        return all.enumerated().sorted { left, right in
            let (leftFile, rightFile) = (order[left.element.file] ?? 0, order[right.element.file] ?? 0)
            if leftFile != rightFile { return leftFile < rightFile }
            if left.element.position != right.element.position { return left.element.position < right.element.position }
            return left.offset < right.offset
        }.map(\.element)
    }
}
