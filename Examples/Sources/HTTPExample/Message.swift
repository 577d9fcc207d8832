import Fin
import HTTPTypes

/// The limits of one exchange: the most that a peer can make this side keep, or wait for.
public struct HTTPLimits: Sendable {
  /// The bytes of one line of a head, and those of all fields of a head, or of all trailers.
  public var (line, head) = (8 << 10, 32 << 10)
  /// The number of fields of a head, or of trailers.
  public var fields = 100
  /// The bytes of a body, and those of the extensions of all its chunks.
  public var (body, extensions) = (16 << 20, 4 << 10)
  /// The number of interim responses (1xx) before the final one.
  public var interim = 8
  /// The time from the first byte of a request to the last of its head, and the time between two requests.
  public var (headTime, idle): (Duration, Duration) = (.seconds(10), .seconds(60))

  public init() {}
}

/// What is wrong with a message, and the status with which a server answers it.
public struct HTTPError: Error, Hashable, CustomStringConvertible {
  public let (reason, status): (String, HTTPResponse.Status)
  public var description: String { "\(reason) (\(status.code))" }

  init(_ reason: String, _ status: HTTPResponse.Status = .badRequest) { (self.reason, self.status) = (reason, status) }

  /// The peer finished in the middle of a message. Half a message is never taken for a whole one.
  public static let truncated = HTTPError("the message was cut off")
}

extension Receiving where Self: ~Copyable {
  /// Receives one line of a head, without the CRLF behind it; `nil` when the peer had finished before its first byte.
  ///
  /// A bare LF, and a CR that is not before an LF, are errors: programs that disagree on where a line ends can be made
  /// to disagree on where a request begins (RFC 9112, sections 2.2 and 11.2).
  func receiveHeadLine(limit: Int, tooLong: HTTPResponse.Status = .badRequest) async throws -> [UInt8]? {
    do {
      guard var line = try await receive(until: UInt8(ascii: "\n"), limit: limit + 1) else { return nil }
      guard line.popLast() == UInt8(ascii: "\r"), !line.contains(UInt8(ascii: "\r")) else {
        throw HTTPError("a line does not end with CRLF")
      }
      return line
    } catch SocketError.limit {
      throw HTTPError("a line is longer than \(limit) bytes", tooLong)
    } catch SocketError.endOfStream {
      throw HTTPError.truncated
    }
  }

  /// Receives the fields of a head, or trailers, and the empty line behind them (RFC 9112, section 5).
  func receiveFields(_ limits: HTTPLimits) async throws -> HTTPFields {
    var (fields, bytesLeft, tooLarge) = (HTTPFields(), limits.head, HTTPResponse.Status.requestHeaderFieldsTooLarge)
    while let line = try await receiveHeadLine(limit: min(limits.line, bytesLeft), tooLong: tooLarge) {
      if line.isEmpty { return fields }
      guard fields.count < limits.fields else { throw HTTPError("more than \(limits.fields) fields", tooLarge) }
      bytesLeft = max(0, bytesLeft - line.count - 2)
      // A name has no space. So a folded line is refused here, and so is a space before the colon (5.1 and 5.2).
      let name = line.prefix { $0 != UInt8(ascii: ":") }
      let value = trimmed(line.dropFirst(name.count + 1))
      guard name.count < line.count, let name = HTTPField.Name(String(decoding: name, as: UTF8.self)),
        HTTPField.isValidValue(value)
      else { throw HTTPError("a field is malformed") }
      fields.append(HTTPField(name: name, value: value))
    }
    throw HTTPError.truncated
  }
}

/// Removes the spaces and tabs at both ends.
private func trimmed(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
  let isSpace = { (byte: UInt8) in byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }
  return ArraySlice(bytes.drop(while: isSpace).reversed().drop(while: isSpace).reversed())
}

extension HTTPFields {
  /// Whether a list, such as `Connection`, has this token of small letters; the peer may write it in capitals.
  func lists(_ token: String, in name: HTTPField.Name) -> Bool {
    // Byte by byte: `lowercased()` would turn U+212A, the Kelvin sign, into a k.
    Array(self[values: name].joined(separator: ",").utf8).split(separator: UInt8(ascii: ",")).contains {
      trimmed($0).map { $0 | 0x20 } == Array(token.utf8)
    }
  }
}

/// How the receiver of a message knows where its body ends (RFC 9112, section 6.3).
enum Framing: Equatable {
  case length(Int)
  case chunked
  /// The body ends with the connection: by a FIN, and never by a reset.
  case untilEnd

  /// Reads it from the fields. Two statements are one too many, even if they agree: the next program might believe the
  /// other one.
  init(of fields: HTTPFields, minorVersion: Int, unstated: Framing) throws {
    let (codings, lengths) = (fields[values: .transferEncoding], fields[values: .contentLength])
    switch (codings.count, lengths.count) {
    case (0, 0): self = unstated
    case (0, 1):
      // `Int` alone would take a sign as well.
      guard let length = Int(lengths[0]), lengths[0].utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
        throw HTTPError("the length of the body is not a number")
      }
      self = .length(length)
    case (1, 0) where minorVersion > 0:
      guard fields.lists("chunked", in: .transferEncoding), !codings[0].contains(",") else {
        throw HTTPError("a transfer coding other than chunked", .notImplemented)
      }
      self = .chunked
    default: throw HTTPError("the length of the body is stated twice, or in a way that HTTP/1.0 does not have")
    }
  }
}

extension HTTPField.Name {
  /// The field `Host`, which is a request's `authority` in swift-http-types.
  static let hostField = Self("Host")!
}

/// Reads `HTTP/1.0` or `HTTP/1.1`.
func parseMinorVersion(_ text: ArraySlice<UInt8>) throws -> Int {
  switch String(decoding: text, as: UTF8.self) {
  case "HTTP/1.1": return 1
  case "HTTP/1.0": return 0
  case let text where text.hasPrefix("HTTP/"): throw HTTPError("a version other than HTTP/1", .httpVersionNotSupported)
  default: throw HTTPError("the first line is malformed")
  }
}
