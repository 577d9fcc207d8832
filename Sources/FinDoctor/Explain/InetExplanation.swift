/// The explanation of one TCP, UDP or MPTCP socket.
struct InetExplanation {
  let socket: InetSocket
  let census: Census
  /// The row of the other end, when it is on this machine.
  let other: InetSocket?
  let readings: SocketDetails
  let limits: KernelLimits
  let since: AgeBounds
  /// For a listener: connections that the program has not accepted, and the number of unfinished handshakes.
  let waiting: [InetSocket]
  let handshaking: Int
  /// The time that the oldest of ``waiting`` has waited.
  let oldest: AgeBounds?
  /// For an MPTCP socket, its subflows.
  let paths: [InetSocket]
  /// For a subflow, its MPTCP socket.
  let owner: InetSocket?

  init(_ place: Int, in census: Census, other: SocketReference?, _ readings: SocketDetails) {
    let socket = census.sockets[place]
    self.socket = socket
    self.census = census
    self.readings = readings
    if case .inet(let end) = other { self.other = census.sockets[end] } else { self.other = nil }
    limits = census.namespace(of: socket).limits
    let multipath = MPTCPSubflows(census.sockets, ages: census.recordedAges)
    since = multipath.since(place, in: census.sockets, limits: limits)
    paths = multipath.paths(of: place).map { census.sockets[$0] }
    owner = multipath.owner(ofPath: place).map { census.sockets[$0] }
    var waiting: [InetSocket] = []
    var handshaking = 0
    var oldest: AgeBounds?
    if socket.state == .listen {
      for index in census.sockets.indices
      where census.sockets[index].inode == 0 && census.sockets[index].localPort == socket.localPort
        && socket.accepts(census.sockets[index])
      {
        // An MPTCP connection is one client, however many subflows it has.
        if census.sockets[index].isWaitingForAccept, multipath.owner(ofPath: index) == nil {
          waiting.append(census.sockets[index])
          let one = multipath.since(index, in: census.sockets, limits: limits)
          if oldest.map({ $0.lower < one.lower }) ?? true { oldest = one }
        }
        let state = census.sockets[index].state
        if state == .synReceived || state == .newSynReceived { handshaking += 1 }
      }
    }
    // The listeners of one address share its clients: they wait for one whose queue has some.
    let hasClients = socket.receiveQueue > 0
    self.waiting = hasClients ? waiting : []
    self.handshaking = handshaking
    self.oldest = hasClients ? oldest : nil
  }

  var info: TCPDetail { socket.info }

  var title: String {
    let local = socket.localAddress.with(port: socket.localPort)
    let name = "\(socket.transport) \(local)"
    guard socket.remotePort != 0 else { return name }
    return name + ", peer \(socket.remoteAddress.with(port: socket.remotePort))"
  }

  /// Whether data, acknowledgements and their times have a meaning in this state.
  var hasTimes: Bool {
    switch socket.state {
    case .synSent, .listen, .closed, .bound, .synReceived, .newSynReceived, .timeWait: false
    default: info.lastAcknowledgementReceived != nil
    }
  }

  /// Whether the peer's FIN has arrived.
  var peerHasFinished: Bool {
    socket.state == .closeWait || socket.state == .lastAck || socket.state == .closing
  }

  /// The number of data bytes received. The kernel's count includes 1 for a FIN.
  var bytesReceived: UInt64? {
    info.bytesReceived.map { $0 > 0 && peerHasFinished ? $0 - 1 : $0 }
  }

  /// The number of bytes that the program has not read. The kernel's queue includes 1 for an unread FIN.
  var unread: UInt32 {
    peerHasFinished && socket.receiveQueue > 0 ? socket.receiveQueue - 1 : socket.receiveQueue
  }
}

extension InetSocket {
  /// Whether a connection without a descriptor belongs to this listener.
  func accepts(_ connection: InetSocket) -> Bool {
    guard namespace == connection.namespace, localPort == connection.localPort,
      transport == connection.transport || transport == .tcp && connection.transport == .mptcp
    else { return false }
    let (mine, its) = (localAddress, connection.localAddress)
    if mine.isUnspecified { return mine.isIPv6 ? !(isIPv6Only == true && its.asIPv4 != nil) : its.asIPv4 != nil }
    if let v4 = mine.asIPv4 { return v4 == its.asIPv4 }
    return mine.bits == its.bits
  }
}

