import Fin
import HTTPTypes

/// HTTP/1.1 over a pool of connections to one server.
///
/// ```swift
/// let client = HTTPClient(over: ConnectionPool(to: "localhost:8080"), host: "localhost:8080")
/// let (response, body) = try await client.fetch(.get, "/")
/// ```
/// A request is sent again only when it is known not to have been delivered, or when the caller says that it may be
/// executed twice. A connection goes back to the pool when the whole response has come, and when neither the server nor
/// an error has ended it.
public struct HTTPClient: Sendable {
  public let pool: ConnectionPool
  private let host: String
  private let limits: HTTPLimits
  private let time: Duration

  /// - Parameters:
  ///   - pool: connections to the server, secured or not. Its owner closes it.
  ///   - host: the value of the field `Host`.
  ///   - limits: the limits of each response.
  ///   - time: the time for each exchange, to the last byte of the response.
  public init(
    over pool: ConnectionPool, host: String, limits: HTTPLimits = HTTPLimits(), time: Duration = .seconds(60)
  ) {
    (self.pool, self.host, self.limits, self.time) = (pool, host, limits, time)
  }

  /// Sends a request and receives the whole response.
  public func fetch(
    _ method: HTTPRequest.Method, _ path: String, fields: HTTPFields = [:], _ content: HTTPContent = .bytes([]),
    retrying: Retrying = .undelivered
  ) async throws -> (response: HTTPResponse, body: [UInt8]) {
    let request = HTTPRequest(method: method, scheme: nil, authority: nil, path: path, headerFields: fields)
    return try await send(request, content, retrying: retrying) { response, body, connection in
      (response, try await body.receiveAll(from: connection))
    }
  }

  /// Sends a request, and passes the response to a closure as it comes.
  ///
  /// - Parameters:
  ///   - request: the request.
  ///   - content: its body. A stream is made once more if the request is sent again.
  ///   - retrying: whether the request may be executed twice.
  ///   - receive: receives the body from the connection. What it leaves is received and dropped, within the limits.
  /// - Throws: ``HTTPError`` when the response is cut off or malformed; every error of the pool and of the connection.
  public func send<R>(
    _ request: HTTPRequest, _ content: HTTPContent = .bytes([]), retrying: Retrying = .undelivered,
    _ receive: (HTTPResponse, _ body: inout HTTPBody, _ connection: borrowing Connection) async throws -> R
  ) async throws -> R {
    try await pool.withConnection(retrying: retrying) { connection in
      try await connection.limited(to: time) { connection in
        let head = try await exchangeHeads(request, content, over: connection)
        if !head.keepsAlive { connection.retire() }
        var body = try HTTPBody(head.framing, limits)
        let result = try await receive(head.response, &body, connection)
        while try await body.receive(from: connection) != nil {}
        return result
      }
    }
  }

  /// Sends a request and receives the head of the final response.
  private func exchangeHeads(
    _ request: HTTPRequest, _ content: HTTPContent, over connection: borrowing Connection
  ) async throws -> ResponseHead {
    let path = request.path ?? "/"
    guard path.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else { throw HTTPError("the path is malformed") }
    var fields = request.headerFields
    fields[.hostField] = request.authority ?? host
    (fields[.contentLength], fields[.transferEncoding]) = (nil, nil)
    switch content {
    case .bytes(let bytes) where bytes.isEmpty && request.method != .post: break
    case .bytes(let bytes): fields[.contentLength] = "\(bytes.count)"
    case .stream: fields[.transferEncoding] = "chunked"
    }
    let isLast = fields.lists("close", in: .connection)
    var failure: SocketError?
    do { try await connection.send("\(request.method.rawValue) \(path) HTTP/1.1", fields, content) } catch {
      // A server may refuse a body before it has all of it, and close. Its answer arrived before the reset.
      guard let error = error as? SocketError else { throw error }
      failure = error
    }
    do {
      for _ in 0...limits.interim {
        guard let line = try await connection.receiveHeadLine(limit: limits.line, tooLong: .badGateway) else {
          throw HTTPError.truncated
        }
        let fields = try await connection.receiveFields(limits)
        let head = try ResponseHead(line, fields, to: request.method, isLast: isLast || failure != nil)
        if head.response.status.kind != .informational { return head }
      }
      throw HTTPError("there are more than \(limits.interim) interim responses")
    } catch { throw failure ?? error }
  }

}

/// What a response says before its body.
struct ResponseHead {
  let response: HTTPResponse
  let framing: Framing
  let keepsAlive: Bool

  /// Reads the status line (RFC 9112, section 4), and where the body ends (section 6.3).
  init(_ line: [UInt8], _ fields: HTTPFields, to method: HTTPRequest.Method, isLast: Bool) throws {
    let parts = line.split(separator: UInt8(ascii: " "), maxSplits: 2, omittingEmptySubsequences: false)
    guard parts.count > 1, parts[1].count == 3, let code = Int(String(decoding: parts[1], as: UTF8.self)),
      (100...599).contains(code), code != 101
    else { throw HTTPError("the status line is malformed") }
    let minorVersion = try parseMinorVersion(parts[0])
    let reason = parts.count > 2 ? String(decoding: parts[2], as: UTF8.self) : ""
    response = HTTPResponse(status: .init(code: code, reasonPhrase: reason), headerFields: fields)
    if method == .head || code < 200 || code == 204 || code == 304 {
      framing = .length(0)
    } else {
      framing = try Framing(of: fields, minorVersion: minorVersion, unstated: .untilEnd)
    }
    let isKept = minorVersion > 0 || fields.lists("keep-alive", in: .connection)
    keepsAlive = isKept && !isLast && !fields.lists("close", in: .connection)
  }
}
