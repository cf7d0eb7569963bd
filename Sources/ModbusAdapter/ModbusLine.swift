package import GatewayCore
internal import Glibc
package import ModbusProtocol
internal import Telemetry

/// One connection, a socket or a serial port, with the thread that its blocking calls run on. Several units may share it.
///
/// The engine of all transactions: a request goes out, and what comes is held against it byte by byte until the answer, or the end of its
/// time. Confined to its thread: only actors that run on its executor call it, which is checked.
package final class ModbusLine: @unchecked Sendable {
    package let endpoint: ModbusEndpoint
    /// What the units' runners agree on.
    package let shared = SharedLine()
    private let connectTimeout: Duration
    private let security: (any ChannelSecuring)?
    private let time: any TimeSource
    let thread: DedicatedThread
    /// The units that use the connection, by the names of their devices.
    private var users: Set<String> = []
    private let cells = LineCounterCells()
    /// By unit.
    private var responseTimeouts: [Duration]

    private var channel: ModbusChannel?
    /// Frames can no longer be told apart on this connection: the next request goes over a new one.
    private var mustReopen = false
    private var lastReopening: MonotonicInstant?
    private var transaction: UInt16 = 0
    private var unanswered = UnansweredRequests()
    /// Something broken came: the line has to fall silent before anything on it can be trusted again.
    private var needsSilence = false
    private var lastActivity = MonotonicInstant(nanoseconds: 0)
    private let outgoing = UnsafeMutableRawBufferPointer.allocate(byteCount: ModbusLine.outgoingBytes, alignment: 8)
    private let received = UnsafeMutableRawBufferPointer.allocate(byteCount: ModbusLine.receivedBytes, alignment: 8)
    private var receivedCount = 0
    /// The bytes of the last answer, which stay until the next request.
    private var answeredCount = 0

    /// Unit and protocol data unit begin here, a header has room before.
    private static let unitOffset = 6
    private static let outgoingBytes = 2 * ReplyReader.frameBytesMax
    private static let receivedBytes = 2 * ReplyReader.frameBytesMax
    /// A line that has to be reopened more often than this is left to those who pace reconnecting.
    private static let reopeningPauseMin = Duration.seconds(1)
    /// How long units that a broadcast reached are left alone (Serial Line V1.02, 2.4.1: 100 to 200 ms).
    private static let broadcastPause = Duration.milliseconds(100)

    /// The executor of every unit on this line.
    var executor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }
    /// From any thread.
    package var counters: LineCounters { cells.snapshot }

    /// `security` is needed for `.tls`.
    package init(
        _ endpoint: ModbusEndpoint, responseTimeout: Duration = .seconds(1), connectTimeout: Duration = .seconds(3),
        security: (any ChannelSecuring)? = nil, time: any TimeSource = SystemTime()
    ) {
        self.endpoint = endpoint
        self.connectTimeout = connectTimeout
        self.security = security
        self.time = time
        responseTimeouts = Array(repeating: responseTimeout, count: 256)
        thread = DedicatedThread(name: "mb \(endpoint)")
    }

    deinit {
        outgoing.deallocate()
        received.deallocate()
    }

    // MARK: - The connection

    /// Connects unless connected.
    func open(for user: String) throws(GatewayError) {
        thread.checkIsolated()
        users.insert(user)
        if channel == nil { try open() }
    }

    private func open() throws(GatewayError) {
        try security?.check(at: time.utc)
        let opened = try ModbusChannel(endpoint, timeout: connectTimeout, security: security)
        channel = opened
        cells.count(.connection)
        mustReopen = false
        needsSilence = false
        receivedCount = 0
        answeredCount = 0
        // A serial line is the same as before, and its late replies with it.
        if opened.framing.namesTransaction { unanswered.connectionWasReplaced() }
    }

    func close() {
        thread.checkIsolated()
        channel = nil
    }

    /// Closes the connection unless other units use it.
    func leave(_ user: String) {
        thread.checkIsolated()
        users.remove(user)
        if users.isEmpty { close() }
    }

    /// How long answers of this unit may take.
    func setResponseTimeout(_ timeout: Duration, unit: UInt8) {
        thread.checkIsolated()
        responseTimeouts[Int(unit)] = timeout
    }

    // MARK: - Requests

    /// Reads registers (function 3 or 4) into `target`; 6.3 and 6.4.
    func readRegisters(
        _ function: UInt8, unit: UInt8, start: Int, into target: UnsafeMutableBufferPointer<UInt16>
    ) throws(RequestFailure) {
        let form = ReplyForm(unit: unit, function: function, length: .counted(target.count * 2))
        let pdu = try read(form, start: start, count: target.count, countMax: ModbusLimits.readRegistersMax)
        for index in 0..<target.count { target[index] = UInt16(pdu[2 + 2 * index]) << 8 | UInt16(pdu[3 + 2 * index]) }
    }

    /// Reads coils or discrete inputs (function 1 or 2), one byte 0/1 each, into `target`; 6.1 and 6.2.
    func readBits(_ function: UInt8, unit: UInt8, start: Int, into target: UnsafeMutableBufferPointer<UInt8>) throws(RequestFailure) {
        let form = ReplyForm(unit: unit, function: function, length: .counted((target.count + 7) / 8))
        let pdu = try read(form, start: start, count: target.count, countMax: ModbusLimits.readBitsMax)
        for index in 0..<target.count { target[index] = pdu[2 + index / 8] >> UInt8(index % 8) & 1 }
    }

    private func read(_ form: ReplyForm, start: Int, count: Int, countMax: Int) throws(RequestFailure) -> UnsafeRawBufferPointer {
        guard (1...countMax).contains(count), start >= 0, start + count <= ModbusLimits.addressCount else {
            throw .invalidReply("\(count) from address \(start) cannot be asked for: at most \(countMax), up to address 65535")
        }
        outgoing[ModbusLine.unitOffset + 1] = form.function
        outgoing.storeBytes(of: UInt16(start).bigEndian, toByteOffset: ModbusLine.unitOffset + 2, as: UInt16.self)
        outgoing.storeBytes(of: UInt16(count).bigEndian, toByteOffset: ModbusLine.unitOffset + 4, as: UInt16.self)
        return try transact(form, pduCount: 5)
    }

    /// Carries out any request, and gives what the device answered; an exception is thrown.
    ///
    /// To unit 0 on a serial line nobody answers (2.1, broadcast): a request that changes something counts as written, others are refused.
    package func perform(_ request: ModbusRequest, unit: UInt8) throws(RequestFailure) -> ModbusResponse {
        let pdu = request.pdu
        do throws(ModbusFrameError) {
            guard try ModbusRequest(pdu: pdu) == request else { throw ModbusFrameError("a quantity is beyond what the protocol can say") }
        } catch {
            throw .invalidReply("the request cannot be sent: \(error)")
        }
        for (index, byte) in pdu.enumerated() { outgoing[ModbusLine.unitOffset + 1 + index] = byte }
        let form = ReplyForm(request, unit: unit)
        if unit == 0, let channel, !channel.framing.namesTransaction {
            guard request.isWrite else { throw .invalidReply("unit 0 is everybody on a serial line: nobody answers") }
            return try broadcast(form, pduCount: pdu.count)
        }
        let answer = try transact(form, pduCount: pdu.count)
        do throws(ModbusFrameError) {
            return try ModbusResponse(pdu: Array(answer), to: request)
        } catch {
            cells.count(.invalidReply)
            throw .invalidReply(error.description)
        }
    }

    // MARK: - The transaction

    /// Sends what lies in `outgoing` behind `unitOffset`, and waits for the answer's protocol data unit, which stays until the next request.
    private func transact(_ form: ReplyForm, pduCount: Int) throws(RequestFailure) -> UnsafeRawBufferPointer {
        thread.checkIsolated()
        let channel = try readyChannel(for: form)
        transaction &+= 1
        let timeout = responseTimeouts[Int(form.unit)]
        let start = time.now
        try send(over: channel, form, pduCount: pduCount, within: timeout)
        let reader = ReplyReader(channel.framing, form: form, transaction: transaction)
        let deadline = start.advanced(by: timeout)
        var left = timeout
        var complaint: String?
        while true {
            if let pdu = try lookThroughReceived(reader, over: channel, &complaint) {
                if !channel.framing.namesTransaction {
                    lastActivity = time.now
                    unanswered.answered(unit: form.unit, function: form.function)
                } else {
                    unanswered.answered(transaction: transaction)
                }
                cells.count(.answer)
                return pdu
            }
            let isInFrame = receivedCount > 0
            var wait = left
            if isInFrame, let limit = channel.characterTimeout { wait = min(wait, limit) }
            let endsWithSilence = isInFrame && form.length == .unknown && channel.framing == .rtu
            if endsWithSilence { wait = min(wait, channel.quiet) }
            let count = left > .zero ? try receive(over: channel, within: wait) : 0
            if count == 0, endsWithSilence, case .answer(let pdu, let end) = reader.stepAtSilence(receivedBytes) {
                lastActivity = time.now
                cells.count(.answer)
                answeredCount = end
                return UnsafeRawBufferPointer(rebasing: received[pdu])
            }
            left = time.now.duration(to: deadline)
            if count == 0, left <= .zero || wait < left { throw giveUp(form, over: channel, complaint) }
        }
    }

    private var receivedBytes: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(rebasing: received[..<receivedCount]) }

    private func send(over channel: ModbusChannel, _ form: ReplyForm, pduCount: Int, within limit: Duration) throws(RequestFailure) {
        let unitOffset = ModbusLine.unitOffset
        outgoing[unitOffset] = form.unit
        var frame = unitOffset..<unitOffset + 1 + pduCount
        switch channel.framing {
        case .tcp:
            outgoing.storeBytes(of: transaction.bigEndian, toByteOffset: 0, as: UInt16.self)
            outgoing.storeBytes(of: 0, toByteOffset: 2, as: UInt16.self)
            outgoing.storeBytes(of: UInt16(pduCount + 1).bigEndian, toByteOffset: 4, as: UInt16.self)
            frame = 0..<frame.upperBound
        case .rtu:
            if !channel.addsCRC {
                let crc = ModbusCRC.of(UnsafeRawBufferPointer(rebasing: outgoing[frame]))
                outgoing[frame.upperBound] = UInt8(truncatingIfNeeded: crc)
                outgoing[frame.upperBound + 1] = UInt8(crc >> 8)
                frame = frame.lowerBound..<frame.upperBound + 2
            }
        case .ascii:
            let bytes = ModbusASCIIFrame(unit: form.unit, pdu: Array(outgoing[(unitOffset + 1)..<frame.upperBound])).bytes
            outgoing.copyBytes(from: bytes)
            frame = 0..<bytes.count
        }
        cells.count(.request)
        do throws(ChannelFailure) {
            try channel.send(UnsafeRawBufferPointer(rebasing: outgoing[frame]), within: limit)
        } catch {
            close()
            throw .disconnected(error.reason)
        }
    }

    /// Looks at what has come; the answer, or `nil` when more is needed.
    private func lookThroughReceived(
        _ reader: ReplyReader, over channel: ModbusChannel, _ complaint: inout String?
    ) throws(RequestFailure) -> UnsafeRawBufferPointer? {
        while receivedCount > 0 {
            switch reader.step(receivedBytes) {
            case .answer(let pdu, let end):
                answeredCount = channel.keepsDatagramsApart ? receivedCount : end
                return UnsafeRawBufferPointer(rebasing: received[pdu])
            case .exception(let code, let end):
                discard(end)
                if !channel.framing.namesTransaction { lastActivity = time.now }
                cells.count(.answer)
                throw .exception(code)
            case .wrong(let error, let end):
                cells.count(.invalidReply)
                discard(end)
                if !channel.framing.namesTransaction { startSilence() }
                throw .invalidReply(error.description)
            case .skip(let count, let stray):
                note(stray, &complaint)
                discard(count)
            case .needsMore:
                // A datagram is one frame: one that is cut off stays so.
                guard channel.keepsDatagramsApart else { return nil }
                complaint = "a datagram of \(receivedCount) bytes is no frame"
                cells.count(.invalidReply)
                receivedCount = 0
            case .lost(let error):
                cells.count(.invalidReply)
                receivedCount = 0
                if channel.keepsDatagramsApart {
                    complaint = error.description
                } else {
                    mustReopen = true
                    throw .invalidReply(error.description)
                }
            }
        }
        return nil
    }

    private func receive(over channel: ModbusChannel, within limit: Duration) throws(RequestFailure) -> Int {
        do throws(ChannelFailure) {
            let count = try channel.receive(into: UnsafeMutableRawBufferPointer(rebasing: received[receivedCount...]), within: limit)
            receivedCount += count
            return count
        } catch {
            close()
            throw .disconnected(error.reason)
        }
    }

    private func note(_ stray: ReplyReader.Stray, _ complaint: inout String?) {
        let kind: UnansweredRequests.Kind
        switch stray {
        case .transaction(let other):
            kind = unanswered.kind(ofTransaction: other)
            if kind == .invalid { complaint = "transaction identifier is \(other), \(transaction) was asked" }
        case .frame(let unit, let function):
            kind = unanswered.kind(ofFrame: unit, function: function)
            if kind == .invalid { complaint = "a frame of unit \(unit), function \(function) came, which does not answer the request" }
        case .noise:
            // Byte by byte, so the first one stands for all.
            if complaint == nil { cells.count(.invalidReply) }
            complaint = complaint ?? "bytes came that are no frame"
            return
        }
        cells.count(kind == .late ? .lateReply : kind == .duplicate ? .duplicateReply : .invalidReply)
    }

    private func discard(_ count: Int) {
        if count < receivedCount {
            received.copyMemory(from: UnsafeRawBufferPointer(rebasing: received[count..<receivedCount]))
        }
        receivedCount -= min(count, receivedCount)
    }

    /// The time is over.
    private func giveUp(_ form: ReplyForm, over channel: ModbusChannel, _ complaint: String?) -> RequestFailure {
        let now = time.now
        lastActivity = now
        let rest = receivedCount
        if channel.framing.namesTransaction {
            unanswered.gaveUp(transaction: transaction)
            // A frame that does not end takes the next one for its rest.
            if rest > 0 { mustReopen = true }
        } else {
            let until = now.advanced(by: responseTimeouts[Int(form.unit)])
            unanswered.gaveUp(unit: form.unit, function: form.function, lateUntil: until, now: now)
            if rest > 0 { startSilence() }
            receivedCount = 0
        }
        if rest > 0 {
            cells.count(.invalidReply)
            return .invalidReply("the answer breaks off after \(rest) bytes")
        }
        if let complaint { return .invalidReply(complaint) }
        cells.count(.timeout)
        return .timeout
    }

    private func broadcast(_ form: ReplyForm, pduCount: Int) throws(RequestFailure) -> ModbusResponse {
        thread.checkIsolated()
        let channel = try readyChannel(for: form)
        try send(over: channel, form, pduCount: pduCount, within: responseTimeouts[0])
        ModbusLine.sleep(max(ModbusLine.broadcastPause, channel.pause))
        lastActivity = time.now
        return .written
    }

    // MARK: - Before a request

    /// The connection, in a state in which the next answer can be told from everything else.
    private func readyChannel(for form: ReplyForm) throws(RequestFailure) -> ModbusChannel {
        discard(answeredCount)
        answeredCount = 0
        if mustReopen { try reopen() }
        guard let channel else { throw .disconnected("not connected") }
        if !channel.framing.namesTransaction { try settle(channel, for: form) }
        return channel
    }

    private func reopen() throws(RequestFailure) {
        mustReopen = false
        let now = time.now
        channel = nil
        if let lastReopening, lastReopening.duration(to: now) < ModbusLine.reopeningPauseMin {
            throw .disconnected("the connection had to be given up again")
        }
        lastReopening = now
        do throws(GatewayError) {
            try open()
        } catch {
            throw .disconnected(error.message)
        }
    }

    /// For frames that name no transaction: nothing that is still under way may pass for the next answer.
    private func settle(_ channel: ModbusChannel, for form: ReplyForm) throws(RequestFailure) {
        while let until = unanswered.ambiguousUntil(unit: form.unit, function: form.function) {
            let left = time.now.duration(to: until)
            guard left > .zero else { break }
            if try receive(over: channel, within: left) > 0 { _ = try drain(channel) }
        }
        if needsSilence {
            guard try drain(channel) else {
                close()
                throw .disconnected("the line does not fall silent")
            }
        }
        let left = channel.pause - lastActivity.duration(to: time.now)
        if left > .zero { ModbusLine.sleep(left) }
        _ = try receive(over: channel, within: .zero)
        if receivedCount > 0 {
            guard try drain(channel) else {
                close()
                throw .disconnected("the line does not fall silent")
            }
        }
    }

    private func startSilence() {
        needsSilence = true
        lastActivity = time.now
    }

    /// Counts and throws away what comes until the line is silent; `false` when it does not become so in a response time.
    private func drain(_ channel: ModbusChannel) throws(RequestFailure) -> Bool {
        // No frame answers this.
        let reader = ReplyReader(channel.framing, form: ReplyForm(unit: 0, function: 0, length: .fixed(0)))
        let end = time.now.advanced(by: max(responseTimeouts[0], channel.quiet * 4))
        var complaint: String?
        var isSilent = false
        while !isSilent {
            while receivedCount > 0, case .skip(let count, let stray) = reader.step(receivedBytes) {
                note(stray, &complaint)
                discard(count)
            }
            if receivedCount > ReplyReader.frameBytesMax { receivedCount = 0 }
            guard time.now < end else { return false }
            isSilent = try receive(over: channel, within: channel.quiet) == 0
        }
        if receivedCount > 0 {
            note(.noise, &complaint)
            receivedCount = 0
        }
        needsSilence = false
        lastActivity = time.now
        return true
    }

    private static func sleep(_ duration: Duration) {
        var left = timespec(tv_sec: Int(duration.nanoseconds / 1_000_000_000), tv_nsec: Int(duration.nanoseconds % 1_000_000_000))
        var rest = timespec()
        while nanosleep(&left, &rest) != 0, errno == EINTR { left = rest }
    }
}
