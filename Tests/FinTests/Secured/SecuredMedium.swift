#if TLS
import Peers

@testable import Fin

/// The secured connections of tests that run over plain ones too.
enum SecuredMedium {
  /// Whether this machine can make the certificates.
  static let isPossible = Programs.find("openssl") != nil

  private static let settings = Result { () throws -> (server: TLSServer, client: TLSClient) in
    let certificates = try Certificates()
    return (try TLSServer(certificates.identity()), try TLSClient(trust: .roots(path: certificates.root)))
  }

  /// Both ends of a secured connection. The first is the client.
  static func pair(timeouts: Timeouts = .default) throws -> ConnectionPair {
    let (server, client) = try settings.get()
    return try securedPair(server, client, timeouts: timeouts)
  }

  /// A storm's layer: TLS at both ends.
  static func layer() throws -> StormLayer {
    let (server, client) = try settings.get()
    return StormLayer { pair in
      let ours = pair.first
      let serving = onThread(taking: pair.second) { try $0.secured(as: .server(server), within: .seconds(60)) }
      let first = try ours.secured(as: .client(for: "localhost", client), within: .seconds(60))
      return ConnectionPair(first: first, second: try serving.join(within: .seconds(60)))
    } inTask: { pair in
      let ours = pair.first
      let serving = onThread(taking: pair.second) { try $0.secured(as: .server(server), within: .seconds(60)) }
      let first = try await ours.secured(as: .client(for: "localhost", client), within: .seconds(60))
      return ConnectionPair(first: first, second: try serving.join(within: .seconds(60)))
    }
  }
}
#endif
