import ArgumentParser
import Fin

/// The options of a relay that secures its connections to the target with TLS.
struct SecuredTargetOptions: ParsableArguments {
  @Flag(name: .customLong("target-tls"), help: "Secure the connection to the target with TLS.")
  var isWanted = false

  @Option(
    name: .customLong("target-name"),
    help: ArgumentHelp("The name in its certificate, if it is not the target's.", valueName: "name"))
  var name: String?

  @Option(
    name: .customLong("target-ca"),
    help: ArgumentHelp("Trust the roots in this file, in PEM, for the target.", valueName: "file"),
    completion: .file())
  var roots: String?

  func validate() throws {
    guard isWanted || name == nil && roots == nil else {
      throw ValidationError("--target-name and --target-ca belong to TLS: they need --target-tls.")
    }
    if isWanted { try SecuredFacts.checkBuild() }
  }

  /// The way to secure a connection to the target; `nil` without `--target-tls`.
  /// - Throws: The exit status, when the file of the roots cannot be used.
  func securing(
    _ target: Endpoint
  ) throws -> (@Sendable (consuming Connection) throws(SocketError) -> Connection)? {
    #if TLS
    guard isWanted else { return nil }
    do throws(SocketError) {
      let settings = if let roots { try TLSClient(trust: .roots(path: roots)) } else { try TLSClient() }
      let role = name.map { TLSRole.client(for: $0, settings) } ?? .client(of: target, settings)
      return { connection throws(SocketError) in try connection.secured(as: role) }
    } catch { throw ExitStatus.noInput.because("\(error)") }
    #else
    return nil
    #endif
  }
}
