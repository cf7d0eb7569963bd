/// What a metric's bytes or file are.
///
/// Source: Sparkplug 3.0.0, 6.4.7 (metadata).
package struct SparkplugMetadata: Sendable, Equatable {
    package var isMultiPart: Bool?
    /// A media type, for example `application/json`.
    package var contentType: String?
    /// In bytes.
    package var size: UInt64?
    /// The number of this part among several.
    package var sequence: UInt64?
    package var fileName: String?
    package var fileType: String?
    /// The MD5 checksum in hexadecimal, as the standard asks.
    package var md5: String?
    package var description: String?

    package init(
        isMultiPart: Bool? = nil, contentType: String? = nil, size: UInt64? = nil, sequence: UInt64? = nil, fileName: String? = nil,
        fileType: String? = nil, md5: String? = nil, description: String? = nil
    ) {
        self.isMultiPart = isMultiPart
        self.contentType = contentType
        self.size = size
        self.sequence = sequence
        self.fileName = fileName
        self.fileType = fileType
        self.md5 = md5
        self.description = description
    }
}
