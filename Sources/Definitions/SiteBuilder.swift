internal import Telemetry

/// Makes a `Site` of a document that has the right shape, and reports what the shape alone cannot tell.
struct SiteBuilder {
    /// The most tags of all devices together.
    static let tagsMax = 1_000_000
    /// How many messages of one kind look for the nearest name, which takes time in proportion to the names.
    private static let suggestionsMax = 20

    let file: String
    let catalog: DefinitionCatalog
    private(set) var diagnostics: [Diagnostic] = []
    private var tagCount = 0
    private var suggestionCount = 0
    private var connections: ConnectionBuilder

    init(file: String, catalog: DefinitionCatalog) {
        self.file = file
        self.catalog = catalog
        connections = ConnectionBuilder(file: file)
    }

    /// The site as far as it can be made; `nil` if it has no name.
    mutating func build(_ document: ObjectValue) -> Site? {
        guard let metadata = document.object("metadata"), let spec = document.object("spec") else { return nil }
        let devices = buildDevices(spec)
        diagnostics += InterlockCheck(file: file, devices: devices, written: spec.objects("devices")).diagnostics
        let assets = buildAssets(spec, devices: devices)
        let siteName = metadata.text("name")
        var routes = RouteBuilder(file: file, site: siteName ?? "")
        routes.scanGroups = Set(devices.flatMap { $0.scanGroups.map(\.name) })
        let builtRoutes = routes.build(spec)
        diagnostics += routes.diagnostics
        var firewalls = FirewallBuilder(file: file)
        let builtFirewalls = firewalls.build(spec)
        diagnostics += firewalls.diagnostics
        let log = spec.object("log") ?? SiteShape.log.defaults(at: spec.position, path: spec.path.key("log"))
        let scoring = spec.object("scoring") ?? SiteShape.scoring.defaults(at: spec.position, path: spec.path.key("scoring"))
        let clock = spec.object("clock") ?? SiteShape.clock.defaults(at: spec.position, path: spec.path.key("clock"))
        let gate = HealthGateSettings(
            spec.object("healthGate") ?? SiteShape.healthGate.defaults(at: spec.position, path: spec.path.key("healthGate")))
        guard let gate else { return nil }
        guard let siteName, let logPath = log.text("path"), let diskLimit = log.size("diskLimit"),
            let commitInterval = log.duration("commitInterval"),
            let policy = log.text("policy").flatMap(LogSettings.Policy.init(rawValue:)), let isEnabled = scoring.bool("enabled"),
            let publishEvery = scoring.duration("publishEvery"),
            let trust = clock.text("trust").flatMap(ClockSettings.Trust.init(rawValue:))
        else { return nil }
        var site = Site(
            name: siteName, description: metadata.text("description"), devices: devices, assets: assets, routes: builtRoutes,
            log: LogSettings(
                path: FilePath.resolve(logPath, besideFile: file), diskLimit: diskLimit, commitInterval: commitInterval,
                keepFor: log.duration("keepFor"), policy: policy, writeBudget: log.size("writeBudget")),
            scoring: ScoringSettings(isEnabled: isEnabled, publishEvery: publishEvery), clock: ClockSettings(trust: trust),
            firewalls: builtFirewalls, writes: spec.text("writes").flatMap(WritePolicy.init(rawValue:)) ?? .refused, file: file)
        site.healthGate = gate
        return site
    }

    // MARK: - Devices

    private mutating func buildDevices(_ spec: ObjectValue) -> [Device] {
        var names = NameRegister(what: "device", file: file)
        var devices: [Device] = []
        for source in spec.objects("devices") {
            names.note(source)
            if let device = buildDevice(source) { devices.append(device) }
        }
        diagnostics += names.diagnostics + connections.diagnostics
        return devices
    }

