internal import ArgumentParser
internal import Foundation
internal import Gateway
internal import GatewayCore
internal import Identity
internal import Ingest
internal import IngestService
internal import Logging
internal import Telemetry

struct IngestCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ingest", abstract: "Receive what gateways publish, and write it into a time-series database, each sample once.",
        discussion: "Acknowledges a message only when the database has it. Ends on SIGTERM or SIGINT, after what was read is written. "
            + "Logs go to standard error.")

    @Option(
        help: ArgumentHelp(
            "A broker; repeat it for several. mqtts:// is TLS 1.3 with a client certificate, mqtt:// is not encrypted.",
            valueName: "mqtts://host:8883"))
    var broker: [String]

    @Option(help: "PEM file of the authorities that brokers are checked against.")
    var ca: String?

    @Option(help: "PEM file of this client's certificate.")
    var certificate: String?

    @Option(help: "PEM file of its private key.")
    var key: String?

    @Option(help: "User name at the brokers, where certificates are not enough.")
    var brokerUser: String?

    @Option(help: "File with the password at the brokers; else INDUS_BROKER_PASSWORD.")
    var brokerPasswordFile: String?

    @Option(
        help: ArgumentHelp(
            "The name of this worker at the brokers: it keeps what the worker has not taken under this name. Each worker needs its own.",
            valueName: "name"))
    var clientID: String = "indusedge-ingest"

    @Option(help: "Share the data with the other workers of this group.")
    var share: String?

    @Option(help: "Topics of JSON documents, as routes name them.")
    var jsonTopic: String = TopicPattern.standard

    @Option(help: "Speak as this Sparkplug host application (STATE), for edge nodes that wait for their primary host.")
    var hostID: String?

    @OptionGroup(title: "Envelopes") var envelopes: EnvelopeOptions

    @Option(
        help: ArgumentHelp("The kind of database: \(DatabaseKind.allCases.map(\.rawValue).joined(separator: ", ")).", valueName: "kind"))
    var database: DatabaseKind

    @Option(
        help: ArgumentHelp(
            "Where the database is: http://host:8428, https://host:8086, postgresql://user@host/database?sslmode=verify-full.",
            valueName: "url"))
    var url: String

    @Option(help: "InfluxDB's database. It is created if it is not there.")
    var influxDatabase: String = "indusedge"

    @Option(help: "The measurement of line protocol, or the schema in PostgreSQL.")
    var measurement: String = "indusedge"

    @Option(help: "User name at the database.")
    var databaseUser: String?

    @Option(help: "File with the password at the database; else INDUS_DATABASE_PASSWORD.")
    var databasePasswordFile: String?

    @Option(help: "PEM file of the authorities that the database is checked against; else the system's.")
    var databaseCA: String?

    @Option(help: "PEM file of a client certificate for the database.")
    var databaseCertificate: String?

    @Option(help: "PEM file of its private key.")
    var databaseKey: String?

    @Option(help: "The folder for what the database refuses, for messages that nothing can be made of, and for births over a restart.")
    var setAside: String

    @Option(help: "How large that folder may become, in bytes.")
    var setAsideMax: Int = SetAsideFolder.bytesMaxDefault

    @Option(help: ArgumentHelp("Write all counters into this file, as JSON, at the end.", valueName: "file"))
    var summary: String?

    @Option(help: "End when no data came for so many seconds, and all is written.")
    var untilIdle: Double?

    @Option(help: "Seconds between two lines of counters in the log.")
    var statusInterval: Int = 60

    @Option(help: "Format of the log: \(LogFormat.allCases.map(\.rawValue).joined(separator: " or ")).")
    var logFormat: LogFormat = .logfmt

    @Option(
        help: "Least level that is logged: \(Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")).",
        transform: { text in
            guard let level = Logger.Level(rawValue: text) else { throw ValidationError("there is no level '\(text)'") }
            return level
        })
    var logLevel: Logger.Level = .info

    func validate() throws {
        guard !broker.isEmpty else { throw ValidationError("at least one --broker is needed") }
        _ = try envelopes.settings(brokers: broker.count)
        guard untilIdle.map({ $0 > 0 && $0 < 1e6 }) ?? true else {
            throw ValidationError("--until-idle must be more than 0 and less than 1000000")
        }
        guard (1...86_400).contains(statusInterval) else {
            throw ValidationError("--status-interval is \(statusInterval), expected 1 to 86400")
        }
        guard setAsideMax > 0 else { throw ValidationError("--set-aside-max must be more than 0") }
        // What stands on a command line, everybody on the machine can read.
        guard !DatabaseAddress.hasPassword(url) else {
            throw ValidationError("--url must not have a password in it; use --database-password-file or INDUS_DATABASE_PASSWORD")
        }
    }

    func run() async throws {
        let time = SystemTime()
        let stop = await StopSignals()
        let (level, format) = (logLevel, logFormat)
        LoggingSystem.bootstrap { label in StructuredLogHandler(label: label, level: level, format: format, now: { time.utc }) }
        let logger = Logger(label: "indusedge-control")
        do {
            try await receive(time, stop, logger)
        } catch  where error.isCancellation {
            throw ExitCode(130)
        } catch {
            for (depth, line) in error.chain.enumerated() {
                FileHandle.standardError.write(Data((depth == 0 ? "error: \(line)\n" : "  because: \(line)\n").utf8))
            }
            throw ExitCode.failure
        }
    }

    private func receive(_ time: SystemTime, _ stop: StopSignals, _ logger: Logger) async throws {
        let status = IngestStatus()
        let brokers = try brokerSettings(at: time, logger)
        let envelopes = try self.envelopes.settings(brokers: brokers.count).map { try Envelopes($0, time: time, logger: logger) }
        let decoder = IngestDecoder(
            pattern: try TopicPattern(jsonTopic),
            sealed: envelopes.map { SealedMessages(openers: $0.openers, isPlainAllowed: self.envelopes.allowPlain) })
        let flag = StopFlag()
        let writer = try chunkWriter(time, status, logger, flag)
        var settings = Receiver.Settings()
        settings.idleTimeout = untilIdle.map { .milliseconds(Int64($0 * 1000)) }
        let receiver = Receiver(
            brokers: brokers, decoder: decoder, writer: writer, births: try BirthFolder(setAside + "/births", logger: logger),
            settings: settings, time: time, status: status, logger: logger)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await writer.prepare()
                try await receiver.run()
            }
            group.addTask { try await stop.wait() }
            group.addTask { try await Self.report(status, every: statusInterval, time, logger) }
            if let envelopes { group.addTask { try await envelopes.run() } }
            // The signal or the idle time ends it.
            try await group.next()
            group.cancelAll()
            do {
                while try await group.next() != nil {}
            } catch  where error.isCancellation {
                // All of them were told to end.
            }
        }
        flag.set()
        Self.log(status, time, logger)
        if let summary { try Summary(status.counters).write(summary) }
        try envelopes?.save()
    }

    private static func report(_ status: IngestStatus, every seconds: Int, _ time: SystemTime, _ logger: Logger) async throws {
        while true {
            try await time.sleep(for: .seconds(seconds))
            log(status, time, logger)
        }
    }

    private static func log(_ status: IngestStatus, _ time: SystemTime, _ logger: Logger) {
        let counters = status.counters
        var metadata: Logger.Metadata = [:]
        for (name, value) in Summary(counters).values { metadata[name] = "\(value)" }
        metadata["brokers_connected"] = "\(status.connectedBrokers)"
        if status.newestSample > 0 {
            metadata["lag_seconds"] = "\(Double(Int(time.utc.since(Timestamp(nanoseconds: status.newestSample)).inSeconds * 10)) / 10)"
        }
        if let trouble = status.trouble { metadata["trouble"] = "\(trouble)" }
        logger.info("ingest", metadata: metadata)
    }
}

