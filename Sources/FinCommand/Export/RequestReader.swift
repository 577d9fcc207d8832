import Fin

/// Reads the requests of one connection, one after the other, within the limits of memory and time.
struct RequestReader {
  /// The outcome of a reading.
  enum Outcome {
    case request(HTTPRequest)
    case refused(HTTPRequest.Refusal)
    /// The client has finished, has gone, or sends nothing.
    case end
  }

  private let connection: SharedConnection
  private let bounds: ExportServer.Bounds
  /// The bytes that have arrived and belong to no request yet: at most a head, and what came with its last part.
  private var bytes: [UInt8] = []

  init(_ connection: SharedConnection, _ bounds: ExportServer.Bounds) {
    self.connection = connection
    self.bounds = bounds
  }

  /// Reads the next request.
  /// - Parameter isFirst: Whether it is the first of the connection, which has to come at once.
  mutating func next(isFirst: Bool) async -> Outcome {
    let begun = ContinuousClock.now
    // Once its first byte is there, a request has the whole time of a request.
    var deadline = begun + (isFirst || !bytes.isEmpty ? bounds.request : bounds.idle)
    while true {
      do throws(HTTPRequest.Refusal) {
        if let request = try HTTPRequest.first(in: &bytes) { return .request(request) }
      } catch {
        return .refused(error)
      }
      let wasEmpty = bytes.isEmpty
      do throws(SocketError) {
        let rest = deadline - ContinuousClock.now
        guard let more = try await connection.receive(upTo: 4096, within: Timeout(max(.zero, rest))) else {
          return bytes.isEmpty ? .end : .refused(.init(.badRequest, "the request is not complete"))
        }
        bytes += more
      } catch {
        guard error.cause == .timedOut, !bytes.isEmpty else { return .end }
        return .refused(.init(.timedOut, "the request did not arrive within \(bounds.request)"))
      }
      if wasEmpty, !isFirst { deadline = ContinuousClock.now + bounds.request }
    }
  }
}
