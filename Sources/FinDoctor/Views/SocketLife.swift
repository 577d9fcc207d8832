/// The life of one socket as far as it can be known: what happened and when, who has it, and what will become of it.
///
/// It is judged from a picture of all sockets and asks the kernel nothing. Times are bounds; the truth lies between them.
///
/// ```swift
/// var census = try Census.take()
/// let socket = census.references(toInode: 4711)[0]
/// census.watch(census.holders[census.inode(of: socket)].map(\.pid))
/// let life = SocketLife(of: socket, in: census, .read(socket, in: census))
/// for event in life.events { print(event.ago, event.text) }
/// ```
public struct SocketLife: Sendable {
  /// Which socket.
  public var socket: SocketReference
  /// Its kind and its ends in one line: `tcp 127.0.0.1:8080, peer 127.0.0.1:51234`.
  public var title: String
  /// Its state: `CLOSE-WAIT`; `DETACHED` for one that no table lists.
  public var state: String
  /// What that state means, as one sentence.
  public var meaning: String
  /// How long it has been in its state.
  public var since: Since
  /// What happened, oldest first.
  public var events: [Event]
  /// What the kernel will do by itself, and when; sentences.
  public var next: [String]
  /// What will become of it if nobody does anything.
  public var outlook: String
  /// Who holds it.
  public var holders: [Holding]
  /// Who would notice that something happens on it; one sentence for each of them.
  public var attention: [String]
  /// Who is at the other end, when that is on this machine.
  public var otherEnd: OtherEnd?
  /// What else is known: queues, buffers, path, bytes, options.
  public var facts: [Fact]
  /// The findings that are about this socket, as `Diagnosis` words them.
  public var findings: [Finding]

  /// Something that happened.
  public struct Event: Hashable, Sendable {
    /// What.
    public var kind: Kind
    /// How long ago.
    public var ago: Since
    /// In words, to follow the time.
    public var text: String

    /// From its parts.
    /// - Parameters:
    ///   - kind: What.
    ///   - ago: How long ago.
    ///   - text: In words, to follow the time.
    public init(_ kind: Kind, _ ago: Since, _ text: String) {
      self.kind = kind
      self.ago = ago
      self.text = text
    }

    /// The raw values stand in JSON.
    public enum Kind: String, CaseIterable, Hashable, Sendable {
      /// The socket was made, or its connection asked for.
      case opened
      /// Both sides agreed to be connected.
      case handshake
      /// The peer asked, and was answered.
      case asked
      /// Data went out last.
      case dataSent
      /// Data came in last.
      case dataReceived
      /// The peer last acknowledged anything.
      case acknowledged
      /// What is on its way was first sent.
      case unanswered
      /// The peer closed its window.
      case windowClosed
      /// The oldest client began to wait.
      case clientWaits
      /// We sent FIN, or queued it.
      case finished
      /// The peer acknowledged our FIN.
      case finishAcknowledged
      /// The peer's FIN came.
      case peerFinished
      /// The program read the end of file.
      case endRead
      /// The program has not read what came since.
      case unread
      /// Both have finished, and the port rests.
      case rests
    }
  }

  /// A process that holds the socket.
  public struct Holding: Hashable, Sendable {
    /// The process.
    public var pid: Int32
    /// Its program, when it could be read.
    public var program: Program?
    /// Its descriptors.
    public var descriptors: [Descriptor]

    /// One descriptor.
    public struct Descriptor: Hashable, Sendable {
      /// The number.
      public var number: Int32
      /// Whether exec closes it; nil when that could not be read.
      public var closesOnExec: Bool?
      /// Whether calls on it wait; nil when that could not be read.
      public var waits: Bool?
    }
  }

  /// Who is at the other end.
  public struct OtherEnd: Hashable, Sendable {
    /// The socket.
    public var socket: SocketReference
    /// The process with the lowest number that holds it; nil when none does.
    public var pid: Int32?
    /// The descriptor there.
    public var descriptor: Int32?
    /// In words: `python3 (pid 812) fd 7, in FIN-WAIT-2`.
    public var text: String
  }

  /// Something known.
  public struct Fact: Hashable, Sendable {
    /// What it is about.
    public var topic: Topic
    /// In words.
    public var text: String

    /// What facts are about. The raw values stand in JSON.
    public enum Topic: String, CaseIterable, Hashable, Sendable {
      /// What waits to be read, to be sent, or to be accepted.
      case queues
      /// How much may.
      case buffers
      /// What was counted over the life.
      case bytes
      /// Round trips, windows, losses.
      case path
      /// How the socket was set up.
      case options
    }
  }
}

extension SocketLife {
  /// Judges.
  /// - Parameters:
  ///   - socket: A socket of the census.
  ///   - census: The picture. Who would notice is known for the processes that `Census.watch` was asked about.
  ///   - readings: What was asked of the kernel about this socket alone.
  ///   - findings: All findings of this census, so that this socket's are worded as they are there.
  public init(
    of socket: SocketReference, in census: Census, _ readings: LifeReadings = LifeReadings(), findings: [Finding] = []
  ) {
    self.socket = socket
    let other = census.otherEnd(of: socket)
    switch socket {
    case .inet(let place):
      let story = InetStory(place, in: census, other: other, readings)
      title = story.title
      state = story.socket.state.description
      meaning = story.meaning
      since = story.since
      events = Self.opened(socket, in: census) + story.events
      next = story.next
      outlook = story.outlook
      facts = story.facts
    case .unix(let place):
      let story = UnixStory(place, in: census)
      title = story.title
      state = story.state
      meaning = story.meaning
      since = .unknown
      events = Self.opened(socket, in: census)
      next = []
      outlook = story.outlook
      facts = story.facts
    case .detached(let place):
      let story = DetachedStory(census.detached[place], readings)
      title = story.title
      state = story.state
      meaning = story.meaning
      since = .unknown
      events = Self.opened(socket, in: census) + story.events
      next = []
      outlook = story.outlook
      facts = story.facts
    }
    events.sort { $0.isBefore($1) }
    holders = Self.holders(of: socket, in: census, readings)
    attention = Self.attention(to: socket, in: census)
    otherEnd = other.map { OtherEnd($0, in: census) }
    self.findings = Self.own(of: socket, in: census, among: findings)
    facts += Self.flags(of: holders)
  }

  /// How it began, where somebody kept a record of that: the place in which a source of such records is asked.
  ///
  /// The kernel keeps none, neither of when `socket` was called nor of who called it.
  private static func opened(_ socket: SocketReference, in census: Census) -> [Event] { [] }
}

extension SocketLife.Event {
  /// Whether it is told before the other: by how long ago it was at least, else in the order in which things happen.
  fileprivate func isBefore(_ other: SocketLife.Event) -> Bool {
    (other.ago.lower, rank, other.ago.upper) < (ago.lower, other.rank, ago.upper)
  }

  private var rank: Int { Kind.allCases.firstIndex(of: kind) ?? 0 }
}
