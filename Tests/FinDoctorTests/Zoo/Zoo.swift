import FinDoctor
import Glibc
import Peers
import Testing

/// Real programs in a network namespace and a folder of their own. `with` ends them and removes the folder.
final class Zoo {
  let network: NetworkNamespace
  let folder: String
  private var children: [Child] = []

  static func with<R>(_ body: (Zoo) throws -> R) throws -> R {
    let zoo = try Zoo()
    defer { zoo.end() }
    return try body(zoo)
  }

  private init() throws {
    network = try NetworkNamespace()
    var name = Array("/tmp/fin-zoo-XXXXXX".utf8CString)
    guard unsafe mkdtemp(&name) != nil else { throw RigError("mkdtemp") }
    folder = String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    // Workers that run as another user must reach their files.
    unsafe chmod(folder, 0o755)
  }

  private func end() {
    for child in children.reversed() {
      child.signal(SIGTERM)
      child.signal(SIGCONT)
      _ = try? child.wait(within: .seconds(5))
      child.end()
    }
    _ = try? withChild("/bin/rm", ["-rf", folder]) { try $0.wait() }
  }

  /// Starts a program, found on `PATH`.
  @discardableResult
  func start(_ name: String, _ arguments: [String]) throws -> Child {
    try start(path: #require(Programs.find(name)), arguments)
  }

  /// Starts the program of a file.
  @discardableResult
  func start(path: String, _ arguments: [String]) throws -> Child {
    let child = try network.run { try Child.spawn(path, arguments) }
    children.append(child)
    return child
  }

  /// Starts a script of the folder `Scenes`, and waits until it is ready.
  @discardableResult
  func script(_ name: String, _ arguments: String...) throws -> Child {
    let scene = try Scene.begin(name, arguments, in: network)
    children.append(scene.program)
    return scene.program
  }

  /// The path of a program of the folder `Programs`.
  static func program(_ name: String) -> String {
    #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
      + "/Programs/\(name)"
  }

  /// Runs a program to its end, and expects success.
  func run(_ name: String, _ arguments: String...) throws {
    let path = try #require(Programs.find(name))
    let exit = try network.run { try withChild(path, arguments) { try $0.wait() } }
    guard exit == .exited(0) else { throw RigError("\(name) \(arguments): \(exit)") }
  }

  /// Writes a file into the folder, and returns its path.
  func write(_ name: String, _ text: String) throws -> String {
    let path = "\(folder)/\(name)"
    guard let file = unsafe fopen(path, "w") else { throw RigError("open \(path)") }
    unsafe fputs(text, file)
    unsafe fclose(file)
    return path
  }

  /// A census of the namespace.
  func census() throws -> Census {
    var options = Census.Options()
    options.readsAllNamespaces = false
    return try network.run { try Census.take(options) }
  }

  /// The processes that hold a listener on a port.
  func listening(on port: UInt16) throws -> Set<Int32> {
    let census = try census()
    let listeners = census.sockets.filter { $0.state == .listen && $0.localPort == port }
    return Set(listeners.flatMap { census.holders(of: $0).map(\.pid) })
  }

  /// Waits until a program listens on a port.
  func awaitListener(on port: UInt16) throws {
    try eventually(within: .seconds(60), "a listener on port \(port)") { try !listening(on: port).isEmpty }
  }

  func findings(_ thresholds: Thresholds = Thresholds(), since earlier: Census? = nil) throws -> [Finding] {
    var census = try census()
    var options = Diagnosis.Options()
    options.thresholds = thresholds
    options.earlier = earlier
    options.passingBefore = earlier.map { Diagnosis.passing(in: $0) }
    Diagnosis.prepare(&census, &options)
    return Diagnosis.findings(in: census, options)
  }

  /// The seconds for which every program is held under load, as `Tests/zoo --healthy` sets them; nil in the test suite,
  /// where hundreds of requests must do.
  private static let secondsOfLoad = unsafe getenv("FIN_ZOO_SECONDS").flatMap { unsafe Int(String(cString: $0)) }

  /// The findings above information that are true of a healthy program under this load, each with its reason.
  private static let explained: [FindingID: String] = [
    .timeWaitChurn: "Explained: the load's own clients open and close that many connections from one address."
  ]

  /// Expects no finding above information, about any program, while a load runs and after hundreds of its requests.
  /// Then ends the load.
  func expectHealthy(under load: Child, _ what: String) throws {
    var thresholds = Thresholds()
    // Beside other tests a healthy server may not get the processor for some seconds.
    if Self.secondsOfLoad == nil { thresholds.accept = .seconds(60) }
    let earlier = try census()
    let end = ContinuousClock.now + .seconds(Self.secondsOfLoad ?? 0)
    var (snapshots, count) = (0, 0)
    var named: Set<FindingID> = []
    while snapshots < 3 || ContinuousClock.now < end {
      try load.write("more\n")
      #expect(try load.readLine(within: .seconds(90)) == "done")
      // The limit of descriptors is also that of programs which have no socket here: they belong to other tests.
      let census = try census()
      let own = Set(census.sockets.lazy.flatMap { census.holders(of: $0).map(\.pid) })
      let found = try findings(thresholds, since: earlier).filter { finding in
        finding.severity > .info && (finding.id != .descriptorLimit || finding.who?.pid.map(own.contains) == true)
      }
      let unexplained = found.filter { Self.explained[$0.id] == nil }
      #expect(unexplained.isEmpty, "\(what): \(unexplained.map { "\($0.id) \($0.sentence)" })")
      for finding in found where named.insert(finding.id).inserted {
        print("zoo: \(what): \(finding.id) \(finding.sentence) \(Self.explained[finding.id] ?? "Not explained.")")
      }
      (snapshots, count) = (snapshots + 1, count + unexplained.count)
    }
    if let seconds = Self.secondsOfLoad {
      print("zoo: \(what): \(seconds) s under load, \(snapshots) snapshots, \(count) findings above information")
    }
    load.closeInput()
    _ = try load.wait()
  }

  /// Polls until there is a finding about a process, and checks that it has the name that `ps` and `ss` give.
  func awaitFinding(
    _ id: FindingID, of pid: Int32, _ thresholds: Thresholds = .eager,
    where condition: (Finding) -> Bool = { _ in true }
  ) throws -> Finding {
    var found: Finding?
    try eventually(within: .seconds(120), "finding \(id.rawValue) of process \(pid)") {
      found = try findings(thresholds).first { $0.id == id && $0.who?.pid == pid && condition($0) }
      return found != nil
    }
    let finding = try #require(found)
    let name = try readText("/proc/\(pid)/comm").split(separator: "\n").first.map(String.init)
    #expect(finding.who?.program == name)
    return finding
  }

  /// Polls until there is a finding about a program of this name.
  func awaitFinding(
    _ id: FindingID, about program: String, _ thresholds: Thresholds = Thresholds(),
    where condition: (Finding) -> Bool = { _ in true }
  ) throws -> Finding {
    var found: Finding?
    try eventually(within: .seconds(120), "finding \(id.rawValue) about \(program)") {
      found = try findings(thresholds).first { $0.id == id && $0.who?.program == program && condition($0) }
      return found != nil
    }
    return try #require(found)
  }
}

extension Finding {
  /// Whether the cause contains these words. On a busy machine the epoll sets and threads of a program may not be read
  /// in time; then the cause says that, and a later census has them.
  func says(_ words: String) -> Bool { why?.contains(words) == true }
}

extension Trait where Self == ConditionTrait {
  /// Skips a test on a machine without a program.
  static func needsProgram(_ name: String) -> Self {
    .enabled(if: Programs.find(name) != nil, "needs \(name)")
  }

  /// Skips a test on a machine whose Python lacks a module.
  static func needsPythonModule(_ name: String) -> Self {
    .enabled(if: hasPythonModule(name), "needs the module \(name) of Python")
  }

  private static func hasPythonModule(_ name: String) -> Bool {
    guard let python = Programs.find("python3") else { return false }
    let program = "import importlib.util as u; exit(u.find_spec('\(name)') is None)"
    return (try? withChild(python, ["-c", program]) { try $0.wait() }) == .exited(0)
  }
}
