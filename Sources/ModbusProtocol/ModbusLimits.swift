/// What the protocol lets one request carry (V1.1b3, clause 6; quantities are inclusive).
package enum ModbusLimits {
    /// 6.1, 6.2.
    package static let readBitsMax = 2000
    /// 6.3, 6.4.
    package static let readRegistersMax = 125
    /// 6.11.
    package static let writeCoilsMax = 1968
    /// 6.12.
    package static let writeRegistersMax = 123
    /// 6.17.
    package static let readWriteWriteMax = 121
    /// Function code and data (4.1: 256 bytes of a serial frame less address and checksum).
    package static let pduBytesMax = 253
    package static let addressCount = 65_536
}
