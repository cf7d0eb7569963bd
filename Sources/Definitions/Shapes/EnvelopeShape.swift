/// The table of `envelope` in a route of the `Site` document.
enum EnvelopeShape {
    static let envelope = ObjectShape(
        "envelope", "End-to-end encryption of a route's messages, whatever its brokers are.",
        [
            Field(
                "suite", .word(RouteEnvelope.Suite.allCases.map(\.rawValue)), default: "aes256gcm",
                "The algorithms: aes256gcm; chacha20poly1305, faster where the processor has no AES instructions; sm, the national suite."),
            Field(
                required: "signingKey", .text(.filePath("identity/envelope-gateway.key")),
                "The gateway's private key, by which receivers know who sent a message."),
            Field(
                required: "recipients", .list(.object(recipient), count: 1...64),
                "The public keys of those who may read: at least one for each cluster, several while they change."),
            Field(
                "rotate", .duration(.seconds(60)...(.seconds(30 * 86_400))), default: "24h",
                "After how long a new content key is made, and the key files are read again."),
        ])

    static let recipient = ObjectShape(
        "recipient", "Who may read what goes to a cluster.",
        [
            Field("cluster", .text(.name), "The cluster; every one of the route where none is given."),
            Field(required: "key", .text(.filePath("identity/envelope-east.pub")), "The recipient's public key."),
        ])
}
