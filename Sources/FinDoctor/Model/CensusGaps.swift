/// The census gaps: what could not be read. A report on a census also shows its gaps.
public struct CensusGaps: Hashable, Sendable {
  /// The number of processes whose descriptors may not be read, for each user that they run as.
  public var unreadableProcesses: [UInt32: Int] = [:]
  /// The number of network namespaces whose sockets may not be read.
  public var skippedNamespaces = 0
  /// The number of network namespaces that ended, with all their sockets, before they were read.
  public var vanishedNamespaces = 0
  /// The number of the kernel's answers that were truncated, too long or malformed, and were not used.
  public var damagedAnswers = 0
  /// The number of dumps during which the kernel's tables changed, so that something may be missing.
  public var interruptedDumps = 0
  /// The dumps that the kernel refused or broke off, one sentence each.
  public var refusedDumps: [String] = []
  /// The number of processes that ended while they were read.
  public var vanishedProcesses = 0
  /// The ledgers of programs, or parts of them, that could not be read, one sentence each.
  public var unreadLedgers: [String] = []

  /// The number of times that the kernel dropped reports of destroyed sockets, because they came faster than they
  /// were read.
  package var lostEnds = 0

  /// No gaps.
  package init() {}

  /// The number of processes that could not be read.
  public var unreadableProcessCount: Int { unreadableProcesses.values.reduce(0, +) }

  /// The number of network namespaces that were left out, because the caller asked for its own one only. That is
  /// intended and not reported as a gap.
  package var namespacesLeftOut = 0

  /// Whether a socket that was not found may exist all the same.
  package var hidesSockets: Bool {
    skippedNamespaces > 0 || namespacesLeftOut > 0 || damagedAnswers > 0 || interruptedDumps > 0
      || !refusedDumps.isEmpty
  }

  /// One sentence for each gap; empty when there is none. Processes and namespaces that ended are no gap.
  public var sentences: [String] {
    var all: [String] = []
    if unreadableProcessCount > 0 {
      let users = unreadableProcesses.sorted { $0.key < $1.key }.map { "\($0.value) of user \($0.key)" }
      let some = users.prefix(4).joined(separator: ", ") + (users.count > 4 ? ", and of other users" : "")
      all.append(
        "\(Self.count(unreadableProcessCount, "process", "processes")) could not be read (\(some)): "
          + "the owners of their sockets are unknown")
    }
    if skippedNamespaces > 0 {
      all.append("\(Self.count(skippedNamespaces, "network namespace", "network namespaces")) could not be entered")
    }
    if damagedAnswers > 0 {
      all.append("\(Self.count(damagedAnswers, "answer", "answers")) of the kernel were malformed and left out")
    }
    if interruptedDumps > 0 {
      all.append(
        "the kernel's tables changed during \(Self.count(interruptedDumps, "dump", "dumps")): sockets may be missing")
    }
    if lostEnds > 0 {
      all.append(
        "connections ended faster than the kernel's reports could be read, \(Self.count(lostEnds, "time", "times")): "
          + "the count of those closed with data unread is too low")
    }
    return all + refusedDumps + unreadLedgers
  }

  private static func count(_ number: Int, _ one: String, _ many: String) -> String {
    "\(number) \(number == 1 ? one : many)"
  }
}
