/// The life of one socket, as far as it can be known: past events with their times, holders, and outlook.
///
/// Everything comes from a census and the readings; nothing more is read from the kernel. Times are bounds; the true
/// value lies between them.
///
/// ```swift
/// var census = try Census.take()
/// let socket = census.references(toInode: 4711)[0]
/// census.watch(census.holders[census.inode(of: socket)].map(\.pid))
/// let life = SocketLife(of: socket, in: census, .read(socket, in: census))
/// for event in life.events { print(event.ago, event.text) }
/// ```
public struct SocketExplanation: Sendable {
  /// The socket.
  public var socket: SocketReference
  /// The protocol and both ends in one line: `tcp 127.0.0.1:8080, peer 127.0.0.1:51234`.
  public var title: String
  /// The state: `CLOSE-WAIT`; `DETACHED` for a socket that no kernel table lists.
  public var state: String
  /// The meaning of that state, as one sentence.
  public var meaning: String
  /// The time that the socket has spent in its state.
  public var since: AgeBounds
  /// The past events, oldest first.
  public var events: [Event]
  /// The kernel's next actions and their times, as sentences.
  public var next: [String]
  /// The outcome if neither the program nor the peer does anything.
  public var outlook: String
  /// The processes that hold the socket.
  public var holders: [Holding]
  /// The threads and epoll sets that would notice events on the socket, one sentence each.
  public var attention: [String]
  /// The other end, when it is on this machine.
  public var otherEnd: OtherEnd?
  /// Further facts: queues, buffers, path, bytes, options.
  public var facts: [Fact]
  /// The findings about this socket, as `Diagnosis` words them.
  public var findings: [Finding]

  /// A past event.
  public struct Event: Hashable, Sendable {
    /// The kind of event.
    public var kind: Kind
    /// The time since the event.
    public var ago: AgeBounds
    /// The event in words that follow the time.
    public var text: String

    /// Creates an event.
    /// - Parameters:
    ///   - kind: The kind of event.
    ///   - ago: The time since the event.
    ///   - text: The event in words that follow the time.
    public init(_ kind: Kind, _ ago: AgeBounds, _ text: String) {
      self.kind = kind
      self.ago = ago
      self.text = text
    }

    /// The kinds of event. The raw values appear in JSON.
    public enum Kind: String, CaseIterable, Hashable, Sendable {
      /// The socket was created, or its connection requested.
      case opened
      /// The handshake was completed.
      case handshake
      /// The peer's SYN arrived and was answered.
      case asked
      /// Data was last sent.
      case dataSent
      /// Data was last received.
      case dataReceived
      /// The last acknowledgement was received.
      case acknowledged
      /// The data now in flight was first sent.
      case unanswered
      /// The peer closed its window.
      case windowClosed
      /// The oldest waiting client began to wait.
      case clientWaits
      /// Our FIN was sent or queued.
      case finished
      /// The peer acknowledged our FIN.
      case finishAcknowledged
      /// The peer's FIN arrived.
      case peerFinished
      /// The program read EOF.
      case endRead
      /// Data arrived that the program has not read since.
      case unread
      /// Both sides have finished, and TIME-WAIT began.
      case rests
    }
  }

  /// A process that holds the socket.
  public struct Holding: Hashable, Sendable {
    /// The process.
    public var pid: Int32
    /// Its program, when it could be read.
    public var program: Program?
    /// The descriptors that hold the socket.
    public var descriptors: [Descriptor]

    /// One descriptor.
    public struct Descriptor: Hashable, Sendable {
      /// The descriptor number.
      public var number: Int32
      /// Whether exec closes the descriptor; nil when that could not be read.
      public var closesOnExec: Bool?
      /// Whether calls on the descriptor block; nil when that could not be read.
      public var waits: Bool?
    }
  }

  /// The other end of a connection.
  public struct OtherEnd: Hashable, Sendable {
    /// The socket.
    public var socket: SocketReference
    /// The process with the lowest number that holds it; nil when none does.
    public var pid: Int32?
    /// Its descriptor for the socket.
    public var descriptor: Int32?
    /// The other end in words: `python3 (pid 812) fd 7, in FIN-WAIT-2`.
    public var text: String
  }

  /// A fact about a socket.
  public struct Fact: Hashable, Sendable {
    /// The topic of the fact.
    public var topic: Topic
    /// The fact in words.
    public var text: String

    /// The topics of facts. The raw values appear in JSON.
    public enum Topic: String, CaseIterable, Hashable, Sendable {
      /// Data waiting to be read or sent, and connections waiting to be accepted.
      case queues
      /// The use and the limits of the buffers.
      case buffers
      /// The counts over the socket's life.
      case bytes
      /// Round trips, windows, losses.
      case path
      /// The socket's settings.
      case options
    }
  }
}

extension SocketExplanation {
  /// Explains a socket.
  /// - Parameters:
  ///   - socket: A socket of the census.
  ///   - census: The census. Which threads and epoll sets would notice events is known for the processes that
  ///     `Census.watch` has read.
  ///   - readings: Readings about this socket alone.
  ///   - findings: All findings of this census, so that those about this socket are worded as they are there.
  public init(
    of socket: SocketReference, in census: Census, _ readings: SocketDetails = SocketDetails(), findings: [Finding] = []
  ) {
    self.socket = socket
    let other = census.otherEnd(of: socket)
    switch socket {
    case .inet(let place):
      let story = InetExplanation(place, in: census, other: other, readings)
      title = story.title
      state = story.socket.state.description
      meaning = story.meaning
      since = story.since
      events = Self.opened(socket, in: census) + story.events
      next = story.next
      outlook = story.outlook
      facts = story.facts
    case .unix(let place):
      let story = UnixExplanation(place, in: census)
      title = story.title
      state = story.state
      meaning = story.meaning
      since = .unknown
      events = Self.opened(socket, in: census)
      next = []
      outlook = story.outlook
      facts = story.facts
    case .detached(let place):
      let story = DetachedExplanation(census.detached[place], readings)
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

  /// The creation of the socket. A source of such records would be read here.
  ///
  /// The kernel keeps no record of when `socket` was called, nor of which program called it.
  private static func opened(_ socket: SocketReference, in census: Census) -> [Event] { [] }
}

extension SocketExplanation.Event {
  /// Whether this event is listed before the other: by the lower bound of its age, then in the order in which events
  /// happen.
  fileprivate func isBefore(_ other: SocketExplanation.Event) -> Bool {
    (other.ago.lower, rank, other.ago.upper) < (ago.lower, other.rank, ago.upper)
  }

  private var rank: Int { Kind.allCases.firstIndex(of: kind) ?? 0 }
}
