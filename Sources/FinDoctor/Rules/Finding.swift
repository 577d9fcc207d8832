/// A socket, or a group of them, that does not end as it should: who holds it, since when, why, and how to fix it.
///
/// All texts in it are safe to print: text from other programs has been made visible.
public struct Finding: Sendable {
  /// The kind of finding.
  public var id: FindingID
  /// The severity of the finding.
  public var severity: Severity
  /// The problem, as one sentence.
  public var sentence: String
  /// The number of sockets, descriptors or processes in the finding.
  public var count: Int
  /// The owner of the sockets; nil when the finding is about the machine.
  public var who: ProcessOwner?
  /// How long the oldest socket has been in this condition; nil when no time applies.
  public var since: AgeBounds?
  /// The places in the program that opened the sockets; nil where the program publishes no ledger.
  public var origin: OpenSites?
  /// The kernel's fields that the finding was read from.
  public var evidence: [Evidence]
  /// The facts that the sentence rests on, as they were read. ``confidence`` follows from them.
  public var facts: [Reading]
  /// The reason, as far as queues, epoll sets and threads show it.
  public var why: String?
  /// The remedy.
  public var fix: Fix
  /// The certainty of the finding, with the doubt that remains.
  public var confidence: Confidence { claim.confidence(facts) }
  /// The used part of a limit, from 0 to 1, where the danger is to reach that limit.
  public var share: Double?
  /// The sockets in the finding.
  package var sockets: [SocketReference]
  /// The claim of the rule that the sentence makes.
  let claim: Claim
  /// The addresses in the finding, to join findings that explain each other.
  var links = Links()

  /// The remedy follows from the finding and the owner's language, the confidence from the claim and the facts.
  init(
    _ id: FindingID, _ severity: Severity, _ claim: Claim, count: Int, who: ProcessOwner? = nil,
    since: AgeBounds? = nil, sentence: String, why: String? = nil, facts: [Reading], evidence: [Evidence] = [],
    sockets: [SocketReference] = [], share: Double? = nil
  ) {
    self.id = id
    self.claim = claim
    self.facts = facts
    self.sockets = sockets
    self.severity = severity
    self.count = count
    self.who = who
    self.since = since
    self.sentence = sentence
    self.why = why
    self.evidence = evidence
    self.share = share
    fix = Fix(id, in: who?.language ?? .unknown, program: who?.program)
  }

  /// A field of the kernel and its value.
  public struct Evidence: Hashable, Sendable {
    /// The field: `Recv-Q`, `tcpi_last_ack_recv`.
    public var field: String
    /// Its value, with its unit.
    public var value: String

    /// Creates a piece of evidence.
    package init(_ field: String, _ value: String) {
      self.field = field
      self.value = value
    }
  }

  /// The confidence in a finding.
  public enum Confidence: Hashable, Sendable {
    /// The fields leave no other explanation.
    case certain
    /// Almost always true; the text names the exception.
    case likely(String)
    /// May be otherwise; the text names what could not be seen.
    case possible(String)

    /// The confidence as a word: `certain`, `likely`, `possible`.
    public var word: String {
      switch self {
      case .certain: "certain"
      case .likely: "likely"
      case .possible: "possible"
      }
    }
    /// The other explanation that remains; nil for a certain finding.
    public var doubt: String? {
      switch self {
      case .certain: nil
      case .likely(let doubt), .possible(let doubt): doubt
      }
    }
  }

  /// The addresses in a finding, in the terms in which other findings name the same sockets.
  struct Links: Hashable, Sendable {
    /// Listeners of this machine in whose queue clients wait, or fail to get in.
    var listeners: Set<Endpoint> = []
    /// The remote ends of the connections.
    var remotes: Set<Endpoint> = []
    /// The local ends of the connections.
    var locals: Set<Endpoint> = []
    /// Whether a listener's program has hardly a descriptor left, and may have paused accept by design.
    var isPaused = false
  }

  /// An address and a port of one network namespace. Two namespaces may use one address independently.
  struct Endpoint: Hashable, Sendable {
    var address: AddressBits
    var port: UInt16
    /// An index in ``Census/namespaces``.
    var namespace: UInt16 = 0

    /// Whether it is a loopback address, 127.0.0.0/8 or `::1`.
    var isLoopback: Bool {
      [false, true].contains { NetworkAddress(address, isIPv6: $0).isLoopback }
    }
  }
}

/// The owner of sockets.
public struct ProcessOwner: Hashable, Sendable {
  /// The program's name; nil when the process could not be read.
  public var program: String?
  /// For an interpreter, what it runs: the file name of a script, or the name of a module.
  public var script: String?
  /// The process; nil when it could not be read.
  public var pid: Int32?
  /// The user id.
  public var user: UInt32?
  /// The unit of the service manager.
  public var unit: String?
  /// The container.
  public var container: String?
  /// The descriptors of the sockets, ascending.
  public var descriptors: [Int32]
  /// Other processes that hold the same sockets.
  public var others: [Int32]
  /// The language that the program is probably written in.
  public var language: Language

  /// Creates an owner; every part may be unknown.
  package init(
    program: String? = nil, script: String? = nil, pid: Int32? = nil, user: UInt32? = nil, unit: String? = nil,
    container: String? = nil, descriptors: [Int32] = [], others: [Int32] = [], language: Language = .unknown
  ) {
    self.program = program
    self.script = script
    self.pid = pid
    self.user = user
    self.unit = unit
    self.container = container
    self.descriptors = descriptors
    self.others = others
    self.language = language
  }

  /// The name for use in a sentence: `api (pid 812)`, `python3.11 api.py (pid 812)`, `a program of user 1000`. A
  /// process whose descriptors were read, but whose program was not, has ended in between.
  public var name: String {
    if let program, let pid { return "\(program)\(script.map { " " + $0 } ?? "") (pid \(pid))" }
    if let pid { return "a program that has ended (pid \(pid))" }
    if let unit { return "a program of \(unit)" }
    if let user { return "a program of user \(user)" }
    return "a program that could not be read"
  }

  /// The name without the process id, for the second mention in a sentence.
  public var shortName: String { program ?? "it" }

  /// The descriptors as ranges: `3, 7-66`, with at most `limit` ranges.
  public func descriptorRanges(limit: Int = 8) -> String {
    var ranges: [ClosedRange<Int32>] = []
    for number in descriptors {
      if let last = ranges.last, last.upperBound + 1 == number {
        ranges[ranges.count - 1] = last.lowerBound...number
      } else if ranges.last?.contains(number) != true {
        ranges.append(number...number)
      }
    }
    let shown = ranges.prefix(limit).map {
      $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)"
    }
    return shown.joined(separator: ", ") + (ranges.count > limit ? ", …" : "")
  }
}
