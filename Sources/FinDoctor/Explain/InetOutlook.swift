/// The future of a socket.
extension InetExplanation {
  /// The running timer, what the kernel does when it fires, and when the kernel gives up.
  var next: [String] {
    guard socket.transport == .tcp else { return [] }
    let wait = AgeBounds(atLeast: UInt64(socket.expires), atMost: UInt64(socket.expires))
    switch socket.timer {
    case .retransmit: return retransmitting(in: wait)
    case .keepalive:
      if socket.inode == 0, socket.state == .finWait2 { return ["In \(wait) the kernel removes it."] }
      return keepingAlive(in: wait)
    case .timeWait: return ["In \(wait) the kernel removes it, and its port is free for any program."]
    case .persist:
      let probes = Int(info.probes ?? socket.retransmits)
      let before = probes == 0 ? "" : " \(NumberText.noun(probes, "probe")) had no answer."
      return [
        "In \(wait) the kernel probes whether the peer's window is open.\(before)",
        readings.patience.windowEnd(socket, readings.options),
      ]
    default: return quiet
    }
  }

  private var quiet: [String] {
    switch socket.state {
    case .established where socket.isWaitingForAccept: return []
    case .established, .closeWait, .finWait2:
      return socket.inode == 0
        ? [] : ["No timer runs: nothing is in flight, and keepalive is off. The kernel will do nothing on its own."]
    default: return []
    }
  }

  private func retransmitting(in wait: AgeBounds) -> [String] {
    let what =
      socket.state == .synSent
      ? "sends the SYN again" : socket.state.isAsked ? "sends the SYN-ACK again" : "retransmits"
    let times = socket.retransmits == 0 ? "" : " for the \(Self.ordinal(Int(socket.retransmits) + 1)) time"
    var all = ["Without an acknowledgement, the kernel \(what)\(times) in \(wait)."]
    if let left = readings.patience.givesUp(socket, readings.options) {
      let names = socket.state == .synSent ? "TCP_USER_TIMEOUT, TCP_SYNCNT" : "TCP_USER_TIMEOUT"
      let own = readings.options == nil ? ", unless the program set a limit of its own (\(names))" : ""
      let told = socket.inode == 0 ? "" : " with ETIMEDOUT"
      all.append("It gives up\(told) in \(left)\(own).")
    }
    return all
  }

  private func keepingAlive(in wait: AgeBounds) -> [String] {
    let probes = Int(info.probes ?? socket.retransmits)
    if probes == 0 { return ["Keepalive is on: in \(wait) the kernel sends a probe to the peer."] }
    return ["Keepalive: \(NumberText.noun(probes, "probe")) had no answer; the next one is sent in \(wait)."]
      + [readings.patience.keepaliveEnd(socket, probes: probes, readings.options)]
  }

  private static func ordinal(_ number: Int) -> String {
    let suffix =
      switch (number % 10, number % 100) {
      case (_, 11...13): "th"
      case (1, _): "st"
      case (2, _): "nd"
      case (3, _): "rd"
      default: "th"
      }
    return "\(number)\(suffix)"
  }

  /// The outcome if neither the program nor the peer does anything.
  var outlook: String {
    if socket.transport == .udp {
      return "It stays until its program closes it; when unread datagrams fill the buffer, new ones are dropped."
    }
    switch socket.state {
    case .established where socket.isWaitingForAccept:
      return "It waits until its listener's program accepts it; if the program closes the listener, it is reset."
    case .closeWait where socket.inode == 0:
      return "It stays in the queue until its listener's program accepts it and reads the end of file."
    case .closeWait:
      return
        "It stays in CLOSE-WAIT until the program closes it: the kernel has no time limit for this state."
    case .established:
      if socket.transport == .mptcp {
        return "It stays open until one side closes it, or its last subflow has been gone for a long time."
      }
      if socket.sendQueue > 0, socket.timer == .retransmit, socket.retransmits > 0 {
        return
          "If the peer stays silent, the program's next call gets ETIMEDOUT, and the descriptor stays open."
      }
      if socket.sendQueue > 0, socket.timer == .persist {
        return
          "It stays like this as long as the peer's kernel answers and the peer's program does not read, unless the "
          + "program has set TCP_USER_TIMEOUT."
      }
      if socket.timer == .keepalive { return "If the peer is gone, keepalive detects it; else it stays open." }
      if socket.timer == .off { return "It stays open, even if the peer's machine is gone: no probe is sent." }
      return "It stays open until one side closes it."
    case .synSent: return "The kernel tries until it gives up; then connect fails with ETIMEDOUT."
    case .synReceived, .newSynReceived:
      return "Without the peer's acknowledgement it is dropped after a few answers (tcp_synack_retries)."
    case .finWait1, .closing, .lastAck:
      return socket.inode == 0
        ? "No program holds it any more. It ends with the acknowledgement, or when the kernel gives up."
        : "It leaves this state with the peer's acknowledgement, or when the kernel gives up."
    case .finWait2 where socket.inode == 0:
      return "The kernel removes it: a closed socket stays in FIN-WAIT-2 for \(restTime) (tcp_fin_timeout)."
    case .finWait2:
      return
        "It stays in FIN-WAIT-2 until the peer finishes: while a program holds it, the kernel has no time limit. After "
        + "close the limit would be \(restTime)."
    case .timeWait: return "The kernel removes it. It costs little memory, and nothing has to be done."
    case .listen:
      return waiting.isEmpty
        ? "Clients can connect until its program closes it; each waits until a program accepts it."
        : "Clients wait until the program calls accept; a full queue makes new ones retry after 1 s, 3 s, 7 s."
    case .bound: return "It keeps its port until its program closes it."
    case .closed where socket.transport == .mptcp:
      return "It stays, and takes a descriptor, until the program closes it."
    default: return "Unknown."
    }
  }

