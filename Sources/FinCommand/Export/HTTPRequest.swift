import FinDoctor

/// A request of HTTP/1.1 (RFC 9112) for something to read: it has no body.
struct HTTPRequest: Hashable {
  /// The limits on a request.
  enum Limit {
    /// The bytes of the request line and the fields together.
    static let head = 8192
    /// The bytes of the target.
    static let target = 2048
    /// The number of fields.
    static let fields = 64
  }

  var method: String
  /// The path, without a query.
  var path: String
  /// The fields in their order, with names in lower case.
  var fields: [(name: String, value: String)]
  /// Whether the client leaves the connection open for another request.
  var staysOpen: Bool

  static func == (left: HTTPRequest, right: HTTPRequest) -> Bool {
    left.method == right.method && left.path == right.path && left.staysOpen == right.staysOpen
      && left.fields.map(\.name) == right.fields.map(\.name) && left.fields.map(\.value) == right.fields.map(\.value)
  }

  func hash(into hasher: inout Hasher) { hasher.combine(path) }

  /// The value of a field; several of one name are one list.
  func value(_ name: String) -> String? {
    let all = fields.filter { $0.name == name }.map(\.value)
    return all.isEmpty ? nil : all.joined(separator: ", ")
  }

  /// The reason why a request is not answered as asked. The connection ends with it: where the next request begins is
  /// not certain.
  struct Refusal: Error, Hashable {
    var status: HTTPStatus
    var reason: String

    init(_ status: HTTPStatus, _ reason: String) {
      self.status = status
      self.reason = reason
    }
  }

  /// Takes the first request from bytes that arrived; nil while it is not complete.
  ///
  /// Bytes of later requests stay. After a refusal, it is not known where the next request would begin.
  static func first(in bytes: inout [UInt8]) throws(Refusal) -> HTTPRequest? {
    // Empty lines before a request are ignored (RFC 9112, section 2.2).
    let blank = bytes.prefix { $0 == 13 || $0 == 10 }.count
    if blank > 0 { bytes.removeFirst(blank) }
    if let length = headLength(bytes[...]), length <= Limit.head {
      let request = try HTTPRequest(head: bytes[..<length])
      bytes.removeFirst(length)
      return request
    }
    guard bytes.count < Limit.head else {
      throw Refusal(.headTooLarge, "a request has \(Limit.head) bytes at most")
    }
    return nil
  }

  /// The length of the first head in the bytes, with the empty line that ends it; nil while it has not arrived.
  static func headLength(_ bytes: ArraySlice<UInt8>) -> Int? {
    var index = bytes.startIndex
    while index + 3 < bytes.endIndex {
      if bytes[index + 3] == 10, bytes[index + 2] == 13, bytes[index + 1] == 10, bytes[index] == 13 {
        return index + 4 - bytes.startIndex
      }
      index += 1
    }
    return nil
  }