    private mutating func buildDevice(_ source: ObjectValue) -> Device? {
        let connection = source.object("connection").flatMap { connections.build($0) }
        guard let definition = definition(of: source) else { return nil }
        let disabled = disabledTags(of: source, definition: definition)
        let periods = periods(of: source, definition: definition)
        tagCount += definition.tags.count
        guard tagCount <= SiteBuilder.tagsMax else {
            report(
                source, "definition", "the devices have more than \(SiteBuilder.tagsMax) tags together",
                allowed: "at most \(SiteBuilder.tagsMax)",
                suggestion: "divide the plant among several gateways")
            return nil
        }
        let tags = disabled.isEmpty ? definition.tags : definition.tags.filter { !disabled.contains($0.name) }
        if tags.isEmpty, !definition.tags.isEmpty {
            report(source, "disabledTags", "every tag of the device is disabled", suggestion: "remove the device, or leave a tag enabled")
        }
        let reading = ModbusReading(source.object("modbus"), over: definition.reading)
        if let own = source.object("modbus"), let problem = reading.problem(tags: tags) {
            report(own, problem.key, problem.message, suggestion: problem.suggestion)
        }
        let used = Set(tags.map(\.scanGroup))
        let scanGroups = definition.scanGroups.filter { used.contains($0.name) }.map {
            ScanGroup(name: $0.name, period: periods[$0.name] ?? $0.period)
        }
        guard let name = source.text("name"), let connection, let connectTimeout = source.duration("connectTimeout"),
            let responseTimeout = source.duration("responseTimeout"), let patience = buildPatience(source)
        else { return nil }
        connections.checkTimeouts(source, connection, connectTimeout: connectTimeout, responseTimeout: responseTimeout)
        return Device(
            name: name, definition: definition, connection: connection, connectTimeout: connectTimeout, responseTimeout: responseTimeout,
            patience: patience, scanGroups: scanGroups, tags: tags, reading: reading)
    }

    private mutating func buildPatience(_ source: ObjectValue) -> PatienceSettings? {
        let backoff = source.object("backoff") ?? SiteShape.backoff.defaults(at: source.position, path: source.path.key("backoff"))
        guard let retries = source.integer("retries"), let demoteAfter = source.integer("demoteAfter"),
            let initial = backoff.duration("initial"), let maximum = backoff.duration("max")
        else { return nil }
        guard initial <= maximum else {
            report(
                backoff, "initial", "the first wait is longer than the longest one", suggestion: "give a max of at least the initial wait")
            return nil
        }
        return PatienceSettings(retries: retries, demoteAfter: demoteAfter, backoffInitial: initial, backoffMaximum: maximum)
    }

    private mutating func definition(of source: ObjectValue) -> ProtocolDefinition? {
        guard let name = source.text("definition") else { return nil }
        if let definition = catalog[name] { return definition }
        guard catalog.names[name] == nil else { return nil }
        let known = catalog.names.keys.sorted()
        report(
            source, "definition", "protocol definition '\(name)' is not known", value: name,
            allowed: known.isEmpty ? nil : known.joined(separator: ", "),
            suggestion: nearestName(to: name, among: known).map { "did you mean '\($0)'?" } ?? "add its file to spec.definitions")
        return nil
    }

    private mutating func disabledTags(of source: ObjectValue, definition: ProtocolDefinition) -> Set<String> {
        let written = source.list("disabledTags")
        guard !written.isEmpty else { return [] }
        let known = Set(definition.tags.map(\.name))
        var disabled: Set<String> = []
        for element in written {
            guard case .text(let name) = element.value else { continue }
            if known.contains(name) {
                disabled.insert(name)
            } else {
                report(
                    element, "definition '\(definition.name)' has no tag '\(name)'", value: name,
                    suggestion: nearTag(to: name, among: definition.tags).map { "did you mean '\($0)'?" })
            }
        }
        return disabled
    }

    private mutating func nearTag(to name: String, among tags: [TagDefinition]) -> String? {
        guard suggestionCount < SiteBuilder.suggestionsMax else { return nil }
        suggestionCount += 1
        return nearestName(to: name, among: tags.lazy.map(\.name))
    }

    private mutating func periods(of source: ObjectValue, definition: ProtocolDefinition) -> [String: Duration] {
        var periods: [String: Duration] = [:]
        let known = definition.scanGroups.map(\.name)
        for entry in source.map("scanGroups") {
            guard case .duration(let period) = entry.value.value else { continue }
            periods[entry.key] = period
            if !known.contains(entry.key) {
                let place = Located(value: entry.value.value, position: entry.keyPosition, path: entry.value.path)
                report(
                    place, "definition '\(definition.name)' has no scan group '\(entry.key)'", value: entry.key,
                    allowed: known.joined(separator: ", "),
                    suggestion: nearestName(to: entry.key, among: known).map { "did you mean '\($0)'?" })
            }
        }
        return periods
    }

    // MARK: - Assets

