import DefinitionImport

/// A file of another tool; the first byte says of which, and whether that is to be found out.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard count > 0 else { return 0 }
    let formats: [ImportFormat?] = [nil, .kepwareCSV, .telegrafTOML, .thingsboardJSON]
    let bytes = Array(UnsafeBufferPointer(start: start + 1, count: count - 1))
    if let result = try? DefinitionImport.read(bytes, options: .init(format: formats[Int(start[0]) % formats.count], name: "fuzzed")) {
        _ = result.document(site: "fuzzed")
    }
    return 0
}
