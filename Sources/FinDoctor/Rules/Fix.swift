/// A remedy: in the program's own language where that is known, and with Fin.
public struct Fix: Hashable, Sendable {
  /// The change in the program, or in the system around it.
  public var code: String
  /// The way Fin avoids the problem.
  public var fin: String

  /// Creates a remedy from both texts.
  public init(code: String, fin: String) {
    self.code = code
    self.fin = fin
  }

  /// Creates the remedy for a finding.
  /// - Parameters:
  ///   - id: The finding.
  ///   - language: The language that the program is written in.
  public init(_ id: FindingID, in language: Language) {
    self.init(code: Self.code(id, language), fin: Self.fin(id))
  }

  private static func code(_ id: FindingID, _ language: Language) -> String {
    inLanguage(id, language) ?? inC(id)
  }

  /// The remedy in terms of system calls.
  private static func inC(_ id: FindingID) -> String {
    switch id {
    case .closeWaitKnown:
      "Call close() after recv() has returned 0, on every path. In a pool, drop a connection that returns the end of "
        + "file."
    case .closeWaitUnseen:
      "Watch idle connections too: EPOLLIN or EPOLLRDHUP in the epoll mask, or a read that is pending; close when "
        + "recv() returns 0. A thread that works for long needs a deadline."
    case .detached:
      "close() also after an error: ECONNRESET, ETIMEDOUT and ECONNREFUSED leave the descriptor open. Close it, too, "
        + "when something fails between socket() and connect()."
    case .descriptorLimit:
      "Fix the leak first. Then raise LimitNOFILE, keep one descriptor in reserve, and pause accept after EMFILE."
    case .inherited:
      "Open with SOCK_CLOEXEC and accept4(…, SOCK_CLOEXEC), or close everything in the child before exec. To end the "
        + "connection now, shutdown() it: that works for every process that holds it."
    case .noDescriptor:
      "Unregister the file from the ring; receive messages with room for their descriptors, and close those of a "
        + "truncated message (MSG_CTRUNC)."
    case .closedUnread:
      "Before close(): shutdown(SHUT_WR), then read to the end of file with a deadline. Do not set SO_LINGER to (1, 0)."
    case .finWait2Held:
      "After shutdown(SHUT_WR) read with a deadline, then close(): a closed socket leaves FIN-WAIT-2 after 60 s. "
        + "TCP_USER_TIMEOUT does not help here."
    case .orphans:
      "Drain with a deadline before close, then reset. The peer must read. Do not begin by raising tcp_max_orphans."
    case .peerZeroWindow:
      "Give every send a deadline (SO_SNDTIMEO, or a timer), limit the queue for each peer, drop slow peers. "
        + "TCP_USER_TIMEOUT ends such a connection."
    case .unread: "Read, or close. An object that is dropped without close() keeps its peer waiting."
    case .unacknowledged:
      "Set TCP_USER_TIMEOUT to your deadline: by default the kernel gives up after about 15 minutes. Or use a timeout "
        + "in the protocol."
    case .idleWithoutKeepalive:
      "Set SO_KEEPALIVE with TCP_KEEPIDLE 60, TCP_KEEPINTVL 10, TCP_KEEPCNT 6; or use a ping of the protocol, or an "
        + "idle limit in the server."
    case .keepaliveFailing:
      "Nothing in the code: its next call will get ETIMEDOUT. Check the network path and the peer."
    case .connectStuck:
      "Give connect a deadline (non-blocking, then poll), and try the next address. Check the destination, and "
        + "firewalls that drop packets and do not refuse them."
    case .portsExhausted:
      "Keep connections and reuse them (a pool, keep-alive). If that is not enough, use more source or destination "
        + "addresses; then tcp_tw_reuse=1; last, a wider ip_local_port_range."
    case .bindBeforeConnect:
      "Set IP_BIND_ADDRESS_NO_PORT before bind(address, 0): connect then chooses the port."
    case .timeWaitChurn:
      "Reuse connections, or let the other side close first. SO_LINGER of (1, 0) is no solution: it loses data."
    case .bindBlocked:
      "Set SO_REUSEADDR before bind, from the first run on: the old socket must have had it too."
    case .acceptOverflow:
      "Accept until EAGAIN each time, do the work in other threads, and listen() with a larger backlog, up to "
        + "somaxconn."
    case .acceptStalled: "Accept first and work later: the thread that accepts must do nothing that can block."
    case .synBacklog:
      "Check the network path back to the peers; against a flood, use tcp_syncookies and a packet filter."
    case .acceptWithoutDescriptors:
      "Keep a descriptor in reserve: close it, accept, close the client, open it again. Stop watching the listener "
        + "until a descriptor is free. Fix the leak."
    case .memory:
      "Find the connections whose data does not move (W1, W2) and limit their buffers; only then raise the limit."
    case .unix: "Accept, read, and close after the end of file, as with TCP."
    }
  }

