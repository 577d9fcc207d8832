import ArgumentParser
import FinDoctor
import Glibc

/// Runs a command, stops it at its exit, and examines the sockets that it holds and leaves behind.
struct CommandRun {
  private let command: [String]
  private let checks: CheckCommand

  init(_ command: [String], checks: CheckCommand) {
    self.command = command
    self.checks = checks
  }

  func look() throws -> CheckCommand.Look {
    guard Self.isRunnable(command[0]) else { throw failure("there is no command \(visible(command[0]))") }
    guard var trace = CommandTrace(command) else { throw failure("the command could not be started") }
    let pid = trace.pid
    var picture: Census?
    let status = try trace.awaitEnd {
      picture = try checks.takeCensus()
      // The ledger that it publishes disappears with the process.
      picture?.readLedgers(of: [pid])
    }
    var after = try checks.takeCensus()
    let children = Self.children()
    var diagnosis = checks.diagnosisOptions
    // A process that has ended holds nothing on purpose: its declarations are ignored.
    diagnosis.heedsPurposes = false
    // Without a picture of the end, what its children hold can still be seen.
    let atEnd = picture ?? Census()
    var findings = Diagnosis.leftovers(of: pid, atEnd: atEnd, after: after, children: children, diagnosis)
    if findings.contains(where: { $0.id == .orphans }) {
      // Data that is merely in flight arrives soon.
      TimeSpan(milliseconds: 500).pass()
      after = try checks.takeCensus()
      findings = Diagnosis.leftovers(of: pid, atEnd: atEnd, after: after, children: children, diagnosis)
    }
    var look = CheckCommand.Look(findings: findings, census: after, commandStatus: status)
    if picture == nil {
      look.hidden.append(
        trace.isTraced
          ? "the command was killed before its end could be seen: the sockets it held then are unknown"
          : "the command could not be traced (ptrace is denied, or fin is itself traced): the sockets it held at its "
            + "end are unknown")
    } else if atEnd.holders.process(pid)?.isReadable != true {
      look.hidden.append("the descriptors of the command may not be read: the sockets it held at its end are unknown")
    }
    let count = Diagnosis.socketCount(of: pid, in: atEnd)
    if count > 0 {
      look.complaints.append("\(Phrase.noun(count, "socket was", "sockets were")) open when the command ended")
    }
    if !children.isEmpty {
      let pids = children.sorted().map { "pid \($0)" }.joined(separator: ", ")
      look.complaints.append("the command left these processes running: \(pids)")
    }
    return look
  }

  /// The processes that the command left behind. They are children of this process by now.
  private static func children() -> Set<Int32> {
    var found: Set<Int32> = []
    var toVisit = [getpid()]
    while let pid = toVisit.popLast() {
      for child in (TextFile.read("/proc/\(pid)/task/\(pid)/children") ?? "").split(separator: " ") {
        // The helpers of fin itself.
        guard let number = Int32(child), number != Helpers.source, found.insert(number).inserted else { continue }
        toVisit.append(number)
      }
    }
    return found
  }

  private static func isRunnable(_ name: String) -> Bool {
    if name.contains("/") { return unsafe access(name, X_OK) == 0 }
    guard let path = unsafe getenv("PATH") else { return false }
    return unsafe String(cString: path).split(separator: ":").contains { unsafe access("\($0)/\(name)", X_OK) == 0 }
  }

  private func failure(_ sentence: String) -> ExitCode {
    ExitStatus.unavailable.because(sentence)
  }
}
