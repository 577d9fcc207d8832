import Glibc
import Peers

/// The result of running the `fin` that was built with these tests, with pipes instead of a terminal.
struct Fin {
  /// The exit status; nil if a signal ended it.
  let status: Int32?
  let output: String
  let complaints: String

  var lines: [Substring] { output.split(separator: "\n") }

  static func run(_ arguments: String..., columns: Int? = nil) async throws -> Fin {
    try await run(arguments, columns: columns)
  }

  /// - Parameter columns: The value of `COLUMNS`; nil for none.
  static func run(_ arguments: [String], columns: Int? = nil) async throws -> Fin {
    // The one in the folder of this test program.
    try await run("fin", arguments, columns)
  }

  /// Runs a script of the shell, in which `$0` is `fin`.
  static func shell(_ script: String) async throws -> Fin { try await run("sh", ["-c", script, path]) }

  /// Runs another program.
  static func run(program: String, _ arguments: [String]) async throws -> Fin { try await run(program, arguments) }

  /// Runs `fin` as another user, without capabilities.
  static func run(as user: Int, _ arguments: String...) async throws -> Fin { try await run(as: user, arguments) }

  static func run(as user: Int, _ arguments: [String]) async throws -> Fin {
    try await run("setpriv", words(as: user, arguments))
  }

  /// Runs `fin` through another program, such as `setpriv` with its arguments.
  static func run(through words: [String], _ arguments: String...) async throws -> Fin {
    try await run(through: words, arguments)
  }

  static func run(through words: [String], _ arguments: [String]) async throws -> Fin {
    try await run(words[0], Array(words.dropFirst()) + [path] + arguments)
  }

  static func words(as user: Int, _ arguments: [String]) -> [String] {
    ["--reuid", "\(user)", "--regid", "\(user)", "--clear-groups", "--inh-caps=-all", path] + arguments
  }

  private static func run(_ program: String, _ arguments: [String], _ columns: Int? = nil) async throws -> Fin {
    guard let file = program == "fin" ? path : program.hasPrefix("/") ? program : Programs.find(program) else {
      throw RigError("\(program) is not on PATH")
    }
    let run = try await Child.run(
      file, arguments,
      environment: ["PATH": "\(directory):\(inherited)", "COLUMNS": columns.map { "\($0)" }])
    var status: Int32?
    if case .exited(let code) = run.exit { status = code }
    return Fin(status: status, output: run.output, complaints: run.errors)
  }

  private static var inherited: String { unsafe getenv("PATH").map { unsafe String(cString: $0) } ?? "" }

  static var path: String { path(of: "fin") }

  /// The path of a program that was built with these tests.
  static func path(of program: String) -> String { directory + "/" + program }

  private static var directory: String {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = unsafe readlink("/proc/self/exe", &buffer, buffer.count)
    let program = String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
    return program.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
  }
}