  /// The remedy in terms of a language; nil where it does not differ from C's.
  private static func inLanguage(_ id: FindingID, _ language: Language) -> String? {
    switch (id, language) {
    case (.closeWaitKnown, .python):
      "with sock: … or contextlib.closing around every connection: recv() == b\"\" means close. asyncio: "
        + "writer.close() and await writer.wait_closed() in finally."
    case (.closeWaitKnown, .node):
      "socket.on('end', () => socket.end()), or no allowHalfOpen: true; destroy() the sockets that a pool drops."
    case (.closeWaitKnown, .java):
      "try (Socket s = …) { … }; close the response body of every HTTP call; a pool must test on checkout."
    case (.closeWaitKnown, .go):
      "defer conn.Close() right after Accept or Dial; defer resp.Body.Close(), and read the body to its end."
    case (.closeWaitKnown, .swift): "defer { close } on every path, or withConnection { … }, which closes at its end."
    case (.closeWaitUnseen, .python):
      "Read from idle connections too (select, asyncio streams), with a timeout on every call that can wait; a pool "
        + "must check for readability before it hands one out."
    case (.closeWaitUnseen, .node):
      "A paused socket gets no events: resume() it, or socket.setTimeout(ms, () => destroy())."
    case (.closeWaitUnseen, .java):
      "Selector interest must have OP_READ while idle; a pool needs a validation or an idle limit below the server's."
    case (.closeWaitUnseen, .go): "Keep a goroutine in Read for each connection; set MaxIdleConns and IdleConnTimeout."
    case (.detached, .python):
      "sock.close() in except and finally: after ConnectionResetError the descriptor is still open."
    case (.detached, .go):
      "Close the conn after an error of Read or Write; close the body when Do gave a response and an error."
    case (.detached, .java): "close() the Socket when connect or read throws: try-with-resources does."
    case (.detached, .node): "socket.destroy() in the 'error' handler of handles that were taken over."
    case (.inherited, .python):
      "Leave close_fds=True (the default of subprocess) and do not call set_inheritable(True); pass_fds names the "
        + "descriptors that a child may have."
    case (.inherited, .go): "Do not put it into Cmd.ExtraFiles; package net sets close-on-exec on all that it opens."
    case (.closedUnread, .python): "sock.shutdown(SHUT_WR), recv() until b\"\" with settimeout, then close()."
    case (.closedUnread, .go):
      "conn.(*net.TCPConn).CloseWrite(), io.Copy(io.Discard, conn) with a deadline, then Close()."
    case (.finWait2Held, .python):
      "sock.settimeout(seconds) before the recv() that follows shutdown, and close() in finally."
    case (.finWait2Held, .go): "conn.SetReadDeadline(…) after CloseWrite(), and Close() in a defer."
    case (.peerZeroWindow, .python):
      "sock.settimeout(seconds); asyncio: await wait_for(writer.drain(), seconds), then abort()."
    case (.peerZeroWindow, .node): "Stop when write() returns false, wait for 'drain' with a limit, then destroy()."
    case (.peerZeroWindow, .go): "conn.SetWriteDeadline(…) before every Write."
    case (.peerZeroWindow, .java):
      "A write that can wait needs a watchdog that closes the channel; setSoTimeout is for reads only."
    case (.unacknowledged, .python): "sock.setsockopt(IPPROTO_TCP, TCP_USER_TIMEOUT, milliseconds)."
    case (.unacknowledged, .go):
      "conn.SetWriteDeadline and SetReadDeadline; TCP_USER_TIMEOUT through net.Dialer.Control."
    case (.idleWithoutKeepalive, .python):
      "sock.setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1) and TCP_KEEPIDLE 60, TCP_KEEPINTVL 10, TCP_KEEPCNT 6."
    case (.idleWithoutKeepalive, .node): "socket.setKeepAlive(true, 60_000), or server.keepAliveTimeout."
    case (.idleWithoutKeepalive, .go): "net.Dialer{KeepAliveConfig: …}; http.Server{IdleTimeout: …}."
    case (.idleWithoutKeepalive, .java): "setOption(SO_KEEPALIVE, true) and ExtendedSocketOptions.TCP_KEEPIDLE."
    case (.connectStuck, .python): "socket.create_connection(address, timeout=seconds)."
    case (.connectStuck, .node): "A timer that destroys the socket before 'connect'; AbortSignal.timeout for fetch."
    case (.connectStuck, .go): "net.Dialer{Timeout: …} or a context with a deadline."
    case (.connectStuck, .java): "socket.connect(address, milliseconds)."
    case (.bindBeforeConnect, .python):
      "sock.setsockopt(IPPROTO_IP, 24, 1) (IP_BIND_ADDRESS_NO_PORT) before sock.bind((address, 0))."
    case (.acceptOverflow, .python): "server.listen(4096): the default is 128; accept in a loop until BlockingIOError."
    case (.acceptOverflow, .node): "server.listen({backlog: 4096}); no work that blocks the event loop."
    case (.acceptOverflow, .java): "new ServerSocket(port, 4096): the default is 50."
    default: nil
    }
  }

