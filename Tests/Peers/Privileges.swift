import CPeers
import Glibc

/// The permissions of this process on this machine. A test that needs more is skipped, with the reason.
public enum Privileges {
  public static let isRoot = geteuid() == 0

  /// Whether a thread may make a network namespace. It is tried once, on a new thread.
  public static let canMakeNamespaces = (try? NetworkNamespace()) != nil

  /// Whether TUN devices can be made in such a namespace.
  public static let canUseTUN: Bool = {
    guard canMakeNamespaces, let namespace = try? NetworkNamespace() else { return false }
    return (try? TunDevice("try0", in: namespace)) != nil
  }()

  /// Whether this machine's loopback speaks IPv6.
  public static let hasIPv6 = (try? PlainSocket.listening(on: "::1")) != nil

  /// Whether two namespaces can be joined by a pair of veth devices.
  public static let canUseVeth: Bool = {
    guard canMakeNamespaces, let a = try? NetworkNamespace(), let b = try? NetworkNamespace() else { return false }
    return (try? a.addVeth("try0", to: b, as: "try1")) != nil
  }()
}

/// External programs that a test needs and a machine may lack.
public enum Programs {
  /// The path of the first executable with this name among the system's programs, or else on `PATH`.
  ///
  /// The system's come first, because `PATH` may lead to a version manager's shell script of that name, which takes
  /// more processor time than most programs of the tests.
  public static func find(_ name: String) -> String? {
    let path = unsafe getenv("PATH").map { unsafe String(cString: $0) } ?? ""
    return "/usr/bin:/bin:/usr/sbin:/sbin:\(path)".split(separator: ":")
      .map { "\($0)/\(name)" }
      .first { unsafe access($0, X_OK) == 0 }
  }
}