  private var restTime: String {
    let milliseconds = limits.finTimeout.map { UInt64(clamping: $0.components.seconds) * 1000 } ?? 60_000
    return "\(AgeBounds(atLeast: milliseconds, atMost: milliseconds))"
  }
}

extension SocketState {
  fileprivate var isAsked: Bool { self == .synReceived || self == .newSynReceived }
}

/// Further facts.
extension InetExplanation {
  private typealias Fact = SocketExplanation.Fact

  var facts: [SocketExplanation.Fact] {
    var all: [Fact] = []
    func add(_ topic: Fact.Topic, _ text: String?) {
      if let text { all.append(Fact(topic: topic, text: text)) }
    }
    if socket.state == .listen {
      add(
        .queues, "\(NumberText.number(socket.receiveQueue)) of \(NumberText.number(socket.sendQueue)) wait for accept")
      let gone = waiting.count { $0.state == .closeWait }
      if gone > 0 { add(.queues, "\(NumberText.number(gone)) of them have given up") }
      if handshaking > 0 { add(.queues, "\(NumberText.noun(handshaking, "handshake")) not finished") }
      if let drops = socket.drops { add(.queues, "\(NumberText.noun(Int(drops), "connection attempt")) dropped") }
      if limits.listenBacklog.map({ UInt32(clamping: $0) == socket.sendQueue }) == true {
        add(.queues, "the limit is somaxconn, or an equal backlog given to listen")
      }
    } else if socket.transport == .mptcp {
      multipathFacts.forEach { add($0.topic, $0.text) }
    } else if socket.state != .timeWait {
      add(.queues, "\(NumberText.bytes(UInt64(unread))) not read")
      if peerHasFinished, socket.receiveQueue > 0 { add(.queues, "the end of file not read") }
      if socket.transport == .tcp { add(.queues, sending) }
      if let drops = socket.drops { add(.queues, "\(NumberText.noun(Int(drops), "datagram")) dropped") }
    }
    if let limit = socket.memory.receiveLimit {
      add(
        .buffers,
        "receive: \(NumberText.bytes(UInt64(socket.memory.received ?? 0))) of \(NumberText.bytes(UInt64(limit)))")
    }
    if let limit = socket.memory.sendLimit, socket.state != .listen {
      add(
        .buffers, "send: \(NumberText.bytes(UInt64(socket.memory.queued ?? 0))) of \(NumberText.bytes(UInt64(limit)))")
    }
    if let owner {
      let ends = "\(owner.localAddress.with(port: owner.localPort))"
      add(
        .path,
        socket.state == .listen
          ? "accepts MPTCP clients too"
          : "one subflow of the MPTCP connection \(ends), peer \(owner.remoteAddress.with(port: owner.remotePort))")
    }
    if hasTimes { (counts + path).forEach { add($0.topic, $0.text) } }
    (options + SocketExplanation.facts(of: readings.options)).forEach { add($0.topic, $0.text) }
    return all
  }