    private mutating func buildAssets(_ spec: ObjectValue, devices: [Device]) -> [Asset] {
        if spec.isAbsent("assets") {
            return devices.map { Asset(name: $0.name, members: [AssetMember(device: $0.name)]) }
        }
        // Devices that could not be made are not to be called unknown.
        let written = Set(spec.objects("devices").compactMap { $0.text("name") })
        var built = DeviceIndex(devices)
        var names = NameRegister(what: "asset", file: file)
        var assets: [Asset] = []
        for source in spec.objects("assets") {
            names.note(source)
            if source.isAbsent("devices"), source.isAbsent("tags") {
                report(source, "name", "the asset has neither devices nor tags", suggestion: "add devices: [name] or tags: [device.tag]")
            }
            var members: [AssetMember] = []
            for element in source.list("devices") {
                guard case .text(let name) = element.value else { continue }
                if !written.contains(name) { reportUnknownDevice(name, element, among: written) }
                members.append(AssetMember(device: name))
            }
            for element in source.list("tags") {
                guard case .text(let reference) = element.value, let member = member(reference, element, written: written, built: &built)
                else { continue }
                members.append(member)
            }
            if let name = source.text("name") { assets.append(Asset(name: name, members: members)) }
        }
        diagnostics += names.diagnostics
        return assets
    }

    private mutating func member(_ reference: String, _ element: Located, written: Set<String>, built: inout DeviceIndex) -> AssetMember? {
        guard let dot = reference.firstIndex(of: ".") else { return nil }
        let (device, tag) = (String(reference[..<dot]), String(reference[reference.index(after: dot)...]))
        guard written.contains(device) else {
            reportUnknownDevice(device, element, among: written)
            return nil
        }
        guard let known = built.device(named: device) else { return nil }
        guard let definition = built.tag(named: tag, of: known) else {
            report(
                element, "device '\(device)' has no tag '\(tag)'", value: reference,
                suggestion: nearTag(to: tag, among: known.tags).map { "did you mean '\(device).\($0)'?" })
            return nil
        }
        if !definition.isScored || definition.dataType == .string {
            report(
                element, "'\(reference)' is not scored, so that it adds nothing to the asset", severity: .warning, value: reference,
                suggestion: definition.dataType == .string
                    ? "remove it; strings cannot be scored" : "remove it, or set score: true in the definition")
        }
        return AssetMember(device: device, tag: tag)
    }

    private mutating func reportUnknownDevice(_ name: String, _ element: Located, among known: Set<String>) {
        let names = known.sorted()
        report(
            element, "device '\(name)' is not defined", value: name, allowed: names.joined(separator: ", "),
            suggestion: nearestName(to: name, among: names).map { "did you mean '\($0)'?" })
    }

    // MARK: - Reports

    private mutating func report(
        _ source: ObjectValue, _ field: String, _ message: String, value: String? = nil, allowed: String? = nil, suggestion: String? = nil
    ) {
        diagnostics.append(
            Diagnostic(
                .error, file: file, at: source.position(of: field), path: source.path.key(field).description, message, value: value,
                allowed: allowed, suggestion: suggestion))
    }

    private mutating func report(
        _ element: Located, _ message: String, severity: Diagnostic.Severity = .error, value: String, allowed: String? = nil,
        suggestion: String? = nil
    ) {
        diagnostics.append(
            Diagnostic(
                severity, file: file, at: element.position, path: element.path.description, message, value: value, allowed: allowed,
                suggestion: suggestion))
    }
}

/// Finds devices and their tags by name.
private struct DeviceIndex {
    private let devices: [String: Device]
    private var tags: [String: [String: TagDefinition]] = [:]

    init(_ devices: [Device]) {
        self.devices = Dictionary(devices.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    }

    func device(named name: String) -> Device? { devices[name] }

    mutating func tag(named name: String, of device: Device) -> TagDefinition? {
        if let known = tags[device.name] { return known[name] }
        let byName = Dictionary(device.tags.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        tags[device.name] = byName
        return byName[name]
    }
}

/// Names that must differ from each other.
struct NameRegister {
    let what: String
    let file: String
    private var lines: [String: Int] = [:]
    private(set) var diagnostics: [Diagnostic] = []

    init(what: String, file: String) {
        self.what = what
        self.file = file
    }

    /// Takes note of the object's name, and reports it if another object has it already.
    mutating func note(_ source: ObjectValue) {
        guard let name = source.text("name"), let located = source.located("name") else { return }
        guard let first = lines[name] else {
            lines[name] = located.position.line
            return
        }
        diagnostics.append(
            Diagnostic(
                .error, file: file, at: located.position, path: located.path.description,
                "\(what) '\(name)' is already defined at line \(first)", value: name, suggestion: "give each \(what) its own name"))
    }
}