extension IngestCommand {
    private func brokerSettings(at time: SystemTime, _ logger: Logger) throws -> [BrokerSettings] {
        let filters = BrokerSettings.filters(share: share, documents: try TopicPattern(jsonTopic).filter, withEnvelopes: envelopes.isWanted)
        let password = try Secret.read(file: brokerPasswordFile, environment: "INDUS_BROKER_PASSWORD")
        return try broker.map { text in
            let address = try BrokerAddress(text)
            var security: TLSClient?
            if address.isEncrypted {
                guard let ca, let certificate, let key else {
                    throw ValidationError("\(text) needs --ca, --certificate and --key; mqtt:// would be without encryption")
                }
                let client = TLSClient(ca: ca, certificate: certificate, key: key)
                for remark in try client.check(at: time.utc) { logger.warning("certificates", metadata: ["remark": "\(remark)"]) }
                security = client
            } else {
                logger.warning("this broker is spoken to without encryption", metadata: ["broker": "\(text)"])
            }
            var settings = BrokerSettings(
                name: text, host: address.host, port: address.port, security: security, clientID: clientID, userName: brokerUser,
                password: password, filters: filters)
            settings.hostState = hostID.map { HostState(hostID: $0) }
            return settings
        }
    }

    private func chunkWriter(_ time: SystemTime, _ status: IngestStatus, _ logger: Logger, _ stop: StopFlag) throws -> ChunkWriter {
        let settings = DatabaseSettings(
            url: url, databaseName: influxDatabase, measurement: measurement, user: databaseUser,
            password: try Secret.read(file: databasePasswordFile, environment: "INDUS_DATABASE_PASSWORD"), ca: databaseCA,
            certificate: databaseCertificate, key: databaseKey)
        let kind = database
        return ChunkWriter(
            setAside: .init(folder: setAside, bytesMax: setAsideMax), time: time, status: status, logger: logger,
            makeDatabase: {
                switch kind {
                case .victoriametrics: try LineProtocolDatabase(.victoriaMetrics, settings, stop: stop)
                case .influxdb: try LineProtocolDatabase(.influxDB, settings, stop: stop)
                case .postgresql: try PostgreSQLDatabase(settings)
                }
            })
    }
}

/// The databases that can be written to.
enum DatabaseKind: String, CaseIterable, ExpressibleByArgument {
    case victoriametrics, influxdb, postgresql
}

extension LogFormat: ExpressibleByArgument {}
