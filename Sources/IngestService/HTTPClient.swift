internal import CCurl
internal import GatewayCore
internal import Synchronization
internal import Telemetry

/// One HTTP connection that is kept open, through libcurl. Calls block; one thread makes them.
final class HTTPClient {
    struct Settings: Sendable {
        /// PEM files; `nil`: the system's authorities, no certificate of our own.
        var ca: String?
        var certificate: String?
        var key: String?
        var user: String?
        var password: String?
    }

    struct Answer {
        var status: Int
        /// The first `bodyBytesMax` bytes.
        var body: [UInt8]
        var text: String { String(decoding: body, as: UTF8.self) }
    }

    /// How much of an answer is kept, in bytes.
    static let bodyBytesMax = 256 << 10
    /// How long one request may take, in milliseconds.
    static let timeoutMilliseconds = 60_000
    static let connectTimeoutMilliseconds = 10_000

    private final class Body {
        var bytes: [UInt8] = []
    }

    private let handle: OpaquePointer?
    private let resource: String
    private let body = Body()
    private let stop: StopFlag
    private static let library: Bool = { ccurl_global_init() == CURLE_OK }()

    /// - Parameter stop: ends a request that is under way.
    init(_ settings: Settings, resource: String, stop: StopFlag) throws(GatewayError) {
        guard Self.library, let handle = curl_easy_init() else {
            throw GatewayError(.unsupported, resource: resource, operation: "prepare", "libcurl cannot be set up")
        }
        self.handle = OpaquePointer(handle)
        self.resource = resource
        self.stop = stop
        ccurl_set_long(handle, CURLOPT_NOSIGNAL, 1)
        ccurl_set_long(handle, CURLOPT_TIMEOUT_MS, Self.timeoutMilliseconds)
        ccurl_set_long(handle, CURLOPT_CONNECTTIMEOUT_MS, Self.connectTimeoutMilliseconds)
        ccurl_set_long(handle, CURLOPT_SSLVERSION, Int(CURL_SSLVERSION_TLSv1_2))
        ccurl_set_string(handle, CURLOPT_PROTOCOLS_STR, "http,https")
        ccurl_set_string(handle, CURLOPT_USERAGENT, "indusedge-control")
        // A proxy of the environment is not meant for the database beside us.
        ccurl_set_string(handle, CURLOPT_NOPROXY, "*")
        if let ca = settings.ca { ccurl_set_string(handle, CURLOPT_CAINFO, ca) }
        if let certificate = settings.certificate { ccurl_set_string(handle, CURLOPT_SSLCERT, certificate) }
        if let key = settings.key { ccurl_set_string(handle, CURLOPT_SSLKEY, key) }
        if let user = settings.user { ccurl_set_string(handle, CURLOPT_USERNAME, user) }
        if let password = settings.password { ccurl_set_string(handle, CURLOPT_PASSWORD, password) }
        ccurl_set_write(
            handle,
            { bytes, size, count, user in
                guard let bytes, let user else { return 0 }
                let body = Unmanaged<Body>.fromOpaque(user).takeUnretainedValue()
                let room = max(0, HTTPClient.bodyBytesMax - body.bytes.count)
                body.bytes.append(contentsOf: UnsafeRawBufferPointer(start: bytes, count: min(room, size * count)))
                return size * count
            }, Unmanaged.passUnretained(body).toOpaque())
        ccurl_set_progress(
            handle, { user, _, _, _, _ in user.map { Unmanaged<StopFlag>.fromOpaque($0).takeUnretainedValue().isSet } == true ? 1 : 0 },
            Unmanaged.passUnretained(stop).toOpaque())
    }

    deinit { if let handle { curl_easy_cleanup(UnsafeMutableRawPointer(handle)) } }

    func get(_ url: String) throws(GatewayError) -> Answer { try perform(url, nil) }

    func post(_ url: String, _ content: [UInt8]) throws(GatewayError) -> Answer { try perform(url, content) }

    private func perform(_ url: String, _ content: [UInt8]?) throws(GatewayError) -> Answer {
        guard let handle = handle.map({ UnsafeMutableRawPointer($0) }) else {
            throw GatewayError(.stopped, resource: resource, operation: "request", "the client is closed")
        }
        body.bytes.removeAll(keepingCapacity: true)
        ccurl_set_string(handle, CURLOPT_URL, url)
        let code: CURLcode
        if let content {
            // No "Expect: 100-continue": it costs a round trip per request.
            let headers = curl_slist_append(curl_slist_append(nil, "Expect:"), "Content-Type: text/plain; charset=utf-8")
            defer { curl_slist_free_all(headers) }
            ccurl_set_long(handle, CURLOPT_POST, 1)
            ccurl_set_pointer(handle, CURLOPT_HTTPHEADER, headers)
            ccurl_set_long(handle, CURLOPT_POSTFIELDSIZE, content.count)
            code = content.withUnsafeBytes { bytes in
                ccurl_set_pointer(handle, CURLOPT_POSTFIELDS, bytes.baseAddress)
                return curl_easy_perform(handle)
            }
            ccurl_set_pointer(handle, CURLOPT_POSTFIELDS, nil)
            ccurl_set_pointer(handle, CURLOPT_HTTPHEADER, nil)
        } else {
            ccurl_set_long(handle, CURLOPT_HTTPGET, 1)
            code = curl_easy_perform(handle)
        }
        guard code == CURLE_OK else { throw failure(code) }
        return Answer(status: ccurl_response_code(handle), body: body.bytes)
    }

    private func failure(_ code: CURLcode) -> GatewayError {
        let text = String(cString: curl_easy_strerror(code))
        let kind: GatewayError.Code =
            switch code {
            case CURLE_ABORTED_BY_CALLBACK: .stopped
            case CURLE_OPERATION_TIMEDOUT: .timedOut
            case CURLE_COULDNT_CONNECT, CURLE_COULDNT_RESOLVE_HOST: .connectionFailed
            case CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CERTPROBLEM, CURLE_SSL_CACERT_BADFILE: .tlsFailed
            default: .connectionLost
            }
        return GatewayError(kind, resource: resource, operation: "request", text)
    }
}

/// Says to calls that block that nobody waits for them any more.
package final class StopFlag: Sendable {
    private let flag = Atomic(false)

    package init() {}

    package var isSet: Bool { flag.load(ordering: .relaxed) }
    package func set() { flag.store(true, ordering: .relaxed) }
}
