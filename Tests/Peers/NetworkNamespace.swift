import CPeers
import Glibc

/// A new network namespace with its loopback up. It needs no `ip` command, and changes nothing outside the thread that
/// makes or enters it.
///
/// A socket keeps the namespace it was made in, so a test makes sockets inside `run` and uses them anywhere. The kernel
/// removes the namespace when this object, its sockets and its threads are gone.
public final class NetworkNamespace: Sendable {
  private let descriptor: OwnedDescriptor

  public init() throws {
    // The thread that unshares ends at once; the descriptor keeps the namespace alive.
    descriptor = try Peers.onThread { () throws -> OwnedDescriptor in
      if peers_unshare_network() != 0 { throw RigError.last("unshare a network namespace") }
      return try OwnedDescriptor(opening: "/proc/thread-self/ns/net", O_RDONLY)
    }.join(within: .seconds(30))
    try linkUp("lo")
  }

  /// Runs `body` with the calling thread inside the namespace, and returns the thread to its namespace.
  ///
  /// Threads and programs started in the body stay in the namespace.
  @discardableResult
  public func run<Result: ~Copyable, Failure: Error>(
    _ body: () throws(Failure) -> Result
  ) throws(Failure) -> Result {
    let home = unsafe open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)
    precondition(home >= 0, "the thread cannot open its network namespace: \(RigError.last("open"))")
    precondition(peers_enter_network(descriptor.number) == 0, "\(RigError.last("enter a network namespace"))")
    defer {
      // A thread left in a foreign namespace would break tests that have nothing to do with this one.
      precondition(peers_enter_network(home) == 0, "\(RigError.last("return to the network namespace"))")
      close(home)
    }
    return try body()
  }

  /// Runs `body` on a new thread inside the namespace.
  public func onThread<Value: ~Copyable & Sendable>(
    file: String = #fileID, line: Int = #line, _ body: @escaping @Sendable () throws -> Value
  ) -> Joining<Value> {
    run { Peers.onThread(file: file, line: line, body) }
  }

  /// Writes a setting of this namespace: `setSysctl("net/ipv4/tcp_fin_timeout", "3")`.
  public func setSysctl(_ name: String, _ value: String) throws(RigError) {
    // /proc/sys/net shows the namespace of the thread that opens the file.
    try run { () throws(RigError) in
      let file = try OwnedDescriptor(opening: "/proc/sys/\(name)", O_WRONLY)
      do throws(RigError) {
        try file.write(Array(value.utf8))
      } catch {
        throw RigError("sysctl \(name) = \(value)", code: error.code)
      }
    }
  }

  public func sysctl(_ name: String) throws(RigError) -> String {
    try run { () throws(RigError) in try readText("/proc/sys/\(name)") }
  }

  /// The descriptor of the namespace, as the value of `IFLA_NET_NS_FD`.
  var number: UInt32 { UInt32(descriptor.number) }
}