/// The meaning of the state.
extension InetExplanation {
  var meaning: String {
    if socket.transport == .udp {
      return socket.remotePort == 0
        ? "Receives datagrams from any sender."
        : "Receives datagrams from one peer only; the connection exists on this side alone."
    }
    switch socket.state {
    case .established where socket.isWaitingForAccept:
      return "Connected, and in its listener's queue: no program has accepted it."
    case .closeWait where socket.inode == 0: return "Its client connected, waited in the listener's queue, and gave up."
    case .established: return "Both directions are open, as far as the kernel knows."
    case .synSent: return "Our connection request has no answer yet."
    case .synReceived, .newSynReceived:
      return "We have answered a peer's connection request; its acknowledgement has not arrived."
    case .finWait1: return "We have finished, and the peer has not acknowledged that."
    case .finWait2 where socket.inode == 0:
      return "We have closed it; the kernel waits for the peer to finish, and no program holds it any more."
    case .finWait2: return "We have finished, which the peer has acknowledged; it may still send, and has not finished."
    case .timeWait: return "Both have finished, this side first: the kernel reserves the pair of addresses and ports."
    case .closeWait: return "The peer has finished; we have not."
    case .lastAck: return "Both have finished, the peer first; our FIN is not acknowledged."
    case .closing: return "Both have finished at once; our FIN is not acknowledged."
    case .listen: return "Listens: the kernel completes the handshakes of clients, and a program accepts them."
    case .bound: return "Has an address and a port, and neither listens nor is connected."
    case .closed where socket.transport == .mptcp:
      return "Its connection is over: it was reset, refused or timed out, and never closed."
    default: return "A state unknown to fin."
    }
  }
}

/// The past events.
extension InetExplanation {
  typealias Event = SocketExplanation.Event

  var events: [Event] {
    if socket.transport == .udp { return [] }
    if socket.transport == .mptcp { return multipathEvents }
    switch socket.state {
    case .synSent: return [Event(.opened, since, "connection requested\(tries("requested again"))")]
    case .synReceived, .newSynReceived:
      return [Event(.asked, since, "connection requested by the peer\(tries("answered again"))")]
    case .timeWait: return [Event(.rests, since, "both had finished: TIME-WAIT began")]
    case .listen: return listening
    case .finWait2 where !hasTimes:
      return [Event(.finishAcknowledged, since, "our FIN was acknowledged, or the program closed it after that")]
    default: return hasTimes ? connection : []
    }
  }

  private func tries(_ what: String) -> String {
    socket.retransmits == 0 ? "" : ", and \(what) \(NumberText.noun(Int(socket.retransmits), "time"))"
  }

  /// MPTCP records when data was sent and received; only its subflows know when the connection was made.
  private var multipathEvents: [Event] {
    guard socket.state != .listen, socket.remotePort != 0 else { return [] }
    var all: [Event] = []
    func add(_ kind: Event.Kind, _ time: UInt32?, _ count: UInt64?, _ text: String) {
      guard let time, let count, count > 0 else { return }
      all.append(Event(kind, .ticking(atLeast: UInt64(time), atMost: UInt64(time)), text))
    }
    add(.dataReceived, socket.multipath.lastDataReceived, socket.multipath.bytesReceived, "last data received")
    add(.dataSent, socket.multipath.lastDataSent, socket.multipath.bytesSent, "last data sent")
    switch socket.state {
    case .closeWait: all.append(Event(.peerFinished, since, "the peer finished: it will send nothing more"))
    case .finWait2: all.append(Event(.finishAcknowledged, since, "the peer acknowledged that we have finished"))
    default: break
    }
    return all
  }

  private var listening: [Event] {
    guard let oldest else { return [] }
    return [Event(.clientWaits, oldest, "the oldest client began to wait for accept")]
  }

  private var connection: [Event] {
    var all = [Event(.handshake, handshake, "handshake: connected")]
    let exactly = { (time: UInt32) in AgeBounds.ticking(atLeast: UInt64(time), atMost: UInt64(time)) }
    if let time = info.lastDataReceived, let count = bytesReceived, count > 0 {
      all.append(Event(.dataReceived, exactly(time), "last data received"))
      if unread > 0, !peerHasFinished {
        let text =
          UInt64(unread) < count
          ? "the program has not read \(NumberText.bytes(UInt64(unread))) of it"
          : "the program has read none of it"
        all.append(Event(.unread, exactly(time), text))
      }
    }
    if let time = info.lastDataSent, let count = info.bytesSent, count > 0 {
      let again = (info.bytesRetransmitted ?? 0) > 0 ? " (or sent again)" : ""
      all.append(Event(.dataSent, exactly(time), "last data sent\(again)"))
    }
    // If we sent no data, this acknowledgement belongs to the handshake or the FIN, or answers keepalive.
    if let time = info.lastAcknowledgementReceived,
      (info.bytesSent ?? 1) > 0 || handshake.lower > UInt64(time) + 1000 && !peerHasFinished
    {
      all.append(Event(.acknowledged, exactly(time), "last acknowledgement from the peer"))
    }
    return all + stalls + ends
  }

