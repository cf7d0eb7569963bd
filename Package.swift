// swift-tools-version: 6.2
import PackageDescription

/// One array for every target of ours: Swift 6 language mode, warnings are errors, imports are
/// internal unless a public declaration needs them.
let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

/// A module of ours, in `Sources/<name>`.
func module(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource] = []) -> Target {
    .target(name: name, dependencies: dependencies, exclude: ["README.md"], resources: resources, swiftSettings: settings)
}

/// The tests of one module, in `Tests/<name>Tests`.
func tests(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = [], resources: [Resource] = []) -> Target {
    .testTarget(
        name: name + "Tests", dependencies: [.init(stringLiteral: name)] + dependencies,
        exclude: exclude, resources: resources, swiftSettings: settings)
}

let yams = Target.Dependency.product(name: "Yams", package: "Yams")
let grdb = Target.Dependency.product(name: "GRDB", package: "GRDB.swift")
let sqlite = Target.Dependency.product(name: "GRDBSQLite", package: "GRDB.swift")
let deque = Target.Dependency.product(name: "DequeModule", package: "swift-collections")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let signals = Target.Dependency.product(name: "UnixSignals", package: "swift-service-lifecycle")
let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let protobuf = Target.Dependency.product(name: "SwiftProtobuf", package: "swift-protobuf")

