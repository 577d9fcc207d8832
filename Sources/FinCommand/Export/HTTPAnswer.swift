import FinDoctor

/// The statuses that an answer can have.
enum HTTPStatus: Int {
  case ok = 200
  case badRequest = 400
  case notFound = 404
  case methodNotAllowed = 405
  case timedOut = 408
  case contentTooLarge = 413
  case targetTooLong = 414
  case headTooLarge = 431
  case unavailable = 503
  case versionNotSupported = 505

  var phrase: String {
    switch self {
    case .ok: "OK"
    case .badRequest: "Bad Request"
    case .notFound: "Not Found"
    case .methodNotAllowed: "Method Not Allowed"
    case .timedOut: "Request Timeout"
    case .contentTooLarge: "Content Too Large"
    case .targetTooLong: "URI Too Long"
    case .headTooLarge: "Request Header Fields Too Large"
    case .unavailable: "Service Unavailable"
    case .versionNotSupported: "HTTP Version Not Supported"
    }
  }
}

/// An answer: a status, a type and a body.
struct HTTPAnswer {
  var status: HTTPStatus
  var type: String
  var body: [UInt8]

  init(_ status: HTTPStatus, type: String, _ body: [UInt8]) {
    self.status = status
    self.type = type
    self.body = body
  }

  /// An answer of one line.
  init(_ status: HTTPStatus, _ text: String) {
    self.init(status, type: "text/plain; charset=utf-8", Array((text + "\n").utf8))
  }

  init(_ refusal: HTTPRequest.Refusal) { self.init(refusal.status, refusal.reason) }

  /// The bytes to send.
  /// - Parameters:
  ///   - hasBody: Whether the body is sent: not to a HEAD request, whose answer has the same fields.
  ///   - staysOpen: Whether another request may follow.
  func bytes(hasBody: Bool, staysOpen: Bool) -> [UInt8] {
    var head = "HTTP/1.1 \(status.rawValue) \(status.phrase)\r\nContent-Type: \(type)\r\n"
    head += "Content-Length: \(body.count)\r\nX-Content-Type-Options: nosniff\r\n"
    if status == .methodNotAllowed { head += "Allow: GET, HEAD\r\n" }
    if !staysOpen { head += "Connection: close\r\n" }
    return Array((head + "\r\n").utf8) + (hasBody ? body : [])
  }
}
