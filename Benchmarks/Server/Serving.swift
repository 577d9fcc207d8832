import Fin
@preconcurrency import Glibc

/// Prints the port, and serves on one event loop until the process is ended.
func serve(_ flags: Flags) async throws {
  let reactor = try Reactor(loops: 1)
  let listener = try Listener.bind(.loopback(port: 0), timeouts: flags.timeouts)
  print("port \(listener.localAddress.port!)")
  fflush(nil)
  if let folder = flags.certificates { return try await serveSecured(listener, on: reactor, folder, flags) }
  let report = await listener.serve(on: reactor, closing: flags.closing) { connection in
    switch flags.work {
    case .echo where flags.onMainActor: try await echoOnMainActor(connection, flags)
    case .echo where flags.arrays: try await echoArrays(connection, flags)
    case .echo: try await echo(connection, flags)
    case .count: try await count(connection, flags)
    }
  }
  if let failure = report.failure { throw failure }
}

/// Serves an echo over TLS.
private func serveSecured(
  _ listener: borrowing Listener, on reactor: Reactor, _ folder: String, _ flags: Flags
) async throws {
  #if TLS
  let settings = try TLSServer(TLSIdentity(certificates: folder + "/cert.pem", key: folder + "/key.pem"))
  let report = await listener.serve(securing: settings, on: reactor, closing: flags.closing) { connection in
    try await echo(connection, flags)
  }
  if let failure = report.failure { throw failure }
  #else
  fputs("fin-server was built without the package trait TLS\n", stderr)
  exit(2)
  #endif
}

/// Sends back the received bytes, until the end of file.
private func echo(_ connection: borrowing Connection, _ flags: Flags) async throws {
  let room = UnsafeMutableRawBufferPointer.allocate(byteCount: flags.buffer, alignment: 16)
  defer { room.deallocate() }
  var buffer = OutputRawSpan(buffer: room, initializedCount: 0)
  while try await connection.receive(into: &buffer, within: flags.within) > 0 {
    try await connection.send(buffer.bytes, within: flags.within)
    buffer.removeAll()
  }
}

/// The same echo, with received arrays, as a reader of the documentation would write it first.
private func echoArrays(_ connection: borrowing Connection, _ flags: Flags) async throws {
  while let bytes = try await connection.receive(upTo: flags.buffer, within: flags.within) {
    try await connection.send(bytes, within: flags.within)
  }
}

/// The same echo with arrays, but on the main actor instead of the event loop.
@MainActor
private func echoOnMainActor(_ connection: borrowing Connection, _ flags: Flags) async throws {
  while let bytes = try await connection.receive(upTo: flags.buffer, within: flags.within) {
    try await connection.send(bytes, within: flags.within)
  }
}

/// Reads to the end of file and sends the number of received bytes, most significant byte first.
private func count(_ connection: borrowing Connection, _ flags: Flags) async throws {
  let room = UnsafeMutableRawBufferPointer.allocate(byteCount: flags.buffer, alignment: 16)
  defer { room.deallocate() }
  var buffer = OutputRawSpan(buffer: room, initializedCount: 0)
  var total: UInt64 = 0
  while true {
    let received = try await connection.receive(into: &buffer, within: flags.within)
    if received == 0 { break }
    total += UInt64(received)
    buffer.removeAll()
  }
  try await connection.send(withUnsafeBytes(of: total.bigEndian) { Array($0) }, within: flags.within)
}
