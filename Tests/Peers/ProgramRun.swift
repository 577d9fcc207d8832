import Glibc

/// A program that has run to its end: how it ended, and all that it wrote.
public struct ProgramRun: Sendable {
  public let exit: Child.Exit
  public let output: String
  public let errors: String
}

extension Child {
  /// Runs a program to its end, with an empty standard input. A thread of its own waits for it, in the network
  /// namespace of the calling thread.
  ///
  /// - Parameters:
  ///   - environment: The changes to the environment of this process; nil removes a variable.
  ///   - limit: The time after which it is killed.
  /// - Throws: `RigError` when it cannot be started; `TimedOut`.
  public static func run(
    _ path: String, _ arguments: [String] = [], environment: [String: String?] = [:],
    within limit: Duration = .seconds(120)
  ) async throws -> ProgramRun {
    try await withCheckedThrowingContinuation { continuation in
      _ = onThread {
        continuation.resume(
          with: Result { try collect(path, arguments, changed(environment), until: .after(limit), limit) })
      }
    }
  }

  private static func collect(
    _ path: String, _ arguments: [String], _ environment: [String: String], until deadline: Deadline, _ limit: Duration
  ) throws -> ProgramRun {
    let pipe = try Pipe()
    let child = try spawn(path, arguments, environment: environment, errorsTo: pipe.writing.number)
    defer { child.end() }
    child.closeInput()
    let errors = pipe.keepReading()
    var texts: (output: [UInt8], errors: [UInt8]) = ([], [])
    var isOpen = (output: true, errors: true)
    while isOpen.output || isOpen.errors {
      let numbers = [isOpen.output ? child.outputNumber : -1, isOpen.errors ? errors.number : -1]
      let ready = waitReadable(numbers, until: deadline)
      if ready[0] { isOpen.output = try child.readOutput(appendingTo: &texts.output) }
      if ready[1] {
        let more = try errors.read(upTo: 65_536) ?? []
        texts.errors += more
        isOpen.errors = !more.isEmpty
      }
      if !ready.contains(true), deadline.hasPassed { throw TimedOut("output of \(path)", after: limit) }
    }
    return ProgramRun(
      exit: try child.wait(within: limit), output: String(decoding: texts.output, as: UTF8.self),
      errors: String(decoding: texts.errors, as: UTF8.self))
  }

  private static func changed(_ changes: [String: String?]) -> [String: String] {
    var environment: [String: String] = [:]
    for line in environmentLines() {
      let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      if parts.count == 2 { environment[String(parts[0])] = String(parts[1]) }
    }
    for (name, value) in changes { environment[name] = value }
    return environment
  }
}