  /// MPTCP reports unread data as memory, and only its subflows know how much of the sent data was acknowledged.
  private var multipathFacts: [Fact] {
    let detail = socket.multipath
    var all = [
      Fact(
        topic: .queues,
        text: socket.receiveQueue == 0
          ? "no unread data, but perhaps an unread end of file"
          : "\(NumberText.bytes(UInt64(socket.receiveQueue))) of memory hold unread data")
    ]
    if let bytes = detail.bytesReceived { all.append(Fact(topic: .bytes, text: "\(NumberText.bytes(bytes)) received")) }
    if let bytes = detail.bytesSent {
      let again = detail.bytesRetransmitted ?? 0
      let text =
        "\(NumberText.bytes(bytes)) sent" + (again > 0 ? ", \(NumberText.bytes(again)) of it retransmitted" : "")
      all.append(Fact(topic: .bytes, text: text))
    }
    if detail.isPlainTCP == true { all.append(Fact(topic: .path, text: "plain TCP: the other side has no MPTCP")) }
    if paths.isEmpty { all.append(Fact(topic: .path, text: "no subflow is left")) }
    for path in paths.prefix(8) {
      let ends =
        "\(path.localAddress.with(port: path.localPort)) to \(path.remoteAddress.with(port: path.remotePort))"
      all.append(Fact(topic: .path, text: "\(ends), \(path.state)"))
    }
    return all
  }

  private var sending: String {
    let hasFin = socket.state == .finWait1 || socket.state == .lastAck || socket.state == .closing
    let bytes = hasFin && socket.sendQueue > 0 ? socket.sendQueue - 1 : socket.sendQueue
    let what =
      "\(NumberText.bytes(UInt64(bytes)))\(hasFin && socket.sendQueue > 0 ? " and our FIN" : "") not acknowledged"
    guard let unsent = info.bytesNotSent, unsent > 0 else { return what }
    return what + ", \(NumberText.bytes(UInt64(unsent))) of it not sent yet"
  }

  private var counts: [Fact] {
    var all: [Fact] = []
    if let bytes = bytesReceived { all.append(Fact(topic: .bytes, text: "\(NumberText.bytes(bytes)) received")) }
    if let bytes = info.bytesSent {
      let again = info.bytesRetransmitted ?? 0
      all.append(
        Fact(
          topic: .bytes,
          text: "\(NumberText.bytes(bytes)) sent"
            + (again > 0 ? ", \(NumberText.bytes(again)) of it retransmitted" : "")))
    }
    if let total = info.totalRetransmissions, total > 0 {
      all.append(Fact(topic: .bytes, text: "\(NumberText.noun(Int(total), "retransmission")) in all"))
    }
    return all
  }

  private var path: [Fact] {
    var all: [Fact] = []
    func add(_ text: String) { all.append(Fact(topic: .path, text: text)) }
    if let time = info.roundTripTime, time > 0 {
      add("round trip \(Self.microseconds(time)) ± \(Self.microseconds(info.roundTripVariation ?? 0))")
    }
    if let window = info.sendWindow { add("the peer's window \(NumberText.bytes(UInt64(window)))") }
    if let window = info.receiveWindow { add("our window \(NumberText.bytes(UInt64(window)))") }
    if let window = info.congestionWindow { add("congestion window \(NumberText.noun(Int(window), "segment"))") }
    if let state = info.congestionState, state > 0, state < 5 {
      add(["", "disorder", "window reduced", "recovery from loss", "loss: everything is sent again"][Int(state)])
    }
    if let lost = info.lostSegments, lost > 0 { add("\(NumberText.noun(Int(lost), "segment")) presumed lost") }
    if let limited = info.windowLimitedTime, limited > 1000 {
      add("held up by the peer's window for \(AgeBounds(atLeast: limited / 1000, atMost: limited / 1000)) in all")
    }
    if let limited = info.bufferLimitedTime, limited > 1000 {
      add("held up by our send buffer for \(AgeBounds(atLeast: limited / 1000, atMost: limited / 1000)) in all")
    }
    return all
  }

  private static func microseconds(_ time: UInt32) -> String {
    if time < 1000 { return "\(time) µs" }
    return time < 10_000 ? "\(time / 1000).\(time % 1000 / 100) ms" : "\(NumberText.number(time / 1000)) ms"
  }

  private var options: [Fact] {
    var all: [String] = []
    if socket.isIPv6Only == true { all.append("IPV6_V6ONLY") }
    if socket.bindsAddressOnly == true { all.append("IP_BIND_ADDRESS_NO_PORT") }
    if socket.bindsForeignAddresses == true { all.append("IP_FREEBIND") }
    if socket.isTransparent == true { all.append("IP_TRANSPARENT") }
    if socket.interface > 0, !socket.localAddress.isLinkLocal { all.append("bound to interface \(socket.interface)") }
    if readings.options == nil, socket.transport == .tcp, hasTimes, socket.inode != 0 {
      if socket.timer == .keepalive { all.append("keepalive on") }
      if socket.timer == .off { all.append("keepalive off") }
    }
    return all.map { Fact(topic: .options, text: $0) }
  }
}
