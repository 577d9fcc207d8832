import Glibc
import Peers

/// A `fin relay` that runs beside the test, on a port of its own, and the target that it relays to.
struct Relaying: ~Copyable {
  let talker: Talker
  let port: UInt16
  let target: PlainSocket
  var child: Child { talker.child }

  /// - Parameter arguments: The words after the target.
  init(_ arguments: String...) throws { try self.init(words: arguments) }

  init(words: [String], before: [String] = []) throws {
    let target = try PlainSocket.listening(backlog: 4096)
    let talker = try Talker(["relay", "127.0.0.1:0"] + before + ["127.0.0.1:\(target.port)"] + words)
    port = try Self.port(of: talker)
    self.talker = talker
    self.target = target
  }

  /// The port at which a relay says that it listens.
  static func port(of talker: Talker) throws -> UInt16 {
    let line = try talker.child.readLine(within: .seconds(60)) ?? ""
    guard let place = line.split(separator: "127.0.0.1:").dropFirst().first,
      let port = UInt16(place.prefix { $0.isNumber })
    else { throw RigError("fin relay said \(line) \(talker.complaints)") }
    return port
  }

  func line() throws -> String { try child.readLine(within: .seconds(60)) ?? "" }

  func connect() throws -> PlainSocket { try PlainSocket.connected(to: "127.0.0.1", port: port) }

  /// A client, and the connection that the target got of it.
  func pair() throws -> RelayedPair {
    let client = try connect()
    return RelayedPair(client: client, server: try target.awaitClient())
  }

  /// Stops it, and returns its status and the lines that it has not returned yet.
  func stop() throws -> (status: Child.Exit, lines: [String]) {
    child.signal(SIGTERM)
    let rest = try child.readToEnd(within: .seconds(60))
    return (try child.wait(), rest.split(separator: "\n").map(String.init))
  }
}

/// Both ends of a connection that is relayed.
struct RelayedPair: ~Copyable {
  let client: PlainSocket
  let server: PlainSocket
}
