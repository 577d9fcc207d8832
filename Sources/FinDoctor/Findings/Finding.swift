/// One thing that is not as it should be: who, since when, why, and what to change.
///
/// All texts in it may be printed: what came from other programs was made visible.
public struct Finding: Sendable {
  /// Which of the catalogue's.
  public var id: FindingID
  /// How bad it is.
  public var severity: Severity
  /// What is the matter, as one sentence.
  public var sentence: String
  /// How many sockets, descriptors or processes it is about.
  public var count: Int
  /// Whose they are; nil when it is about the machine.
  public var who: Who?
  /// How long the oldest has been so; nil when no time belongs to it.
  public var since: Since?
  /// Where in the program they were opened; nil where it publishes no ledger.
  public var origin: Origin?
  /// What was read from the kernel.
  public var evidence: [Evidence]
  /// Why it is so, as far as queues, epoll sets and threads tell.
  public var why: String?
  /// What to change.
  public var fix: Fix
  /// How sure it is.
  public var confidence: Confidence
  /// Which part of a limit is used up, from 0 to 1, where a limit is what will break.
  public var share: Double?
  /// The addresses it is about, for joining findings that explain each other.
  var links = Links()

  /// From its parts.
  init(
    _ id: FindingID, _ severity: Severity, count: Int, who: Who? = nil, since: Since? = nil, sentence: String,
    why: String? = nil, evidence: [Evidence] = [], confidence: Confidence = .certain, share: Double? = nil
  ) {
    self.id = id
    self.severity = severity
    self.count = count
    self.who = who
    self.since = since
    self.sentence = sentence
    self.why = why
    self.evidence = evidence
    self.confidence = confidence
    self.share = share
    fix = Fix(id, in: who?.language ?? .unknown)
  }

  /// A field of the kernel, and what it said.
  public struct Evidence: Hashable, Sendable {
    /// The field: `Recv-Q`, `tcpi_last_ack_recv`.
    public var field: String
    /// Its value, with its unit.
    public var value: String

    /// Both.
    public init(_ field: String, _ value: String) {
      self.field = field
      self.value = value
    }
  }

  /// How sure a finding is.
  public enum Confidence: Hashable, Sendable {
    /// The fields leave no other explanation.
    case certain
    /// Almost always so; the text says when it is not.
    case likely(String)
    /// Could be otherwise; the text says what could not be seen.
    case possible(String)

    /// `certain`, `likely`, `possible`.
    public var word: String {
      switch self {
      case .certain: "certain"
      case .likely: "likely"
      case .possible: "possible"
      }
    }
    /// What speaks against it; nil when nothing does.
    public var doubt: String? {
      switch self {
      case .certain: nil
      case .likely(let doubt), .possible(let doubt): doubt
      }
    }
  }

  /// What a finding is about, in the terms in which others can name the same thing.
  struct Links: Hashable, Sendable {
    /// Listeners of this machine: where clients wait, or try to.
    var listeners: Set<Endpoint> = []
    /// Where connections lead to.
    var remotes: Set<Endpoint> = []
    /// The own ends of the connections.
    var locals: Set<Endpoint> = []
  }

  /// An address and a port.
  struct Endpoint: Hashable, Sendable {
    var address: AddressBits
    var port: UInt16
  }
}

/// Whose sockets they are.
public struct Who: Hashable, Sendable {
  /// The program's name; nil when the process could not be read.
  public var program: String?
  /// What the program runs, if it is an interpreter: the file name of a script, or the name of a module.
  public var script: String?
  /// The process; nil when it could not be read.
  public var pid: Int32?
  /// The user.
  public var user: UInt32?
  /// The unit of the service manager.
  public var unit: String?
  /// The container.
  public var container: String?
  /// The descriptors it is about, ascending.
  public var descriptors: [Int32]
  /// Other processes that hold the same sockets.
  public var others: [Int32]
  /// What the program is probably written in.
  public var language: Language

  /// From its parts.
  public init(
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

  /// How a sentence names it: `api (pid 812)`, `python3.11 api.py (pid 812)`, `a program of user 1000`. A process whose
  /// descriptors were read, and whose program was not, has ended in between.
  public var name: String {
    if let program, let pid { return "\(program)\(script.map { " " + $0 } ?? "") (pid \(pid))" }
    if let pid { return "a program that has ended (pid \(pid))" }
    if let unit { return "a program of \(unit)" }
    if let user { return "a program of user \(user)" }
    return "a program that could not be read"
  }

  /// The name without the number, for the second mention in a sentence.
  public var shortName: String { program ?? "it" }

  /// The descriptors as ranges: `3, 7-66`, at most so many of them.
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
