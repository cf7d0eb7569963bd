import Testing
@testable import MQTTProtocol
