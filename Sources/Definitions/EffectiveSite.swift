extension Site {
    /// The site less everything that changes nothing of what the gateway does: prose, places of files, the order of what has names.
    ///
    /// Two documents whose effective sites are equal mean the same, however they are written.
    package var effective: Site {
        var site = self
        site.description = nil
        site.file = ""
        site.devices = devices.map(\.effective).sorted { $0.name < $1.name }
        site.assets = assets.map(\.effective).sorted { $0.name < $1.name }
        site.routes = routes.sorted { $0.name < $1.name }
        return site
    }
}

extension Device {
    /// The device less prose and less what its definition says of tags and groups that it does not have.
    package var effective: Device {
        var device = self
        // What counts of the definition's tags and groups stands in the device itself.
        device.definition.name = ""
        device.definition.version = ""
        device.definition.description = nil
        device.definition.source = nil
        device.definition.file = ""
        device.definition.tags = []
        device.definition.scanGroups = []
        for index in device.tags.indices { device.tags[index].description = nil }
        return device
    }
}

extension Asset {
    fileprivate var effective: Asset {
        let unique = Set(members)
        return Asset(name: name, members: unique.sorted { ($0.device, $0.tag ?? "") < ($1.device, $1.tag ?? "") })
    }
}
