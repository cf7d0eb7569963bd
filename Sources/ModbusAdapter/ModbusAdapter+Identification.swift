internal import ModbusProtocol
internal import Telemetry

/// What a device says about itself (6.21 Read Device Identification).
package struct ModbusDeviceIdentification: Sendable, Hashable {
    package struct Object: Sendable, Hashable {
        package var id: UInt8
        /// ASCII by the standard.
        package var value: [UInt8]
    }

    /// In the order of the device.
    package var objects: [Object]

    /// What an object is called: 0x00 to 0x06 by the specification, the others are the vendor's.
    package static func name(ofObject id: UInt8) -> String {
        switch id {
        case 0x00: "vendor name"
        case 0x01: "product code"
        case 0x02: "revision"
        case 0x03: "vendor URL"
        case 0x04: "product name"
        case 0x05: "model name"
        case 0x06: "application name"
        default: "object \(id)"
        }
    }
}

extension ModbusAdapter {
    /// A list of all 256 objects comes in no more answers.
    private static let identificationRequestsMax = 256

    /// Reads all objects that the device has: extended, else regular, else basic identification.
    ///
    /// Connects by itself unless connected. Throws a `GatewayError` with code `unsupported` when the device has no identification,
    /// `connectionFailed`, `connectionLost`, `timedOut` or `protocolViolation` when it cannot be read.
    package func identify() async throws -> ModbusDeviceIdentification {
        try await connect()
        var refusal: RequestFailure?
        for code in [3, 2, 1] as [UInt8] {
            do throws(RequestFailure) {
                return ModbusDeviceIdentification(objects: try objects(code: code))
            } catch {
                // A device that does not know a category refuses its value, some the whole function.
                guard case .exception = error else { throw identificationError(error) }
                refusal = error
            }
        }
        throw identificationError(refusal ?? .timeout)
    }

    /// One category, in as many answers as it takes.
    private func objects(code: UInt8) throws(RequestFailure) -> [ModbusDeviceIdentification.Object] {
        var objects: [ModbusDeviceIdentification.Object] = []
        var seen: Set<UInt8> = []
        var next: UInt8 = 0
        for _ in 0..<ModbusAdapter.identificationRequestsMax {
            guard case .identification(let answer) = try line.perform(.readDeviceIdentification(code: code, object: next), unit: unit)
            else {
                throw .invalidReply("the answer is no identification")
            }
            for object in answer.objects where seen.insert(object.id).inserted {
                objects.append(ModbusDeviceIdentification.Object(id: object.id, value: object.value))
            }
            guard let following = answer.nextObject else { return objects }
            // A device that points back would be asked for ever.
            guard following > next, !seen.contains(following) else {
                throw .invalidReply("the list of objects goes on with object \(following), which has been read")
            }
            next = following
        }
        throw .invalidReply("the list of objects does not end")
    }

    private func identificationError(_ failure: RequestFailure) -> GatewayError {
        let (code, message): (GatewayError.Code, String) =
            switch failure {
            case .exception(let number): (.unsupported, "the device gives no identification: \(ModbusException(number))")
            case .timeout: (.timedOut, "no answer in time")
            case .invalidReply(let text): (.protocolViolation, "invalid reply: \(text)")
            case .disconnected(let text): (.connectionLost, text)
            }
        return GatewayError(code, resource: "device \(name)", operation: "identify", message)
    }
}