  /// Parses a head, which ends with an empty line.
  init(head: ArraySlice<UInt8>) throws(Refusal) {
    // Visible ASCII, spaces and tabs; bytes above it are allowed in values.
    guard !head.contains(where: { $0 < 32 && $0 != 9 && $0 != 10 && $0 != 13 || $0 == 127 }) else {
      throw Refusal(.badRequest, "a control character is in the request")
    }
    var lines: [ArraySlice<UInt8>] = []
    var rest = head
    while let end = rest.firstIndex(of: 10) {
      guard end > rest.startIndex, rest[end - 1] == 13 else {
        throw Refusal(.badRequest, "a line does not end with CR LF")
      }
      lines.append(rest[..<(end - 1)])
      rest = rest[(end + 1)...]
    }
    guard !lines.joined().contains(13), lines.last?.isEmpty == true else {
      throw Refusal(.badRequest, "a line does not end with CR LF")
    }
    let words = lines[0].split(separator: 32, omittingEmptySubsequences: false)
    guard words.count == 3, words.allSatisfy({ !$0.isEmpty }), words[0].allSatisfy(Self.isTokenByte) else {
      throw Refusal(.badRequest, "the first line is no request of HTTP")
    }
    let version = String(decoding: words[2], as: UTF8.self)
    guard version.hasPrefix("HTTP/") else { throw Refusal(.badRequest, "the first line is no request of HTTP") }
    guard version == "HTTP/1.1" || version == "HTTP/1.0" else {
      throw Refusal(.versionNotSupported, "only HTTP/1.1 and HTTP/1.0 are understood")
    }
    guard words[1].count <= Limit.target else { throw Refusal(.targetTooLong, "the target is too long") }
    method = String(decoding: words[0], as: UTF8.self)
    path = try Self.path(ofTarget: String(decoding: words[1], as: UTF8.self))
    fields = []
    for line in lines.dropFirst().dropLast() {
      guard fields.count < Limit.fields else { throw Refusal(.headTooLarge, "there are too many fields") }
      guard let colon = line.firstIndex(of: 58), colon > line.startIndex,
        line[..<colon].allSatisfy(Self.isTokenByte)
      else { throw Refusal(.badRequest, "a field has no name") }
      let blank: Set<UInt8> = [9, 32]
      var value = line[(colon + 1)...].drop { blank.contains($0) }
      while let last = value.last, blank.contains(last) { value.removeLast() }
      fields.append(
        (String(decoding: line[..<colon], as: UTF8.self).lowercased(), String(decoding: value, as: UTF8.self)))
    }
    staysOpen = true
    let options = (value("connection") ?? "").lowercased().split { $0 == "," || $0 == " " }
    // An answer to 1.0 would need a field of its own to keep the connection. Scrapers speak 1.1.
    staysOpen = version == "HTTP/1.1" && !options.contains("close")
    let hosts = fields.count { $0.name == "host" }
    guard hosts == 1 || version == "HTTP/1.0" && hosts == 0 else {
      throw Refusal(.badRequest, "a request has one field Host")
    }
    // A body that two readers measure differently would be taken for the next request.
    guard value("transfer-encoding") == nil, ["0", nil].contains(value("content-length")) else {
      throw Refusal(.contentTooLarge, "a request has no body here")
    }
  }

  /// The path of a target: of `/metrics?x=1`, or of `http://host/metrics`.
  private static func path(ofTarget target: String) throws(Refusal) -> String {
    var rest = target[...]
    if rest.lowercased().hasPrefix("http://") {
      let authority = rest.dropFirst(7)
      rest = authority.firstIndex(of: "/").map { authority[$0...] } ?? "/"
    }
    guard rest.hasPrefix("/") else { throw Refusal(.badRequest, "the target is no path") }
    return String(rest.prefix { $0 != "?" && $0 != "#" })
  }

  private static func isTokenByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"):
      true
    default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
    }
  }
}

extension HTTPRequest {
  /// The form of the metrics that the client prefers: OpenMetrics if it takes version 1.0.0 at least as gladly as
  /// plain text.
  var exposition: Exposition {
    var openMetrics = 0.0
    var text = 0.0
    for item in (value("accept") ?? "").lowercased().split(separator: ",") {
      let parts = item.split(separator: ";").map { $0.filter { $0 != " " && $0 != "\t" } }
      guard let type = parts.first else { continue }
      let quality = parts.first { $0.hasPrefix("q=") }.map { Double($0.dropFirst(2)) ?? 0 } ?? 1
      let version = parts.first { $0.hasPrefix("version=") }?.dropFirst(8)
      switch type {
      case "application/openmetrics-text":
        if version == nil || version == "1.0.0" { openMetrics = max(openMetrics, quality) }
      case "text/plain", "text/*", "*/*": text = max(text, quality)
      default: break
      }
    }
    return openMetrics > 0 && openMetrics >= text ? .openMetrics : .text
  }

  /// The time that a scraper waits for its answer, as Prometheus says it; nil without one.
  var scrapeTimeout: Duration? {
    guard let seconds = value("x-prometheus-scrape-timeout-seconds").flatMap({ Double($0) }), seconds > 0,
      seconds.isFinite
    else { return nil }
    return .milliseconds(Int64(min(seconds, 3600) * 1000))
  }
}
