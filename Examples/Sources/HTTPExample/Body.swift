import Fin
import HTTPTypes

/// The state of receiving one body. It ends where the message says, and every earlier end is an error.
public struct HTTPBody: Sendable {
  private let framing: Framing
  private let limits: HTTPLimits
  /// The bytes left of the body, or of the chunk that is being received.
  private var bytesLeft = 0
  /// The bytes that may still come in further chunks, and in their extensions.
  private var (chunksLeft, extensionsLeft): (Int, Int)
  /// Whether the client waits for the server's word before it sends the body (RFC 9110, section 10.1.1).
  private var awaitsContinue: Bool
  /// Whether the whole body has been received.
  public private(set) var isFinished = false
  /// The fields behind a chunked body. They are never merged into the head's.
  public private(set) var trailers = HTTPFields()

  init(_ framing: Framing, _ limits: HTTPLimits, awaitsContinue: Bool = false) throws {
    (self.framing, self.limits, self.awaitsContinue) = (framing, limits, awaitsContinue)
    (chunksLeft, extensionsLeft) = (limits.body, limits.extensions)
    switch framing {
    case .length(let length):
      (bytesLeft, isFinished) = (length, length == 0)
      if length > limits.body { throw tooLarge }
    case .chunked: break
    case .untilEnd: bytesLeft = limits.body + 1
    }
  }

  private var tooLarge: HTTPError { HTTPError("the body is larger than \(limits.body) bytes", .contentTooLarge) }

  /// Receives the next part of the body.
  ///
  /// - Returns: 1 to `most` bytes; `nil` when the whole body has been received.
  /// - Throws: `HTTPError.truncated` when the peer finished in the middle; every error of the connection.
  public mutating func receive<C: Receiving & Sending & ~Copyable>(
    from connection: borrowing C, upTo most: Int = 64 << 10
  ) async throws -> [UInt8]? {
    if awaitsContinue, !isFinished { try await connection.send("HTTP/1.1 100 Continue\r\n\r\n") }
    awaitsContinue = false
    if framing == .chunked, bytesLeft == 0, !isFinished { try await receiveChunkLine(from: connection) }
    if isFinished { return nil }
    guard let bytes = try await connection.receive(upTo: min(most, bytesLeft)) else {
      guard framing == .untilEnd else { throw HTTPError.truncated }
      isFinished = true
      return nil
    }
    bytesLeft -= bytes.count
    if bytesLeft == 0 {
      switch framing {
      case .length: isFinished = true
      case .chunked: if try await connection.receiveHeadLine(limit: 0) == nil { throw HTTPError.truncated }
      case .untilEnd: throw tooLarge
      }
    }
    return bytes
  }

  /// Receives the rest of the body.
  public mutating func receiveAll<C: Receiving & Sending & ~Copyable>(from connection: borrowing C) async throws
    -> [UInt8]
  {
    var all: [UInt8] = []
    while let bytes = try await receive(from: connection) { all += bytes }
    return all
  }

  /// Receives the line before a chunk; after the last chunk, the trailers too (RFC 9112, section 7.1).
  private mutating func receiveChunkLine<C: Receiving & ~Copyable>(from connection: borrowing C) async throws {
    guard let line = try await connection.receiveHeadLine(limit: 16 + extensionsLeft) else { throw HTTPError.truncated }
    let digits = line.prefix { Character(UnicodeScalar($0)).isHexDigit }
    let rest = line.dropFirst(digits.count)
    guard digits.count <= 16, let size = Int(String(decoding: digits, as: UTF8.self), radix: 16),
      rest.isEmpty || rest.first == UInt8(ascii: ";"), HTTPField.isValidValue(rest), rest.count <= extensionsLeft
    else { throw HTTPError("the line before a chunk is malformed") }
    extensionsLeft -= rest.count
    guard size <= chunksLeft else { throw tooLarge }
    chunksLeft -= size
    bytesLeft = size
    if size == 0 {
      trailers = try await connection.receiveFields(limits)
      isFinished = true
    }
  }
}

/// The body of a message that is sent.
public enum HTTPContent: Sendable {
  /// Bytes whose number is stated before them.
  case bytes([UInt8])
  /// Parts that are sent as they are made, each as a chunk. The end is stated only if the closure returns.
  case stream(@Sendable (_ write: ([UInt8]) async throws -> Void) async throws -> Void)

  public static func text(_ text: String) -> HTTPContent { .bytes(Array(text.utf8)) }
}

extension Sending where Self: ~Copyable {
  /// Sends a head, and the content behind it. Without `isChunked`, a stream ends with the connection.
  func send(_ startLine: String, _ fields: HTTPFields, _ content: HTTPContent, isChunked: Bool = true) async throws {
    let head = startLine + "\r\n" + fields.map { "\($0.name): \($0.value)\r\n" }.joined() + "\r\n"
    switch content {
    case .bytes(let bytes): try await send(gathering: [Array(head.utf8), bytes])
    case .stream(let produce):
      try await send(head)
      try await produce { bytes in
        guard isChunked else { return try await self.send(bytes) }
        // A chunk without bytes would be the last one.
        if bytes.isEmpty { return }
        try await self.send(gathering: [Array("\(String(bytes.count, radix: 16))\r\n".utf8), bytes, Array("\r\n".utf8)])
      }
      if isChunked { try await send("0\r\n\r\n") }
    }
  }
}
