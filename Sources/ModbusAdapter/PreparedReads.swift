internal import GatewayCore
internal import Telemetry

/// A request with all that its answer needs, worked out once.
struct PreparedRequest {
    var request: ReadRequest
    var fields: [ReadField]
    var decoder: RegisterDecoder

    init(_ request: ReadRequest, fields: [ReadField], descriptor: StreamDescriptor) {
        self.request = request
        self.fields = fields
        decoder = RegisterDecoder(request: request, fields: fields, descriptor: descriptor)
    }
}

/// The requests that one scan group is read with at present. Belongs to one adapter, on its thread.
final class PreparedReads {
    /// With its fields sorted.
    let plan: ReadPlan
    private let source: [ReadField]
    private(set) var requests: [PreparedRequest] = []
    /// The tags that are not asked for, because the device refuses them.
    private(set) var refused: [(tag: Int, status: StatusCode)] = []
    /// Why not.
    private(set) var refusedReasons: [String] = []
    private(set) var layout = ReadLayout()
    /// The state of the knowledge that the requests were planned with.
    var revision: UInt64
    /// A request that may be too long, to be tried in the next poll.
    var lengthTrial: ReadRequest?
    /// When to look whether another plan has become cheaper.
    var nextReview: MonotonicInstant

    /// `source`: the plan's fields in the order they were given in.
    init(_ plan: ReadPlan, of source: [ReadField], layout: ReadLayout, revision: UInt64, nextReview: MonotonicInstant) {
        self.plan = plan
        self.source = source
        self.revision = revision
        self.nextReview = nextReview
        adopt(layout)
    }

    /// Whether a plan is still the one that this was made of: comparing an array with itself takes no time.
    func isFor(_ other: ReadPlan) -> Bool { source == other.fields }

    func adopt(_ layout: ReadLayout) {
        self.layout = layout
        requests = layout.requests.map { PreparedRequest($0, fields: Array(plan.fields[$0.fields]), descriptor: plan.descriptor) }
    }

    /// A unit may be deaf to one request only: from now on it comes last, and stands in nobody's way.
    func askLast(_ request: ReadRequest) {
        guard let index = requests.firstIndex(where: { $0.request == request }) else { return }
        requests.append(requests.remove(at: index))
    }

    /// `refusals`: for each refused range of the layout the status of its tags; and what people are to read.
    func refuse(_ statuses: [StatusCode], reasons: [String]) {
        refused = zip(layout.refused, statuses).flatMap { range, status in plan.fields[range].map { ($0.tag, status) } }
        refusedReasons = reasons
    }
}
