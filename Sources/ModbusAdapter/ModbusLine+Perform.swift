internal import CModbus
internal import Glibc
internal import ModbusProtocol

extension ModbusLine {
    /// Carries out one request of any function on a TCP line; libmodbus reads no answers of functions it does not know.
    func perform(_ request: ModbusRequest, unit: UInt8) throws(RequestFailure) -> ModbusResponse {
        guard case .tcp = endpoint else { throw .invalidReply("only TCP lines carry this function") }
        switch context {
        case .none: throw .disconnected("not connected")
        case .some(let context):
            context.drain()
            let reply = try context.exchange(ModbusTCPFrame(transaction: 0xFFFF, unit: unit, pdu: request.pdu))
            let response = try valid { () throws(ModbusFrameError) in try ModbusResponse(pdu: reply.pdu, to: request) }
            if case .exception(let code) = response { throw .exception(code) }
            return response
        }
    }
}

/// What a frame's bytes mean; bytes that mean nothing are an invalid reply.
private func valid<Meaning>(_ read: () throws(ModbusFrameError) -> Meaning) throws(RequestFailure) -> Meaning {
    do throws(ModbusFrameError) {
        return try read()
    } catch {
        throw .invalidReply("\(error)")
    }
}

extension ModbusContext {
    /// Sends a frame and reads the next one, which must be its answer.
    fileprivate func exchange(_ frame: ModbusTCPFrame) throws(RequestFailure) -> ModbusTCPFrame {
        let socket = modbus_get_socket(context)
        let bytes = frame.bytes
        guard send(socket, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else {
            throw .disconnected("the request could not be sent")
        }
        var seconds: UInt32 = 0
        var microseconds: UInt32 = 0
        modbus_get_response_timeout(context, &seconds, &microseconds)
        var received: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: ModbusTCPFrame.bytesMax)
        for _ in 0..<ModbusContext.piecesMax {
            var waiting = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
            guard poll(&waiting, 1, Int32(seconds) * 1000 + Int32(microseconds / 1000)) > 0 else { throw .timeout }
            let count = recv(socket, &piece, piece.count, 0)
            guard count > 0 else { throw .disconnected("the device closed the connection") }
            received += piece.prefix(count)
            let length = try valid { () throws(ModbusFrameError) in try ModbusTCPFrame.length(of: received) }
            guard let length, received.count >= length else { continue }
            let answer = try valid { () throws(ModbusFrameError) in try ModbusTCPFrame(bytes: received.prefix(length)) }
            guard answer.transaction == frame.transaction, answer.unit == frame.unit else {
                throw .invalidReply("the answer is to another request")
            }
            return answer
        }
        throw .invalidReply("the answer came in more than \(ModbusContext.piecesMax) pieces")
    }

    /// So many pieces an answer may come in: a trickling device cannot hold the line.
    private static let piecesMax = 16
}
