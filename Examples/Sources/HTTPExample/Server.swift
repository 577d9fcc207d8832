import Fin
import HTTPTypes

/// An answer of a handler. The server states the length of its content, and whether the connection stays.
public struct HTTPReply: Sendable {
  public var (response, content): (HTTPResponse, HTTPContent)

  public init(_ status: HTTPResponse.Status, fields: HTTPFields = [:], _ content: HTTPContent = .bytes([])) {
    (response, self.content) = (HTTPResponse(status: status, headerFields: fields), content)
  }
}

/// HTTP/1.1 (RFC 9112) over the connections of a listener.
///
/// ```swift
/// let server = HTTPServer { request, body, connection in HTTPReply(.ok, .text("hello\n")) }
/// let report = await listener.serve { connection in try await server.converse(over: connection) }
/// ```
/// Requests are answered in their order, also those that a client sends ahead. A request that is not understood is
/// answered with its error, and then the connection is closed, because the next request cannot be found.
public struct HTTPServer: Sendable {
  /// Answers a request. It receives the body from the connection, in whole, in part, or not at all.
  public typealias Handler =
    @Sendable (HTTPRequest, _ body: inout HTTPBody, _ connection: SharedConnection) async throws -> HTTPReply

  private let (limits, handler): (HTTPLimits, Handler)

  public init(limits: HTTPLimits = HTTPLimits(), _ handler: @escaping Handler) {
    (self.limits, self.handler) = (limits, handler)
  }

  /// Serves one connection until either side has had enough. `serve` closes it then, and lingers, so that a client
  /// gets the last answer even while it is still sending.
  public func converse(over connection: consuming Connection) async throws {
    let connection = connection.share()
    // A stop ends this wait at once, and the client gets a FIN. A request that has begun is served.
    while try await connection.isNextComing(within: Timeout(limits.idle)) {
      guard try await exchange(over: connection) else { return }
    }
  }

  /// Serves one request.
  ///
  /// - Returns: whether another one may follow.
  private func exchange(over connection: SharedConnection) async throws -> Bool {
    var (head, isReceived, failure): (RequestHead?, Bool, (any Error)?) = (nil, false, nil)
    var reply: HTTPReply
    do {
      head = try await connection.limited(to: limits.headTime).receiveRequestHead(limits)
      guard let head else { return false }
      var body = try HTTPBody(head.framing, limits, awaitsContinue: head.expectsContinue)
      reply = try await handler(head.request, &body, connection)
      isReceived = body.isFinished
    } catch let error as HTTPError {
      reply = HTTPReply(error.status, .text("\(error.reason)\n"))
    } catch SocketError.timedOut {
      reply = HTTPReply(.requestTimeout)
    } catch {
      (reply, failure) = (HTTPReply(.internalServerError), error)
    }
    // What was not received of a body would be taken for the next request.
    let goesOn = isReceived && !connection.isDraining && head?.keepsAlive(after: reply.content) == true
    try await send(reply, to: head, goesOn, over: connection)
    guard let failure else { return goesOn }
    // Closed before `serve` aborts it because of the error, which it reports.
    await connection.close(.lingering)
    throw failure
  }

  private func send(
    _ reply: HTTPReply, to head: RequestHead?, _ goesOn: Bool, over connection: SharedConnection
  ) async throws {
    let status = reply.response.status
    precondition(status.kind != .informational, "the reply of a handler is final")
    let (knowsChunks, hasBody) = (head?.minorVersion != 0, status != .noContent && status != .notModified)
    var fields = reply.response.headerFields
    fields[.connection] = goesOn ? (knowsChunks ? nil : "keep-alive") : "close"
    (fields[.contentLength], fields[.transferEncoding]) = (nil, nil)
    switch reply.content {
    case .bytes(let bytes): if hasBody { fields[.contentLength] = "\(bytes.count)" }
    case .stream: if hasBody, knowsChunks { fields[.transferEncoding] = "chunked" }
    }
    let content = hasBody && head?.request.method != .head ? reply.content : .bytes([])
    // A stream that fails in the middle throws, and `serve` aborts the connection: no client takes it for whole.
    try await connection.send("HTTP/1.1 \(status)", fields, content, isChunked: knowsChunks)
  }
}

/// What a request says before its body.
struct RequestHead {
  var request: HTTPRequest
  let (minorVersion, framing): (Int, Framing)

  var expectsContinue: Bool { minorVersion > 0 && request.headerFields.lists("100-continue", in: .expect) }

  /// Whether another request may follow the answer (RFC 9112, section 9.3).
  func keepsAlive(after content: HTTPContent) -> Bool {
    let fields = request.headerFields
    if minorVersion > 0 { return !fields.lists("close", in: .connection) }
    // A stream ends with the connection where the client does not know chunks.
    if case .stream = content { return false }
    return fields.lists("keep-alive", in: .connection)
  }

  /// Reads the request line (RFC 9112, section 3), and what the fields say of the host and the body.
  init(_ line: [UInt8], _ fields: HTTPFields) throws {
    let parts = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
    guard parts.count == 3, let method = HTTPRequest.Method(String(decoding: parts[0], as: UTF8.self)),
      parts[1].allSatisfy({ (0x21...0x7E).contains($0) })
    else { throw HTTPError("the request line is malformed") }
    let minorVersion = try parseMinorVersion(parts[2])
    if method == .connect { throw HTTPError("this server is no proxy", .notImplemented) }

    var (target, hosts) = (String(decoding: parts[1], as: UTF8.self), fields[values: .hostField])
    guard hosts.count == 1 || (hosts.isEmpty && minorVersion == 0) else { throw HTTPError("there must be one Host") }
    if target.hasPrefix("http://") || target.hasPrefix("https://") {
      // The form for a proxy: the host in it counts, and not the field (section 3.2.2).
      let rest = target.drop { $0 != "/" }.dropFirst(2)
      hosts = [String(rest.prefix { $0 != "/" && $0 != "?" })]
      target = String(rest.dropFirst(hosts[0].count))
      if !target.hasPrefix("/") { target = "/" + target }
    }
    guard target.hasPrefix("/") || (target == "*" && method == .options), !target.contains("#"),
      hosts.joined().utf8.allSatisfy({ (0x21...0x7E).contains($0) && !"/?#@,\\\"<>".utf8.contains($0) })
    else { throw HTTPError("the target of the request or its host is malformed") }

    framing = try Framing(of: fields, minorVersion: minorVersion, unstated: .length(0))
    self.minorVersion = minorVersion
    request = HTTPRequest(method: method, scheme: nil, authority: hosts.first, path: target, headerFields: fields)
  }
}

extension Receiving where Self: ~Copyable {
  /// Receives the head of a request; `nil` when the peer has finished.
  fileprivate func receiveRequestHead(_ limits: HTTPLimits) async throws -> RequestHead? {
    var line = try await receiveHeadLine(limit: limits.line, tooLong: .uriTooLong)
    // Some clients send an empty line too many behind a body (RFC 9112, section 2.2).
    if line == [] { line = try await receiveHeadLine(limit: limits.line, tooLong: .uriTooLong) }
    guard let line else { return nil }
    return try RequestHead(line, try await receiveFields(limits))
  }
}
