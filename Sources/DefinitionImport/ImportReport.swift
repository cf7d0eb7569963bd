package import Definitions

/// One thing an import has to say: where in the file, about what, and why.
package struct ImportNote: Sendable, Equatable {
    package enum Kind: String, Sendable, CaseIterable {
        /// It is not in the result.
        case lost
        /// It is in the result in another form.
        case changed
        /// The file does not say it, so the usual was taken; to be checked.
        case assumed
        /// It has nothing to do with reading Modbus devices.
        case skipped
    }

    package var kind: Kind
    package var position: SourcePosition
    /// The tag, key or row.
    package var subject: String
    package var reason: String

    package init(_ kind: Kind, at position: SourcePosition, _ subject: String, _ reason: String) {
        self.kind = kind
        self.position = position
        self.subject = subject
        self.reason = reason
    }
}

extension ImportNote: CustomStringConvertible {
    /// `12:4: lost: pumpSpeed: square root scaling has no counterpart`.
    package var description: String { "\(position.line):\(position.column): \(kind.rawValue): \(subject): \(reason)" }
}

/// What an import made of a file.
package struct ImportResult: Sendable, Equatable {
    package var format: ImportFormat
    package var definitions: [DraftDefinition]
    package var devices: [DraftDevice]
    /// In the order of the file.
    package var notes: [ImportNote]

    package init(format: ImportFormat, definitions: [DraftDefinition] = [], devices: [DraftDevice] = [], notes: [ImportNote] = []) {
        self.format = format
        self.definitions = definitions
        self.devices = devices
        self.notes = notes
    }

    /// Whether everything that concerns reading devices was carried over.
    package var isComplete: Bool { !notes.contains { $0.kind == .lost } }

    /// The documents as files of one folder: each definition by itself, and `site.yaml` that names them.
    package func files(site name: String) -> [(name: String, text: String)] {
        definitions.map { ("\($0.name).yaml", DraftWriter.text(of: $0)) } + [
            (
                "site.yaml",
                DraftWriter.siteText(name: name, devices: devices, files: definitions.map { "\($0.name).yaml" }, comments: siteComments)
            )
        ]
    }

    /// The same as one file of several documents.
    package func document(site name: String) -> String {
        (definitions.map { DraftWriter.text(of: $0) }
            + [DraftWriter.siteText(name: name, devices: devices, files: [], comments: siteComments)]).joined(separator: "---\n")
    }

    private var siteComments: [String] { ["Made from a file of \(format.title); check connections and byte orders before use."] }
}

/// The formats of other tools that can be read.
package enum ImportFormat: String, Sendable, CaseIterable {
    case kepwareCSV = "kepware-csv"
    case telegrafTOML = "telegraf-toml"
    case thingsboardJSON = "thingsboard-json"

    package var title: String {
        switch self {
        case .kepwareCSV: "KEPServerEX (tag export, CSV)"
        case .telegrafTOML: "Telegraf (inputs.modbus, TOML)"
        case .thingsboardJSON: "ThingsBoard IoT Gateway (Modbus connector, JSON)"
        }
    }
}

/// Why a file cannot be read at all.
package struct ImportError: Error, Equatable, CustomStringConvertible {
    package var position: SourcePosition?
    package var message: String

    package init(_ message: String, at position: SourcePosition? = nil) {
        self.position = position
        self.message = message
    }

    package var description: String { position.map { "\($0.line):\($0.column): \(message)" } ?? message }
}
