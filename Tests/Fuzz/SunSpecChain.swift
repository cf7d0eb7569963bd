import DefinitionImport

/// The answers of a SunSpec device, one after the other: a byte for how much less than what was asked for, then registers.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    var bytes = UnsafeBufferPointer(start: start, count: count)[...]
    var walk = SunSpecWalk()
    var steps = 0
    while case .read(let first, let wanted) = walk.step {
        precondition(first >= 0 && wanted > 0 && first + wanted <= 65_536, "a request beyond the address space")
        steps += 1
        precondition(steps < 10_000, "the walk does not end")
        guard let head = bytes.popFirst() else {
            walk.take(nil)
            continue
        }
        let length = min(max(0, wanted - Int(head % 4)), bytes.count / 2)
        let answer = (0..<length).map { index in
            UInt16(bytes[bytes.startIndex + 2 * index]) << 8 | UInt16(bytes[bytes.startIndex + 2 * index + 1])
        }
        bytes = bytes.dropFirst(2 * length)
        walk.take(answer)
    }
    if let made = SunSpecDefinition.make(of: walk.blocks, name: "fuzzed") { _ = DraftWriter.text(of: made.definition) }
    return 0
}
