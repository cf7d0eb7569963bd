// Compiled in one module with the kernels, beside Runner.swift.

/// Frames of generated requests, and what the codecs make of them, of damaged ones and of noise: checksums and counts.
func modbus(_ output: inout Output) {
    output.line("modbus crc 123456789", UInt64(Array("123456789".utf8).withUnsafeBytes { ModbusCRC.of($0) }))
    var generator = Generator(state: 20_261)
    for round in 0..<UInt64(400) {
        let request = anyRequest(&generator)
        let pdu = request.pdu
        let unit = UInt8(truncatingIfNeeded: generator.next())
        let transaction = UInt16(truncatingIfNeeded: generator.next())
        let frames = [
            ModbusTCPFrame(transaction: transaction, unit: unit, pdu: pdu).bytes, ModbusRTUFrame(unit: unit, pdu: pdu).bytes,
            ModbusASCIIFrame(unit: unit, pdu: pdu).bytes,
        ]
        let isBack =
            (try? ModbusTCPFrame(bytes: frames[0]).pdu) == pdu && (try? ModbusRTUFrame(bytes: frames[1]).pdu) == pdu
            && (try? ModbusASCIIFrame(bytes: frames[2]).pdu) == pdu && (try? ModbusRequest(pdu: pdu)) == request
        output.line(
            "modbus frames", round, UInt64(crc(frames[0])), UInt64(crc(frames[1])), UInt64(crc(frames[2])), isBack ? 1 : ~0)
        for framing in ModbusFraming.allCases { replies(to: request, unit: unit, framing, &generator, &output) }
    }
}

/// A request of a random kind that the protocol can say.
private func anyRequest(_ generator: inout Generator) -> ModbusRequest {
    let start = UInt16(truncatingIfNeeded: generator.next() % 60_000)
    let count = Int(generator.next() % 100) + 1
    let words = (0..<count).map { _ in UInt16(truncatingIfNeeded: generator.next()) }
    switch generator.next() % 7 {
    case 0: return .read(.coils, start: start, count: count)
    case 1: return .read(.inputRegisters, start: start, count: count)
    case 2: return .writeRegister(address: start, value: words[0])
    case 3: return .writeCoils(start: start, values: words.map { $0 % 2 == 1 })
    case 4: return .writeRegisters(start: start, values: words)
    case 5: return .maskWrite(address: start, and: words[0], or: words[count - 1])
    default: return .readWrite(readStart: start, readCount: count, writeStart: start, values: words)
    }
}

/// Lets a reader look through noise with an answer in it, and prints what it found: kinds of steps in order, as one number.
private func replies(
    to request: ModbusRequest, unit: UInt8, _ framing: ModbusFraming, _ generator: inout Generator, _ output: inout Output
) {
    let form = ReplyForm(request, unit: unit)
    var pdu: [UInt8] = [form.function]
    switch form.length {
    case .counted(let count): pdu += [UInt8(truncatingIfNeeded: count)] + (0..<count).map { UInt8(truncatingIfNeeded: $0) }
    case .fixed(let count): pdu += (1..<count).map { UInt8(truncatingIfNeeded: $0) }
    case .identification, .unknown: return
    }
    let answer =
        switch framing {
        case .tcp: ModbusTCPFrame(transaction: 1, unit: unit, pdu: pdu).bytes
        case .rtu: ModbusRTUFrame(unit: unit, pdu: pdu).bytes
        case .ascii: ModbusASCIIFrame(unit: unit, pdu: pdu).bytes
        }
    var bytes = answer
    // One in two is damaged; on serial lines noise comes before.
    if generator.next() % 2 == 0 { bytes[Int(generator.next() % UInt64(bytes.count))] ^= UInt8(truncatingIfNeeded: generator.next()) }
    if framing.namesTransaction == false {
        bytes = (0..<generator.next() % 4).map { _ in UInt8(truncatingIfNeeded: generator.next()) } + bytes
    }
    let reader = ReplyReader(framing, form: form, transaction: 1)
    var told: UInt64 = 0
    func tell(_ kind: UInt64, _ count: Int) { told = told &* 1_000_003 &+ kind &* 1000 &+ UInt64(count) }
    while !bytes.isEmpty {
        switch bytes.withUnsafeMutableBytes({ reader.step($0) }) {
        case .needsMore:
            tell(1, bytes.count)
            bytes.removeAll()
        case .lost:
            tell(2, bytes.count)
            bytes.removeAll()
        case .skip(let count, _):
            tell(3, count)
            bytes.removeFirst(count)
        case .exception(let code, let count):
            tell(4 + UInt64(code) * 16, count)
            bytes.removeFirst(count)
        case .wrong(_, let count):
            tell(5, count)
            bytes.removeFirst(count)
        case .answer(let pdu, let end):
            tell(6, pdu.count)
            bytes.removeFirst(end)
        }
    }
    output.line("modbus reply", told)
}
