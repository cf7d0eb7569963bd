import Testing
@testable import IngestService
