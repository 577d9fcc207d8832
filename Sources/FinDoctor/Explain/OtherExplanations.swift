/// The explanation of one Unix socket. The kernel records no times for it.
struct UnixExplanation {
  let socket: UnixSocket
  let name: String?
  private let peerName: String?

  init(_ place: Int, in census: Census) {
    socket = census.unixSockets[place]
    name = census.name(of: socket)
    let peer = socket.peer
    peerName =
      peer == nil || peer == 0 ? nil : census.unixSockets.first { $0.inode == peer }.flatMap { census.name(of: $0) }
  }

  var title: String {
    var text = "\(socket.type)"
    if let name { text += " \(name)" } else if let peerName { text += ", peer \(peerName)" }
    return text
  }

  var state: String { socket.hasLostItsPeer ? "PEER-GONE" : socket.state.description }

  var meaning: String {
    if socket.hasLostItsPeer { return "The other end has closed; data that it sent can still be read." }
    switch socket.state {
    case .listen: return "Accepts clients on this machine."
    case .established: return "Connected to another socket on this machine."
    default: return "Not connected."
    }
  }

  var outlook: String {
    if socket.hasLostItsPeer { return "It stays until the program closes it." }
    if socket.state == .listen { return "It accepts clients until its program closes it; its file remains even then." }
    return "It stays until one end closes it; the kernel has no time limit for it."
  }

  var facts: [SocketExplanation.Fact] {
    var all: [SocketExplanation.Fact] = []
    func add(_ topic: SocketExplanation.Fact.Topic, _ text: String) {
      all.append(SocketExplanation.Fact(topic: topic, text: text))
    }
    if socket.state == .listen {
      add(
        .queues, "\(NumberText.number(socket.receiveQueue)) of \(NumberText.number(socket.sendQueue)) wait for accept")
    } else {
      add(.queues, "\(NumberText.bytes(UInt64(socket.receiveQueue))) not read")
      add(.queues, "\(NumberText.bytes(UInt64(socket.sendQueue))) not read by the other end")
    }
    if let limit = socket.memory.receiveLimit { add(.buffers, "receive: \(NumberText.bytes(UInt64(limit)))") }
    if let limit = socket.memory.sendLimit { add(.buffers, "send: \(NumberText.bytes(UInt64(limit)))") }
    if let shutdown = socket.shutdown, shutdown > 0, !socket.hasLostItsPeer {
      add(.queues, ["", "shut down for receiving", "shut down for sending", "shut down"][Int(shutdown & 3)])
    }
    return all
  }
}

/// The explanation of a descriptor whose socket no kernel table lists.
struct DetachedExplanation {
  let socket: DetachedSocket
  let readings: SocketDetails

  init(_ socket: DetachedSocket, _ readings: SocketDetails) {
    self.socket = socket
    self.readings = readings
  }

  private var info: TCPDetail? { readings.options?.info.detail }

  var title: String { "\(socket.transport)\(socket.isIPv6 ? " over IPv6" : ""), in no kernel table" }
  var state: String { socket.transport == .udp ? "UNBOUND" : "DETACHED" }

  var meaning: String {
    guard socket.transport != .udp else { return "A datagram socket that has no port yet." }
    guard let info, let segments = info.segmentsReceived else {
      return
        "Never connected, or refused, reset or timed out; and never closed. --deep reads from the socket which it was."
    }
    // A failed connect resets the socket's counters.
    if segments == 0 { return "Never connected, or its connection attempt was refused or timed out." }
    if (info.bytesAcknowledged ?? 0) == 0, (info.bytesReceived ?? 0) == 0, segments == 1 { return "It was refused." }
    return (info.totalTimeouts ?? 0) > 0
      ? "It was connected, and timed out or was reset." : "It was connected, and was reset or aborted."
  }

  var events: [SocketExplanation.Event] {
    guard let info, (info.segmentsReceived ?? 0) > 1 else { return [] }
    var all: [SocketExplanation.Event] = []
    func add(_ kind: SocketExplanation.Event.Kind, _ time: UInt32?, _ text: String) {
      if let time { all.append(.init(kind, .ticking(atLeast: UInt64(time), atMost: UInt64(time)), text)) }
    }
    if (info.bytesReceived ?? 0) > 0 { add(.dataReceived, info.lastDataReceived, "last data received") }
    if (info.bytesSent ?? 0) > 0 { add(.dataSent, info.lastDataSent, "last data sent") }
    add(.acknowledged, info.lastAcknowledgementReceived, "last acknowledgement from the peer")
    return all
  }

  var outlook: String {
    socket.transport != .udp
      ? "It stays, and takes a descriptor, until the program closes it."
      : "It stays until its program sends with it, binds it or closes it."
  }

  var facts: [SocketExplanation.Fact] {
    var all: [SocketExplanation.Fact] = []
    if let bytes = info?.bytesReceived, let sent = info?.bytesSent, bytes + sent > 0 {
      all.append(.init(topic: .bytes, text: "\(NumberText.bytes(bytes)) received"))
      all.append(.init(topic: .bytes, text: "\(NumberText.bytes(sent)) sent"))
    }
    return all + SocketExplanation.facts(of: readings.options)
  }
}
