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
package struct SocketExplanation: Sendable {
  /// The socket.
  package var socket: SocketReference
  /// The protocol and both ends in one line: `tcp 127.0.0.1:8080, peer 127.0.0.1:51234`.
  package var title: String
  /// The state: `CLOSE-WAIT`; `DETACHED` for a socket that no kernel table lists.
  package var state: String
  /// The meaning of that state, as one sentence.
  package var meaning: String
  /// The time that the socket has spent in its state.
  package var since: AgeBounds
  /// The past events, oldest first.
  package var events: [Event]
  /// The kernel's next actions and their times, as sentences.
  package var next: [String]
  /// The outcome if neither the program nor the peer does anything.
  package var outlook: String
  /// The processes that hold the socket.
  package var holders: [Holding]
  /// The threads and epoll sets that would notice events on the socket, one sentence each.
  package var attention: [String]
  /// The other end, when it is on this machine.
  package var otherEnd: OtherEnd?
  /// Further facts: queues, buffers, path, bytes, options.
  package var facts: [Fact]
  /// The findings about this socket, as `Diagnosis` words them.
  package var findings: [Finding]

  /// A past event.
  package struct Event: Hashable, Sendable {
    /// The kind of event.
    package var kind: Kind
    /// The time since the event.
    package var ago: AgeBounds
    /// The event in words that follow the time.
    package var text: String

    /// Creates an event.
    /// - Parameters:
    ///   - kind: The kind of event.
    ///   - ago: The time since the event.
    ///   - text: The event in words that follow the time.
    package init(_ kind: Kind, _ ago: AgeBounds, _ text: String) {
      self.kind = kind
      self.ago = ago
      self.text = text
    }

    /// The kinds of event. The raw values appear in JSON.
    package enum Kind: String, CaseIterable, Hashable, Sendable {
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
      /// The program read EOF, alone or together with the last data.
      case endRead
      /// Data arrived that the program has not read since.
      case unread
      /// Both sides have finished, and TIME-WAIT began.
      case rests
    }
  }

  /// A process that holds the socket.
  package struct Holding: Hashable, Sendable {
    /// The process.
    package var pid: Int32
    /// Its program, when it could be read.
    package var program: Program?
    /// The descriptors that hold the socket.
    package var descriptors: [Descriptor]

    /// One descriptor.
    package struct Descriptor: Hashable, Sendable {
      /// The descriptor number.
      package var number: Int32
      /// Whether exec closes the descriptor; nil when that could not be read.
      package var closesOnExec: Bool?
      /// Whether calls on the descriptor block; nil when that could not be read.
      package var waits: Bool?
    }
  }

  /// The other end of a connection.
  package struct OtherEnd: Hashable, Sendable {
    /// The socket.
    package var socket: SocketReference
    /// The process with the lowest number that holds it; nil when none does.
    package var pid: Int32?
    /// Its descriptor for the socket.
    package var descriptor: Int32?
    /// The other end in words: `python3 (pid 812) fd 7, in FIN-WAIT-2`.
    package var text: String
  }

  /// A fact about a socket.
  package struct Fact: Hashable, Sendable {
    /// The topic of the fact.
    package var topic: Topic
    /// The fact in words.
    package var text: String

    /// The topics of facts. The raw values appear in JSON.
    package enum Topic: String, CaseIterable, Hashable, Sendable {
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
  ///   - findings: All findings of this census, if the caller has them; those about this socket are among them.
  package init(
    of socket: SocketReference, in census: Census, _ readings: SocketDetails = SocketDetails(),
    findings: [Finding]? = nil
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
    otherEnd = other.map { OtherEnd($0, of: socket, in: census) }
    self.findings = Self.own(of: socket, in: census, among: findings ?? Diagnosis.findings(in: census))
    facts += Self.flags(of: holders)
  }

  /// The threads and epoll sets that would notice events on the socket, in the words of the findings.
  private static func attention(to socket: SocketReference, in census: Census) -> [String] {
    let index = CensusIndex(
      Census(holders: census.holders, programs: census.programs, watchers: census.watchers), .init())
    let due: DueEvent? = if case .inet(let place) = socket { DueEvent(census.sockets[place]) } else { nil }
    return index.attention(to: census.inode(of: socket), due, "it")
  }

  /// The creation of the socket. A source of such records would be read here.
  ///
  /// The kernel keeps no record of when `socket` was called, nor of which program called it.
  private static func opened(_ socket: SocketReference, in census: Census) -> [Event] { [] }
}

extension SocketExplanation.Event {
  /// Whether this event is listed before the other: by the lower bound of its age, then in the order in which
  /// events happen.
  fileprivate func isBefore(_ other: SocketExplanation.Event) -> Bool {
    (other.ago.lower, rank, other.ago.upper) < (ago.lower, other.rank, ago.upper)
  }

  private var rank: Int { Kind.allCases.firstIndex(of: kind) ?? 0 }
}
