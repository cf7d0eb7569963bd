package import ModbusProtocol

/// What the firewall lets through, and to whom. Whatever no rule allows is refused.
package struct FirewallRules: Sendable {
    /// One allowance. A request passes if each of its accesses is covered by a rule.
    package struct Rule: Sendable {
        /// `nil`: every client.
        package var client: NetworkBlock?
        /// `nil`: every unit.
        package var units: Set<UInt8>?
        /// Function codes.
        package var functions: Set<UInt8>
        /// `nil`: every address.
        package var ranges: [AddressRange]?

        package init(client: NetworkBlock?, units: Set<UInt8>?, functions: Set<UInt8>, ranges: [AddressRange]?) {
            self.client = client
            self.units = units
            self.functions = functions
            self.ranges = ranges
        }
    }

    /// Consecutive addresses of one table.
    package struct AddressRange: Sendable, Hashable {
        package var area: ModbusArea
        package var addresses: ClosedRange<Int>

        package init(area: ModbusArea, addresses: ClosedRange<Int>) {
            self.area = area
            self.addresses = addresses
        }

        func covers(_ access: ModbusAccess) -> Bool {
            access.area == area && addresses.lowerBound <= access.start && access.start + access.count - 1 <= addresses.upperBound
        }
    }

    package var rules: [Rule]

    package init(_ rules: [Rule]) { self.rules = rules }

    /// Whether any rule speaks of the client: others need not be listened to.
    package func know(_ client: ClientAddress) -> Bool { rules.contains { $0.client?.contains(client) ?? true } }

    /// Why the request is not allowed; `nil` if it is.
    func refusal(of request: ModbusRequest, unit: UInt8, client: ClientAddress) -> Refusal? {
        let forUnit = rules.filter { ($0.client?.contains(client) ?? true) && ($0.units?.contains(unit) ?? true) }
        guard !forUnit.isEmpty else {
            return Refusal(.gatewayPathUnavailable, .notAllowed, "no rule lets \(client) speak to unit \(unit)")
        }
        let forFunction = forUnit.filter { $0.functions.contains(request.function) }
        guard !forFunction.isEmpty else {
            return Refusal(.illegalFunction, .notAllowed, "no rule lets \(client) use function \(request.function) on unit \(unit)")
        }
        guard let accesses = request.accesses else {
            // Nobody knows which addresses such a function touches.
            if forFunction.contains(where: { $0.ranges == nil }) { return nil }
            return Refusal(.illegalFunction, .notAllowed, "function \(request.function) is allowed on some addresses only, and names none")
        }
        for access in accesses {
            let isCovered = forFunction.contains { rule in rule.ranges?.contains { $0.covers(access) } ?? true }
            guard isCovered else {
                return Refusal(
                    .illegalDataAddress, .notAllowed,
                    "no rule lets \(client) \(access.isWrite ? "write" : "read") \(access.area.name) \(access.start)…"
                        + "\(access.start + access.count - 1) of unit \(unit) with function \(request.function)")
            }
        }
        return nil
    }
}

/// Why the firewall does not let a request through.
package struct Refusal: Sendable, Hashable {
    /// What the client is answered (V1.1b3, clause 7).
    package enum Exception: UInt8, Sendable {
        case illegalFunction = 1
        case illegalDataAddress = 2
        case illegalDataValue = 3
        case deviceFailure = 4
        case deviceBusy = 6
        case gatewayPathUnavailable = 10
        case targetFailedToRespond = 11
    }

    package enum Kind: String, Sendable, CaseIterable {
        case notAllowed, malformed, neverSeen, outOfLimits, tooFast, notAudited
        /// A rule of a tag that is written forbids it: an interlock, a rate, two steps.
        case tagRule
    }

    package var exception: Exception
    package var kind: Kind
    /// For people: expected and actual.
    package var text: String

    package init(_ exception: Exception, _ kind: Kind, _ text: String) {
        self.exception = exception
        self.kind = kind
        self.text = text
    }
}

extension ModbusArea {
    /// For messages.
    package var name: String {
        switch self {
        case .coils: "coils"
        case .discreteInputs: "discrete inputs"
        case .holdingRegisters: "holding registers"
        case .inputRegisters: "input registers"
        }
    }
}
