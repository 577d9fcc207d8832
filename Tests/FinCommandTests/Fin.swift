import Glibc
import Peers
import Subprocess

/// The `fin` that was built with these tests, run as a person would, with pipes in place of a terminal.
struct Fin {
  /// The exit status; nil if a signal ended it.
  let status: Int32?
  let output: String
  let complaints: String

  var lines: [Substring] { output.split(separator: "\n") }

  static func run(_ arguments: String...) async throws -> Fin { try await run(arguments) }

  static func run(_ arguments: [String]) async throws -> Fin {
    // Found where this test program is, whatever else of that name the machine has.
    try await run("fin", arguments)
  }

  /// As another user, without any rights of ours.
  static func run(as user: Int, _ arguments: String...) async throws -> Fin { try await run(as: user, arguments) }

  static func run(as user: Int, _ arguments: [String]) async throws -> Fin {
    try await run("setpriv", words(as: user, arguments))
  }

  static func words(as user: Int, _ arguments: [String]) -> [String] {
    ["--reuid", "\(user)", "--regid", "\(user)", "--clear-groups", "--inh-caps=-all", path] + arguments
  }

  private static func run(_ program: String, _ arguments: [String]) async throws -> Fin {
    let result = try await Subprocess.run(
      .name(program), arguments: Arguments(arguments),
      environment: .inherit.updating(["PATH": "\(directory):\(inherited)"]),
      output: .string(limit: 4 << 20), error: .string(limit: 1 << 20))
    var status: Int32?
    if case .exited(let code) = result.terminationStatus { status = code }
    return Fin(status: status, output: result.standardOutput, complaints: result.standardError)
  }

  private static var inherited: String { unsafe getenv("PATH").map { unsafe String(cString: $0) } ?? "" }

  static var path: String { directory + "/fin" }

  private static var directory: String {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = unsafe readlink("/proc/self/exe", &buffer, buffer.count)
    let program = String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
    return program.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
  }
}
