/// What one request may ask for, and what it costs: by the protocol, the definition of the device and what was learned of it.
package struct ReadLimits: Sendable {
    /// Most units per request, by area.
    package var unitsPerRequest: @Sendable (_ area: UInt8) -> Int
    /// Bytes that a unit takes in the answer, by area: 2 for a register, 1/8 for a coil.
    package var bytesPerUnit: @Sendable (_ area: UInt8) -> Double
    /// Requests begin at multiples of this many units and ask for multiples of it, by area; 1 for none.
    package var alignment: @Sendable (_ area: UInt8) -> Int
    /// Read over holes of at most this many units, where that is cheaper than another request; 0 for never.
    package var holeMax: Int
    /// What requests cost.
    package var model: LineCostModel

    /// One more than the last address.
    package static let addressEnd = 65_536

    package init(
        holeMax: Int = .max, model: LineCostModel = LineCostModel(requestSeconds: 1e-3, byteSeconds: 1e-7),
        bytesPerUnit: @escaping @Sendable (_ area: UInt8) -> Double = { _ in 2 },
        alignment: @escaping @Sendable (_ area: UInt8) -> Int = { _ in 1 }, unitsPerRequest: @escaping @Sendable (_ area: UInt8) -> Int
    ) {
        self.holeMax = holeMax
        self.model = model
        self.bytesPerUnit = bytesPerUnit
        self.alignment = alignment
        self.unitsPerRequest = unitsPerRequest
    }

    /// The smallest aligned span around another.
    func aligned(_ span: Range<Int>, area: UInt8) -> Range<Int> {
        let unit = max(1, alignment(area))
        guard unit > 1 else { return span }
        let start = span.lowerBound / unit * unit
        return start..<max(span.upperBound, min((span.upperBound + unit - 1) / unit * unit, ReadLimits.addressEnd))
    }

    /// Seconds that some requests take by the model.
    package func seconds(_ requests: [ReadRequest]) -> Double {
        requests.reduce(0) { $0 + model.seconds(bytes: bytesPerUnit($1.area) * Double($1.count)) }
    }
}
