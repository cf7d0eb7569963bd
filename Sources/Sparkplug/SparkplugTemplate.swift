/// A structure of several metrics: its definition, which an NBIRTH tells, or an instance of one.
///
/// Source: Sparkplug 3.0.0, 6.4.14 and 6.4.15.
package struct SparkplugTemplate: Sendable, Equatable {
    package var version: String?
    /// The members; each may be a template again.
    package var metrics: [SparkplugMetric]
    package var parameters: [SparkplugParameter]
    /// The name of the metric that is this instance's definition; `nil` in a definition.
    package var reference: String?
    /// `nil` where the sender left it out, which the standard does not allow.
    package var isDefinition: Bool?

    package init(
        version: String? = nil, metrics: [SparkplugMetric] = [], parameters: [SparkplugParameter] = [], reference: String? = nil,
        isDefinition: Bool? = nil
    ) {
        self.version = version
        self.metrics = metrics
        self.parameters = parameters
        self.reference = reference
        self.isDefinition = isDefinition
    }
}

/// A parameter of a template: in a definition with its default, in an instance with its own value.
///
/// Source: Sparkplug 3.0.0, 6.4.15.
package struct SparkplugParameter: Sendable, Equatable {
    package var name: String?
    /// The code of a basic datatype.
    package var type: UInt32?
    package var value: SparkplugValue?

    package init(name: String?, type: UInt32?, value: SparkplugValue?) {
        self.name = name
        self.type = type
        self.value = value
    }
}