let package = Package(
    name: "IndusEdge",
    products: [
        .executable(name: "indusedge", targets: ["indusedge"]), .executable(name: "indusedge-control", targets: ["indusedge-control"]),
    ],
    dependencies: [
        .package(url: "https://github.com/jpsim/Yams", exact: "6.2.2"),
        .package(url: "https://github.com/groue/GRDB.swift", exact: "7.10.0"),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
        .package(url: "https://github.com/apple/swift-collections", exact: "1.6.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", exact: "2.13.0"),
        .package(url: "https://github.com/apple/swift-protobuf", exact: "1.39.0"),
    ],
    targets: [
        .systemLibrary(name: "CModbus", pkgConfig: "libmodbus", providers: [.apt(["libmodbus-dev"])]),
        .systemLibrary(name: "CMosquitto", pkgConfig: "libmosquitto", providers: [.apt(["libmosquitto-dev"])]),
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
        .systemLibrary(name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
        .systemLibrary(name: "CPostgreSQL", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
        .target(name: "CSystem"),

        module("Telemetry", []),
        module("ChunkCodec", []),
        module("ModbusProtocol", []),
        module("Commissioning", ["Telemetry"]),
        module("Interlock", ["Telemetry"]),
        module("GatewayCore", ["Telemetry", "CSystem", logging]),
        module("Definitions", ["Telemetry", "Interlock", yams]),
        module("DefinitionImport", ["Telemetry", "Definitions"]),
        module("Acquisition", ["Telemetry", "GatewayCore", "Interlock", logging]),
        module("ModbusAdapter", ["Telemetry", "GatewayCore", "ModbusProtocol", "CModbus"]),
        module("ModbusFirewall", ["Telemetry", "GatewayCore", "ModbusProtocol", logging]),
        module("Historian", ["Telemetry", "GatewayCore", "ChunkCodec", "CSystem", deque, grdb, sqlite, logging]),
        module("Scoring", ["Telemetry"]),
        module("Sparkplug", ["Telemetry"]),
        module("Uplink", ["Telemetry", "GatewayCore", "Compression", "Envelope", "Identity", "Sparkplug", "CMosquitto", logging]),
        module("Identity", ["Telemetry", "GatewayCore", "COpenSSL"]),
        module("MQTTProtocol", ["Telemetry"]),
        module("Ingest", ["Telemetry", "GatewayCore", "Compression", "Envelope", "Sparkplug"]),
        module(
            "IngestService",
            ["Telemetry", "GatewayCore", "Envelope", "Identity", "Sparkplug", "Ingest", "MQTTProtocol", "CCurl", "CPostgreSQL", logging]),
        module("AuditTrail", ["Telemetry", "Identity"]),
        module("Compression", ["Telemetry", "CZlib", "CZstd"]),
        module("Envelope", ["Telemetry", "Identity", "COpenSSL"]),
        module("PlantSimulation", ["Telemetry"]),
        module(
            "Gateway",
            [
                "Telemetry", "GatewayCore", "DefinitionImport", "Definitions", "Acquisition", "Interlock", "Commissioning",
                "ModbusProtocol", "ModbusAdapter", "ModbusFirewall", "Historian", "Scoring", "Sparkplug", "Uplink", "Identity",
                "AuditTrail",
                logging, lifecycle, signals,
            ]),
        .executableTarget(
            name: "indusedge",
            dependencies: [
                "Telemetry", "GatewayCore", "AuditTrail", "Commissioning", "DefinitionImport", "Definitions", "Envelope", "Gateway",
                "Historian",
                "Identity", "ModbusAdapter", "PlantSimulation", "Sparkplug", "Uplink", arguments, logging, signals,
            ],
            exclude: ["README.md"], swiftSettings: settings),
        .executableTarget(
            name: "indusedge-control",
            dependencies: [
                "Telemetry", "GatewayCore", "Envelope", "Gateway", "Identity", "Ingest", "IngestService", arguments, logging, signals,
            ],
            exclude: ["README.md"], swiftSettings: settings),
        .target(
            name: "TestKit", dependencies: ["Telemetry", "GatewayCore", "Historian", logging], exclude: ["README.md"],
            swiftSettings: settings),
        .executableTarget(
            name: "log-torture", dependencies: ["Telemetry", "GatewayCore", "Historian", "TestKit", logging], path: "Tests/Torture",
            exclude: ["README.md"], swiftSettings: settings),

        tests("Telemetry", []),
        tests("ChunkCodec", ["TestKit"], exclude: ["Golden"]),
        tests("GatewayCore", ["Telemetry", "TestKit", logging]),
        tests("Definitions", ["Telemetry", "Interlock", "TestKit"]),
        tests("Acquisition", ["Telemetry", "GatewayCore", "Interlock", "TestKit", logging]),
        tests("ModbusAdapter", ["Telemetry", "GatewayCore", "ModbusProtocol", "Identity", "TestKit"]),
        tests("ModbusProtocol", ["TestKit"]),
        tests("ModbusFirewall", ["Telemetry", "GatewayCore", "ModbusProtocol", "TestKit", logging]),
        tests("Commissioning", ["Definitions", "Telemetry", "TestKit"]),
        tests("Interlock", ["Telemetry", "TestKit"]),
        tests("AuditTrail", ["Telemetry", "Identity", "TestKit"]),
        tests("Compression", ["Telemetry", "Sparkplug", "TestKit"]),
        tests("Envelope", ["Telemetry", "COpenSSL", "TestKit"]),
        tests("Historian", ["Telemetry", "GatewayCore", "TestKit", "log-torture", deque, grdb, logging], exclude: ["Golden"]),
        tests("Scoring", ["Telemetry", "PlantSimulation", "TestKit"]),
        tests(
            "Sparkplug", ["Telemetry", "TestKit", protobuf],
            exclude: ["Generated/README.md", "sparkplug_assertions.txt", "sparkplug_b.proto"]),
        tests("Uplink", ["Telemetry", "GatewayCore", "Compression", "Envelope", "Sparkplug", "Identity", "TestKit", logging]),
        tests("MQTTProtocol", ["Telemetry", "TestKit"]),
        tests("Ingest", ["Telemetry", "GatewayCore", "Compression", "Envelope", "Sparkplug", "TestKit"]),
        tests(
            "IngestService",
            [
                "Telemetry", "GatewayCore", "Envelope", "Identity", "Ingest", "MQTTProtocol", "Sparkplug", "TestKit", "indusedge",
                "indusedge-control", logging,
            ]),
        tests("Identity", ["Telemetry", "GatewayCore", "TestKit"]),
        tests("PlantSimulation", ["Telemetry"]),
        tests(
            "Gateway",
            [
                "Telemetry", "GatewayCore", "Acquisition", "AuditTrail", "DefinitionImport", "Definitions", "Historian", "Identity",
                "Interlock",
                "ModbusAdapter", "ModbusProtocol", "Scoring", "TestKit", "Uplink", logging,
            ]),
        tests("DefinitionImport", ["Telemetry", "Definitions", "TestKit"], exclude: ["Fixtures", "Golden"]),
        .testTarget(
            name: "EndToEndTests", dependencies: ["indusedge", "GatewayCore", "Historian", "Telemetry", "TestKit", logging],
            swiftSettings: settings),
        .target(name: "CColumnCodec", path: "Benchmarks/log/codec", cSettings: [.unsafeFlags(["-O3"], .when(configuration: .release))]),
        .target(name: "BenchmarkSignals", path: "Benchmarks/log/shared", swiftSettings: settings),
        .executableTarget(
            name: "log-codec-bench", dependencies: ["ChunkCodec", "CColumnCodec", "BenchmarkSignals"], path: "Benchmarks/log/column",
            swiftSettings: settings),
        .executableTarget(
            name: "modbus-bench", dependencies: ["Telemetry", "GatewayCore", "ModbusAdapter"], path: "Benchmarks/modbus",
            exclude: ["bench.py", "requests.c"], swiftSettings: settings),
        .executableTarget(
            name: "uplink-bench",
            dependencies: [
                "Telemetry", "GatewayCore", "Compression", "Envelope", "Historian", "Sparkplug", "Uplink", "Identity", "Definitions",
                "PlantSimulation", "BenchmarkSignals", "Ingest", "IngestService", logging,
            ], path: "Benchmarks/uplink", swiftSettings: settings),
        .executableTarget(
            name: "log-bench", dependencies: ["Telemetry", "GatewayCore", "Historian", "BenchmarkSignals", logging],
            path: "Benchmarks/log/store", swiftSettings: settings),
    ]
)
