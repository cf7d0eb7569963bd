/// Bytes that are not what they should be: expected and actual, for people.
package struct ModbusFrameError: Error, Hashable, CustomStringConvertible {
    package var description: String

    package init(_ description: String) { self.description = description }
}
