/// What went wrong with one request, told apart by what has to follow from it.
package enum RequestFailure: Error, Equatable {
    /// The device answered with an exception (7 MODBUS Exception Responses): the line is fine.
    case exception(UInt8)
    /// Nothing came in time: the answer may still come later.
    case timeout
    /// Something came that is not the answer to this request, or the request is none that could be sent.
    case invalidReply(String)
    /// The connection is gone.
    case disconnected(String)
}
