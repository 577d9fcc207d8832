/// The census gaps: what could not be read. A report on a census also shows its gaps.
public struct CensusGaps: Hashable, Sendable {
  /// The number of processes whose descriptors may not be read, for each user that they run as.
  public var unreadableProcesses: [UInt32: Int] = [:]
  /// The number of sockets that a program holds and whose holder could not be seen: missing rights, hidden processes,
  /// another PID namespace. Sockets that the kernel itself holds are not counted.
  public var unseenHolders = 0
  /// Whether some processes of the machine are not listed at all: in a PID namespace of its own, or with `hidepid`.
  package var hidesProcesses = false
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

  /// A reading of a process that did not answer: its memory, its locks or its files kept the kernel waiting.
  public enum Unanswered: Int, Hashable, Sendable, Comparable {
    /// The details of a socket that the process keeps locked.
    case sockets
    /// The command line.
    case commandLine
    /// The entries of its epoll instances.
    case epollSets
    /// The system calls in which its threads wait, and the descriptors that they poll.
    case threads
    /// The files that its io_uring instances hold.
    case rings
    /// The sockets that it publishes.
    case ledger
    /// The executable, which shows the language that it is written in.
    case executable

    public static func < (left: Unanswered, right: Unanswered) -> Bool { left.rawValue < right.rawValue }

    fileprivate var words: String {
      switch self {
      case .sockets: "the times and sizes of its locked sockets"
      case .commandLine: "its command line"
      case .epollSets: "what its epoll sets watch"
      case .threads: "what its threads wait for"
      case .rings: "what its io_uring instances hold"
      case .ledger: "what it publishes about its sockets"
      case .executable: "the language of its program"
      }
    }
  }

  /// The processes that did not answer, with the readings that are missing.
  public var unanswered: [Int32: Set<Unanswered>] = [:]
  /// Those of them that were not asked, because too many other ones did not answer.
  public var unasked: Set<Int32> = []
  /// The number of sockets that are listed without times and sizes, because a program keeps a socket locked.
  public var socketsWithoutDetails = 0
  /// The inodes of sockets that a program keeps locked.
  package var lockedSockets: [UInt32] = []
  /// The readings that were longer than their limit, one sentence each.
  public var cutReadings: [String] = []

  /// The number of times that the kernel dropped reports of destroyed sockets, because they came faster than they
  /// were read.
  package var lostEnds = 0
  /// The number of connections closed with unread data whose ports are not counted apart, because there were too many.
  package var uncountedEnds = 0

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
    if unseenHolders > 0 {
      let cause = "/proc is mounted with hidepid, or this is a PID namespace of its own"
      let why = hidesProcesses ? "some processes may not be listed (\(cause)): " : ""
      all.append(
        why + "\(Self.count(unseenHolders, "socket", "sockets")) \(unseenHolders == 1 ? "is" : "are") held by "
          + "processes that could not be seen")
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
    if uncountedEnds > 0 {
      all.append(
        "connections were closed with unread data on more than \(Budget.closedPorts) ports: those of "
          + "\(Self.count(uncountedEnds, "connection", "connections")) are not reported")
    }
    if socketsWithoutDetails > 0 {
      all.append(
        "\(Self.count(socketsWithoutDetails, "socket is", "sockets are")) listed without times and sizes: a program "
          + "keeps a socket locked")
    }
    let silent = unanswered.sorted { $0.key < $1.key }
    for (pid, readings) in silent.prefix(Self.mostSentences) {
      let words = readings.sorted().map(\.words)
      let last = words.last ?? ""
      let list = words.count > 1 ? words.dropLast().joined(separator: ", ") + " and " + last : last
      let verb = words.count > 1 || readings.first == .sockets ? "are" : "is"
      let what = unasked.contains(pid) ? "was not asked, because others did not answer" : "did not answer"
      all.append("process \(pid) \(what): \(list) \(verb) unknown")
    }
    if silent.count > Self.mostSentences {
      all.append("\(Self.count(silent.count - Self.mostSentences, "more process", "more processes")) did not answer")
    }
    return all + cutReadings + refusedDumps + unreadLedgers
  }

  /// The processes that are named each; beyond them, their number is enough.
  private static let mostSentences = 16

  private static func count(_ number: Int, _ one: String, _ many: String) -> String {
    "\(number) \(number == 1 ? one : many)"
  }
}
