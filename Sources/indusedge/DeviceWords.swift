/// What the state of a device, as the gateway's diagnostics name it, means to people.
enum DeviceWords {
    /// `nil` for a device that is online, or of which nothing is known yet.
    static func of(_ state: String) -> String? {
        switch state {
        case "connecting": "NOT CONNECTED, being tried"
        case "probing": "CONNECTED, waiting for a first answer"
        case "degraded": "SILENT since its last poll"
        case "demoted": "SILENT, asked only now and then"
        case "waiting": "NOT CONNECTED, to be tried again"
        default: nil
        }
    }
}
