import Glibc
import Peers
import Testing

/// A scene of the FinDoctor tests in its own network namespace, for a command that reads it from outside.
struct Stage {
  let child: Child
  let words: [String]

  init(_ program: String, _ arguments: String..., range: String? = nil) throws {
    let network = try NetworkNamespace()
    if let range {
      try network.setSysctl("net/ipv4/ip_local_port_range", range)
      try network.setSysctl("net/ipv4/tcp_tw_reuse", "0")
    }
    let python = try #require(Programs.find("python3"))
    let path = Stage.folder + program + ".py"
    child = try network.run { try Child.spawn(python, ["-B", path] + arguments) }
    let line = try child.readLine(within: .seconds(60)) ?? ""
    words = line.split(separator: " ").dropFirst().map(String.init)
    guard line.hasPrefix("ready") else {
      child.end()
      throw RigError("\(program) \(arguments) said: \(line)")
    }
  }

  static let folder =
    #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(2).joined(separator: "/")
    + "/FinDoctorTests/Scenes/"

  /// The inode of its network namespace, which distinguishes it from those of other tests with the same addresses.
  func namespace() throws -> String {
    var bytes = [UInt8](repeating: 0, count: 64)
    let count = unsafe readlink("/proc/\(child.number)/ns/net", &bytes, bytes.count)
    return String(decoding: bytes.prefix(max(0, count)).dropFirst(5).dropLast(), as: UTF8.self)
  }

  func ask(_ words: String) throws -> String {
    try child.write(words + "\n")
    return try #require(try child.readLine(within: .seconds(60)))
  }
}

extension Trait where Self == ConditionTrait {
  static var needsScenes: Self {
    .enabled(
      if: Privileges.canMakeNamespaces && Programs.find("python3") != nil,
      "needs python3, and the right to make network namespaces: run as root")
  }
}
