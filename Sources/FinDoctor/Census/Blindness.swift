/// What the census could not see. Whoever reports what it saw also says this.
public struct Blindness: Hashable, Sendable {
  /// Processes whose descriptors may not be read, for each user that they run as.
  public var unreadableProcesses: [UInt32: Int] = [:]
  /// Network namespaces whose sockets may not be read.
  public var skippedNamespaces = 0
  /// Network namespaces that ended, with all their sockets, before they were read.
  public var vanishedNamespaces = 0
  /// Answers of the kernel that were cut, too long or made no sense, and of which nothing was taken.
  public var damagedAnswers = 0
  /// Dumps during which the kernel's tables changed so that something may be missing.
  public var interruptedDumps = 0
  /// Dumps that the kernel refused or broke off, in words.
  public var refusedDumps: [String] = []
  /// Processes that ended while they were read.
  public var vanishedProcesses = 0
  /// Ledgers of programs, or parts of them, that could not be read, one sentence each.
  public var unreadLedgers: [String] = []

  /// How many times the kernel threw away the news of sockets that ended, because it came faster than it was heard.
  public var lostEnds = 0

  /// Nothing was hidden.
  public init() {}

  /// How many processes could not be read.
  public var unreadableProcessCount: Int { unreadableProcesses.values.reduce(0, +) }

  /// Network namespaces that were left out, because only the own one was asked for. No gap: it was meant so.
  public var namespacesLeftOut = 0

  /// Whether a socket that was not found may exist all the same.
  public var hidesSockets: Bool {
    skippedNamespaces > 0 || namespacesLeftOut > 0 || damagedAnswers > 0 || interruptedDumps > 0
      || !refusedDumps.isEmpty
  }

  /// One sentence for each thing that was hidden; empty when nothing was. Processes and namespaces that ended are no gap.
  public var sentences: [String] {
    var all: [String] = []
    if unreadableProcessCount > 0 {
      let users = unreadableProcesses.sorted { $0.key < $1.key }.map { "\($0.value) of user \($0.key)" }
      let some = users.prefix(4).joined(separator: ", ") + (users.count > 4 ? ", and of others" : "")
      all.append(
        "\(Self.count(unreadableProcessCount, "process", "processes")) could not be read (\(some)): "
          + "the owners of their sockets are unknown")
    }
    if skippedNamespaces > 0 {
      all.append("\(Self.count(skippedNamespaces, "network namespace", "network namespaces")) could not be entered")
    }
    if damagedAnswers > 0 {
      all.append("\(Self.count(damagedAnswers, "answer", "answers")) of the kernel made no sense and were left out")
    }
    if interruptedDumps > 0 {
      all.append("the kernel's tables changed during \(Self.count(interruptedDumps, "dump", "dumps"))")
    }
    if lostEnds > 0 {
      all.append(
        "connections ended faster than they were heard of, \(Self.count(lostEnds, "time", "times")): what was closed "
          + "unread is counted too low")
    }
    return all + refusedDumps + unreadLedgers
  }

  private static func count(_ number: Int, _ one: String, _ many: String) -> String {
    "\(number) \(number == 1 ? one : many)"
  }
}
