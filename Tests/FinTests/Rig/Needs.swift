import Peers
import Testing

/// The requirements that a test has of the machine. Where one is missing, the test is skipped with a note on how to
/// meet it.
extension Trait where Self == ConditionTrait {
  static var needsNamespaces: Self {
    .enabled(if: Privileges.canMakeNamespaces, "needs the right to make network namespaces: run as root")
  }
  static var needsTUN: Self {
    .enabled(if: Privileges.canUseTUN, "needs a TUN device in a network namespace: run as root, with /dev/net/tun")
  }
  static var needsVeth: Self {
    .enabled(if: Privileges.canUseVeth, "needs veth devices in network namespaces: run as root, with the veth module")
  }
  static var needsIPv6: Self {
    .enabled(if: Privileges.hasIPv6, "needs IPv6 on the loopback device")
  }
  static func needsProgram(_ name: String) -> Self {
    .enabled(if: Programs.find(name) != nil, "needs the program \(name) on PATH")
  }
}
