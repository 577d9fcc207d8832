import FinDoctor
import Peers
import Testing

/// A small program that has created a situation in its own network namespace and keeps it during the test.
struct Scene {
  let program: Child
  /// The words that it printed after "ready".
  let words: [String]
  let network: NetworkNamespace

  var pid: Int32 { program.number }
  func number(_ place: Int) throws -> Int { try #require(Int(words[place])) }

  /// Starts a program of the folder `Scenes`, runs `body` once its situation is ready, and ends the program.
  static func with<R>(
    _ program: String, _ arguments: String..., in network: NetworkNamespace? = nil, _ body: (Scene) throws -> R
  ) throws -> R {
    let scene = try begin(program, arguments, in: network)
    defer { scene.end() }
    return try body(scene)
  }

  static func begin(_ program: String, _ arguments: [String], in network: NetworkNamespace? = nil) throws -> Scene {
    let network = try network ?? NetworkNamespace()
    let python = try #require(Programs.find("python3"))
    let path = folder + program + ".py"
    let child = try network.run { try Child.spawn(python, ["-B", path] + arguments) }
    let line = try child.readLine(within: .seconds(60)) ?? ""
    let words = line.split(separator: " ").map(String.init)
    guard words.first == "ready" else {
      child.end()
      throw RigError("\(program) \(arguments) said: \(line)")
    }
    return Scene(program: child, words: Array(words.dropFirst()), network: network)
  }

  func end() {
    program.closeInput()
    _ = try? program.wait(within: .seconds(10))
    program.end()
  }

  private static let folder =
    #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(2)
    .joined(separator: "/") + "/Scenes/"

  /// A census of this scene's network namespace, taken inside it.
  func census() throws -> Census {
    var options = Census.Options()
    options.readsAllNamespaces = false
    return try network.run { try Census.take(options) }
  }

  /// The findings about the program of the scene, or about process `pid`.
  func findings(
    _ thresholds: Thresholds = .eager, of pid: Int32? = nil, since earlier: Census? = nil, between: [Census] = [],
    closed: [InetSocket] = []
  ) throws -> [Finding] {
    try allFindings(thresholds, since: earlier, between: between, closed: closed).filter {
      $0.who?.pid == pid ?? self.pid
    }
  }

  /// All findings in this network namespace.
  func allFindings(
    _ thresholds: Thresholds = .eager, since earlier: Census? = nil, between: [Census] = [],
    closed: [InetSocket] = [], change: (inout Census) -> Void = { _ in }
  ) throws -> [Finding] {
    var census = try census()
    change(&census)
    var options = Diagnosis.Options()
    options.thresholds = thresholds
    options.earlier = earlier
    options.between = between
    options.closed = ClosedUnread(closed)
    Diagnosis.prepare(&census, &options)
    return Diagnosis.findings(in: census, options)
  }

  /// Polls until there is a finding that meets a condition, because the kernel's timers take seconds.
  func awaitFinding(
    _ id: FindingID, _ thresholds: Thresholds = .eager, of pid: Int32? = nil, since earlier: Census? = nil,
    between: [Census] = [], within limit: Duration = .seconds(120), where condition: (Finding) -> Bool = { _ in true }
  ) throws -> Finding {
    var found: Finding?
    try eventually(within: limit, "finding \(id.rawValue)") {
      found = try findings(thresholds, of: pid, since: earlier, between: between).first { $0.id == id && condition($0) }
      return found != nil
    }
    return try #require(found)
  }
}

extension Thresholds {
  /// The default thresholds without minimum ages, so that a test need not sleep for a minute. No finding becomes more
  /// severe by its age alone, so that a slow machine finds the same.
  static var eager: Thresholds {
    var all = patient
    all.closeWait = .zero
    all.finWait2 = .zero
    all.window = .zero
    all.unacknowledged = .zero
    all.accept = .zero
    return all
  }

  /// The default thresholds with ages of an hour, so that everything is young even on a slow machine.
  static var patient: Thresholds {
    var all = Thresholds()
    for time in [
      \Thresholds.closeWait, \.closeWaitLong, \.finWait2, \.finWait2Long, \.window, \.windowLong, \.unacknowledged,
      \.accept, \.acceptLong,
    ] {
      all[keyPath: time] = .seconds(3600)
    }
    return all
  }
}

extension [Finding] {
  func only(_ id: FindingID) throws -> Finding {
    let all = filter { $0.id == id }
    #expect(all.count == 1, "\(all.map(\.sentence))")
    return try #require(all.first)
  }

  var ids: Set<FindingID> { Set(map(\.id)) }
}

extension Finding {
  subscript(field: String) -> String? { evidence.first { $0.field == field }?.value }
}

extension Trait where Self == ConditionTrait {
  static var needsScenes: Self {
    .enabled(
      if: Privileges.canMakeNamespaces && Programs.find("python3") != nil,
      "needs python3, and the right to make network namespaces: run as root")
  }
  static var needsTUN: Self {
    .enabled(if: Privileges.canUseTUN, "needs a TUN device in a network namespace: run as root, with /dev/net/tun")
  }
}
