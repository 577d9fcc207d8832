import FinDoctor

@testable import Fin

/// Requests of HTTP to `fin export`, one behind the other, as a connection brings them.
func readHTTP(_ bytes: [UInt8]) {
  var rest = bytes
  while true {
    let before = rest
    let request: HTTPRequest
    do throws(HTTPRequest.Refusal) {
      guard let found = try HTTPRequest.first(in: &rest) else { break }
      request = found
    } catch {
      requirePrintable(error.reason)
      return
    }
    require(rest.count < before.count && before.hasSuffix(rest), "a request takes bytes that are not its own")
    // It is complete with its last byte, and not before.
    var early = before.dropLast(rest.count + 1).map { $0 }
    require((try? HTTPRequest.first(in: &early)) == nil, "a request is whole before its end")
    require(request.path.hasPrefix("/"), "a target that is no path")
    require(request.fields.count <= HTTPRequest.Limit.fields, "too many fields")
    let values = request.fields.map(\.value).joined().utf8
    require(!values.contains { $0 == 10 || $0 == 13 || $0 == 0 }, "a line end in a value")
    _ = request.exposition
    if let time = request.scrapeTimeout { require(time > .zero && time <= .seconds(3600), "no time of a scrape") }
    let lines = request.fields.map { "\($0.name): \($0.value)\r\n" }.joined()
    let version = request.value("host") == nil ? "HTTP/1.0" : "HTTP/1.1"
    var again = Array("\(request.method) \(request.path) \(version)\r\n\(lines)\r\n".utf8)
    // Bytes that are no UTF-8 become longer.
    guard again.count <= HTTPRequest.Limit.head, request.path.utf8.count <= HTTPRequest.Limit.target else { continue }
    guard let second = try? HTTPRequest.first(in: &again), again.isEmpty else { fatalError("it is refused again") }
    require(second.path == request.path, "another path")
    require(second.fields.map(\.value) == request.fields.map(\.value), "other fields")
  }
  require(rest.count < HTTPRequest.Limit.head, "a head without an end")
}

extension [UInt8] {
  fileprivate func hasSuffix(_ other: [UInt8]) -> Bool { suffix(other.count).elementsEqual(other) }
}

/// The beginning of a connection from a proxy.
func readProxy(_ bytes: [UInt8]) {
  let found = ProxyHeader(reading: bytes[...])
  require(ProxyHeader(reading: ([7] + bytes)[1...]) == found, "a header depends on where its bytes are")
  // However the bytes arrive, the answer is the same, and final once there is one.
  for count in 0..<min(bytes.count, ProxyHeader.mostBytes + 2) {
    let part = ProxyHeader(reading: bytes[..<count])
    require(part == .incomplete || part == found, "more bytes change the answer")
  }
  switch found {
  case .incomplete: require(bytes.count < ProxyHeader.mostBytes, "a header without an end")
  case .malformed(let reason): requirePrintable(reason)
  case .header(let length, let client):
    require(length <= bytes.count && length <= ProxyHeader.mostBytes, "a header longer than its bytes")
    guard let client else { return }
    requirePrintable("\(client)")
    let announced = ProxyAnnouncement.header(client: client, server: client)
    require(
      ProxyHeader(reading: announced[...]) == .header(length: announced.count, client: client),
      "an announcement is not read as it was written")
  }
}

/// A message of another program in a handover.
func readHandover(_ bytes: [UInt8]) {
  guard let message = try? HandoverMessage(bytes) else { return }
  require((try? HandoverMessage(message.bytes)) == message, "a message is not read as it was written")
}

/// What the library reads about its own sockets: lines of the tables below `/proc/net`, and answers of `sock_diag`.
func readTables(_ bytes: [UInt8]) {
  guard let kind = bytes.first else { return }
  let rest = bytes.dropFirst()
  switch kind % 3 {
  case 0:
    for isV6 in [false, true] {
      for port in [UInt16(0), 22, .max] {
        _ = InternetSocket.isLine(rest, of: InternetSocket.column(port), isV6: isV6)
      }
      guard let socket = InternetSocket(line: rest, isV6: isV6) else { continue }
      require(socket.isInTheWay(of: socket.address), "an address that is not in its own way")
      requirePrintable("\(socket.address)")
    }
  case 1:
    guard let socket = Fin.UnixSocket(line: rest) else { return }
    require(rest.reversed().starts(with: socket.name.reversed()), "a name that is not the end of its line")
  default:
    for isDump in [false, true] {
      var taken = 0
      _ = SocketAnswers.read(Array(rest), rest.count, isDump: isDump) { answer in
        taken += 16 + answer.count
        require((SocketAnswers.queueLength(answer) ?? 0) >= 0, "fewer clients than none")
      }
      require(taken <= rest.count, "more answers than bytes")
    }
  }
}