  private var stalls: [Event] {
    guard socket.sendQueue > 0 else { return [] }
    if info.sendWindow == 0, socket.timer == .persist {
      return [Event(.windowClosed, .peerWindowClosed(socket), "the peer's window closed: it does not read")]
    }
    guard socket.timer == .retransmit, socket.retransmits > 0 else { return [] }
    return [
      Event(
        .unanswered, .unacknowledged(socket),
        "first sent, still not acknowledged; sent again \(NumberText.noun(Int(socket.retransmits), "time")) since")
    ]
  }

  /// A FIN that directly follows the data of a recv is taken with it, and that call does not return 0.
  private static let endRead = "all read by the program, the end of file too (alone, or together with the last data)"

  private var ends: [Event] {
    var all: [Event] = []
    if peerHasFinished {
      let when = peerFinished
      all.append(Event(.peerFinished, when, "FIN of the peer: it will send nothing more"))
      if socket.state == .closeWait, socket.inode != 0 {
        if socket.receiveQueue == 0 {
          all.append(
            Event(.endRead, AgeBounds(atLeast: 0, atMost: when.upper), Self.endRead))
        } else {
          let what = unread == 0 ? "end of file" : "\(NumberText.bytes(UInt64(unread))) and the end of file"
          all.append(Event(.unread, when, "\(what) not read by the program since"))
        }
      }
    }
    switch socket.state {
    case .finWait1, .lastAck, .closing:
      all.append(Event(.finished, since, "we finished: our FIN is queued or sent, and not acknowledged"))
    case .finWait2:
      all.append(Event(.finished, finished, "we finished: our FIN"))
      all.append(Event(.finishAcknowledged, since, "the peer acknowledged our FIN"))
    default: break
    }
    return all
  }
}

/// Age bounds, narrowed by the other end if it is on this machine: both ends' bounds must hold at once.
extension InetExplanation {
  /// The time since the handshake was complete.
  var handshake: AgeBounds {
    let own = AgeBounds.handshake(socket, finished: peerHasFinished)
    guard let other, other.info.lastAcknowledgementReceived != nil, other.state != .listen else { return own }
    let finished = other.state == .closeWait || other.state == .lastAck || other.state == .closing
    return own.narrowed(by: .handshake(other, finished: finished))
  }

  private var peerFinished: AgeBounds {
    if socket.state == .closeWait {
      guard let other, other.state == .finWait2, !other.info.isEmpty, other.inode != 0 else { return since }
      return since.narrowed(by: .inState(other, limits: limits))
    }
    // Our FIN came after the peer's, unless the two crossed.
    let acknowledged = UInt64(info.lastAcknowledgementReceived ?? 0)
    let later = socket.state == .lastAck ? max(acknowledged, since.lower) : acknowledged
    return .ticking(atLeast: later, atMost: info.lastDataReceived.map { max(UInt64($0), later) })
  }

  private var finished: AgeBounds {
    // Data was sent before the FIN, but may have been retransmitted after it.
    let upper = info.bytesRetransmitted == 0 ? info.lastDataSent.map { UInt64($0) + 10 } : nil
    return AgeBounds(atLeast: since.lower, atMost: upper.map { max($0, since.lower) })
  }
}

extension AgeBounds {
  /// The time since a connection was made.
  ///
  /// The handshake sets the times of the last data and of the last acknowledgement. Any later traffic makes one of
  /// them younger.
  static func handshake(_ socket: InetSocket, finished: Bool) -> AgeBounds {
    let info = socket.info
    guard let sent = info.lastDataSent, let acknowledged = info.lastAcknowledgementReceived else { return .unknown }
    let lower = max(UInt64(max(sent, info.lastDataReceived ?? 0, acknowledged)), (info.busyTime ?? 0) / 1000)
    // A FIN is counted as a byte, but changes no time.
    if let count = info.bytesReceived, count == 0 || finished && count == 1, let received = info.lastDataReceived {
      return ticking(atLeast: max(UInt64(received), lower), atMost: UInt64(received))
    }
    if info.bytesSent == 0 { return ticking(atLeast: max(UInt64(sent), lower), atMost: UInt64(sent)) }
    return ticking(atLeast: lower, atMost: nil)
  }

  /// The intersection of both bounds. Contradictory bounds are ignored, because then they describe different events.
  func narrowed(by other: AgeBounds) -> AgeBounds {
    let (lower, upper) = (max(lower, other.lower), min(upper, other.upper))
    return lower <= upper ? AgeBounds(atLeast: lower, atMost: upper == .max ? nil : upper) : self
  }
}
