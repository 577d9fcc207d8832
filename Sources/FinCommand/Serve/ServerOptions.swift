import ArgumentParser
import Fin

/// The options that every command has that serves clients: where it listens, whom it serves, and how it is replaced.
struct ServerOptions: ParsableArguments {
  @Argument(
    help: ArgumentHelp("Where to listen: localhost:7777, :7777 (everywhere), a path, or @name.", valueName: "addr"))
  var address: String

  @Option(help: ArgumentHelp("The number of clients that are served at a time; the others wait.", valueName: "count"))
  var connections = 100

  @Option(
    name: .customLong("per-peer"),
    help: ArgumentHelp("The number of clients of one IP address at a time; others are reset.", valueName: "count"))
  var perPeer: Int?

  @Option(
    help: ArgumentHelp("Take over from the server at this path, and hand over to the next one.", valueName: "path"))
  var handover: String?

  @Flag(help: "Require a header of the PROXY protocol, version 1 or 2, from the proxies of --trust.")
  var proxy = false

  @Option(help: ArgumentHelp("A proxy, or a block of them: 10.0.0.0/8. Can be given again.", valueName: "addr[/bits]"))
  var trust: [String] = []

  func validate() throws {
    guard (1...10_000).contains(connections) else {
      throw ValidationError("--connections is \(connections); it can be 1 to 10000.")
    }
    guard perPeer.map({ $0 > 0 }) ?? true else { throw ValidationError("--per-peer must be 1 or more.") }
    if case .unix? = try endpoint.address, proxy {
      throw ValidationError("--proxy needs clients with IP addresses, and not a Unix socket.")
    }
    _ = try trusted
    _ = try handingOver(of: "")
  }

  var endpoint: Endpoint { get throws { try Self.endpoint(address) } }

  /// Parses an address of the command line.
  static func endpoint(_ text: String) throws -> Endpoint {
    do throws(AddressError) { return try Endpoint(parsing: text) } catch { throw ValidationError("\(error).") }
  }

  /// The proxies that are trusted; nil if no header is to be read.
  var trusted: [AddressPrefix]? { get throws { try TrustedProxies.parse(trust, isWanted: proxy) } }

  /// The handover of the command with this name; nil without one.
  func handingOver(of verb: String) throws -> ServeHandover? {
    try handover.map { try ServeHandover(parsing: $0, of: verb) }
  }
}
