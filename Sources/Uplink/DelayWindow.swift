internal import GatewayCore
internal import Telemetry

/// Decides how many bytes may be on their way to a broker at once, from how long acknowledgements take.
///
/// The window grows as long as acknowledgements come as fast as the link allows, and shrinks as soon as messages queue somewhere on the way:
/// so a fast broker gets all it can take, and on a slow link fresh data finds the way free.
/// Source: the idea of RFC 6817 (LEDBAT), applied to messages instead of segments.
struct DelayWindow: Sendable {
    static let bytesMin = 16 << 10
    static let bytesInitial = 256 << 10
    /// How long messages may queue on the way.
    static let queueingTarget = Duration.milliseconds(50)
    /// The fastest acknowledgement counts for as long as this, at least, and twice as long at most.
    static let baseInterval = Duration.seconds(30)

    let bytesMax: Int
    private(set) var bytes: Int
    private var base: (present: Duration, former: Duration)?
    private var baseSince = MonotonicInstant(nanoseconds: 0)
    private var nextDecrease = MonotonicInstant(nanoseconds: .min)

    init(bytesMax: Int) {
        self.bytesMax = bytesMax
        bytes = min(Self.bytesInitial, bytesMax)
    }

    /// `size` bytes were acknowledged after `roundTrip`, and `inFlight` bytes were on their way until then.
    mutating func acknowledged(_ size: Int, after roundTrip: Duration, inFlight: Int, at now: MonotonicInstant) {
        if let known = base {
            if baseSince.duration(to: now) >= Self.baseInterval {
                base = (roundTrip, min(known.present, roundTrip))
                baseSince = now
            } else {
                base = (min(known.present, roundTrip), known.former)
            }
        } else {
            base = (roundTrip, roundTrip)
            baseSince = now
        }
        let least = base.map { min($0.present, $0.former) } ?? roundTrip
        if roundTrip - least > Self.queueingTarget {
            guard now >= nextDecrease else { return }
            bytes = max(min(Self.bytesMin, bytesMax), bytes / 2)
            // What was sent before the decrease says nothing of it.
            nextDecrease = now.advanced(by: roundTrip)
        } else if inFlight * 2 > bytes {
            bytes = min(bytesMax, bytes + size)
        }
    }
}
