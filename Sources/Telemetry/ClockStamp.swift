/// A time with what is known of the clock that told it.
///
/// Whether a clock was right is a property of the time and not of the values, as in IEC 61850-7-2 (TimeQuality, `ClockNotSynchronized`):
/// the status codes of the values stay what the device made them.
package struct ClockStamp: Sendable, Hashable {
    package var time: Timestamp
    /// Whether the clock was not known to be right.
    package var isUncertain: Bool
    /// Which mapping of the clock the time was told by, as long as it may still be corrected; 0 where it never will be.
    package var mapping: UInt32

    package init(time: Timestamp, isUncertain: Bool = false, mapping: UInt32 = 0) {
        self.time = time
        self.isUncertain = isUncertain
        self.mapping = mapping
    }
}
