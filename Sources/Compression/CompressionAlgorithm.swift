/// How a payload was made smaller, by the name that Sparkplug's `algorithm` metric has for it.
package enum CompressionAlgorithm: String, Sendable, Hashable, CaseIterable {
    /// RFC 1952.
    case gzip = "GZIP"
    /// The zlib format of DEFLATE (RFC 1950), as Java's and JavaScript's libraries understand the word.
    case deflate = "DEFLATE"
    /// RFC 8878. Not among Eclipse Tahu's algorithms: an extension.
    case zstd = "ZSTD"
    /// Columns of metrics (`MetricColumns`), then RFC 8878: an extension.
    case columns = "COLUMNS_ZSTD"

    /// What the first bytes say, for payloads that carry no name: gzip and zstd begin with a mark of their own.
    package static func detected(in bytes: [UInt8]) -> CompressionAlgorithm? {
        if bytes.starts(with: [0x1F, 0x8B]) { return .gzip }
        if bytes.starts(with: [0x28, 0xB5, 0x2F, 0xFD]) { return .zstd }
        return nil
    }
}