  private static func fin(_ id: FindingID) -> String {
    switch id {
    case .closeWaitKnown, .closeWaitUnseen:
      "withConnection and serve close at the end of their scope; each receive has a deadline; a leak report names the "
        + "line."
    case .detached: "A Socket that throws is closed with its owner; use after close does not compile."
    case .descriptorLimit, .acceptWithoutDescriptors:
      "serve has a limit of connections and a descriptor in reserve, and pauses accept when none is left."
    case .inherited: "Every socket is created close-on-exec."
    case .noDescriptor: "Descriptors are lent for a scope, and never sent by accident."
    case .closedUnread: "close(.confirmed) drains within its deadline; only abort() resets, and its report says so."
    case .finWait2Held:
      "finishSending() returns a ReceivingConnection: each receive has a deadline, and close has a time limit."
    case .orphans:
      "close(.confirmed) waits for the acknowledgement within a deadline, and the report names the bytes lost."
    case .peerZeroWindow: "send(within:) gives up in time, and the close that follows has a time limit."
    case .unread: "A connection that is dropped is closed; receive has a deadline."
    case .unacknowledged: "send and close have deadlines, and a close that is not confirmed says so in its report."
    case .idleWithoutKeepalive: "receive(within:) ends an idle connection; serve has a limit for idle ones."
    case .keepaliveFailing: "The error is .timedOut, and the connection is closed after it."
    case .connectStuck: "connect(within:) has a deadline for all addresses together, with a default."
    case .portsExhausted, .timeWaitChurn: "fin lab port-exhaustion shows how ports run out and become free again."
    case .bindBeforeConnect: "An address is bound without a port: connect chooses the port."
    case .bindBlocked: "Listener.bind sets SO_REUSEADDR, and its error names the holder of the address."
    case .acceptOverflow, .acceptStalled:
      "serve accepts until no client waits, separately from the work; its backlog is somaxconn."
    case .synBacklog: "Nothing: this happens below any library."
    case .memory: "Buffers have limits, and a send that makes no progress ends at its deadline."
    case .unix: "The same verbs and the same promises as for TCP."
    }
  }
}
