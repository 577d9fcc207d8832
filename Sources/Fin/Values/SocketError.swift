public import SystemPackage

/// The error of a socket operation: the operation, the addresses of both ends, the cause, and a hint for the user.
public struct SocketError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The operation that failed.
  public enum Operation: String, Hashable, Sendable {
    /// `socket(2)`, `socketpair(2)`.
    case open
    /// `bind(2)`.
    case bind
    /// `listen(2)`.
    case listen
    /// `accept4(2)`.
    case accept
    /// `connect(2)`, and resolving the name to connect to.
    case connect
    /// `send(2)`, `sendmsg(2)`.
    case send
    /// `recv(2)`.
    case receive
    /// Adopting a descriptor from elsewhere.
    case adopt
    /// Giving a descriptor away.
    case detach
    /// `dup(2)`.
    case duplicate
    /// `getaddrinfo(3)`.
    case resolve
    /// `shutdown(2)` on a listener.
    case pause
    /// `listen(2)` again.
    case resume
    /// `shutdown(SHUT_WR)`.
    case finishSending = "finish sending"
    /// `setsockopt(2)`.
    case setOption = "set option"
    /// `getsockopt(2)` and other queries of the kernel.
    case getOption = "get option"
    /// `getsockopt(2)` with `TCP_INFO`.
    case tcpInfo = "read TCP_INFO"
    /// The handshake of TLS.
    case secure
    /// Handing listeners over to a successor, or taking them over from a predecessor.
    case handOver = "hand over"
    /// `memfd_create(2)`, `fallocate(2)`, `mmap(2)` for a ``Ledger``.
    case publish = "publish the ledger"
    /// Work that blocks, in a thread of ``BlockingThreads``.
    case blockingWork = "run blocking work"
    /// Taking a connection from a ``ConnectionPool``.
    case checkOut = "take a connection from the pool"
    /// Joining a multicast group.
    case join = "join the group"
    /// Leaving a multicast group.
    case leave = "leave the group"
    /// `getifaddrs(3)`.
    case listInterfaces = "list network interfaces"
  }

  /// Why the operation failed.
  public enum Cause: Error, Hashable, Sendable {
    /// This program's own doing: a close, an abort or a stop was under way or had finished.
    case closed
    /// The listener is paused.
    case paused
    /// The connection was reset (RST), by the peer or on the path. A reset is never an end of file.
    case reset
    /// The kernel gave the connection up: `ETIMEDOUT` after unanswered retransmissions or probes, an ICMP error, or
    /// `ECONNABORTED` when an administrator ended it.
    case lost(Errno)
    /// The stream of a secured connection ended without the peer's close_notify: the peer, or something on the path,
    /// cut it off. Every later receive throws it again.
    case truncated
    /// The peer's certificate was refused; the text says why, and what to do.
    case unverified(String)
    /// The handshake or a record of TLS failed; the text has the peer's alert, or what was wrong.
    case tls(String)
    /// The operation's own deadline passed.
    case timedOut
    /// The task was cancelled. Bytes received and not returned stay readable; ``SocketError/bytesAccepted`` is the
    /// number of bytes sent.
    case cancelled
    /// The ``Reactor`` at which this socket is registered was stopped.
    case reactorStopped
    /// This side had finished sending.
    case finished
    /// The peer accepts no more bytes: it has closed (`EPIPE`).
    case peerClosed
    /// The stream ended before the request was complete. The `received` bytes that arrived stay readable.
    case endOfStream(received: Int)
    /// More bytes arrived than the limit with this name allows. They stay readable.
    case limit(String, Int)
    /// Not all descriptors that the peer passed could be given to this process (`MSG_CTRUNC`), usually because it is at
    /// its descriptor limit. Those that came are closed. The bytes of a stream stay readable; a message of a socket
    /// that keeps their bounds is lost.
    case descriptorsLost
    /// The line is not UTF-8. It stays readable as bytes.
    case notText
    /// Another receive is in progress.
    case busy
    /// More than 1,048,575 operations at once on one socket, more than 65,536 that wait for their turn to send, or more
    /// callers that wait for a connection than a pool allows.
    case tooManyOperations
    /// An argument makes no sense, or the socket's phase does not allow the call; the text says which.
    case invalid(String)
    /// The name could not be resolved to an address.
    case unresolved(ResolveError)
    /// Any other error of the kernel.
    case system(Errno)
  }

  /// The operation that failed.
  public var operation: Operation { details.operation }
  /// Why the operation failed.
  public var cause: Cause { details.cause }
  /// The local address; `nil` when the socket had none.
  public var localAddress: SocketAddress? { details.local }
  /// The address of the peer; `nil` when there was none.
  public var remoteAddress: SocketAddress? { details.peer }
  /// The number of bytes that this call had handed to the kernel before it failed. Whether they reached the peer, only
  /// ``CloseReport`` tells.
  public var bytesAccepted: Int { details.bytesAccepted }
  /// The number of datagrams of a batch that the kernel had accepted before this call failed; 0 for every other call.
  public var datagramsAccepted: Int { details.datagramsAccepted }
  /// The report of the error queue that this error is; `nil` for every other error.
  public var report: DatagramReport? { details.report }
  /// Further information for the user, such as the name of an option or the holder of the port.
  public var note: String? { details.note }
  /// The attempts of a dial that failed with all its addresses, in the order in which they failed; empty for every
  /// other error.
  public var attempts: [DialAttempt] { details.attempts }

  // [boxed cold state]
  /// Stored by reference, so that each function that may throw reserves one word and not the whole error.
  private let details: Details

  private final class Details: Sendable {
    let operation: Operation
    let cause: Cause
    let local: SocketAddress?
    let peer: SocketAddress?
    let bytesAccepted: Int
    let note: String?
    /// For the hint only; it takes no part in comparing two errors.
    let kind: SocketKind?
    let attempts: [DialAttempt]
    let datagramsAccepted: Int
    let report: DatagramReport?

    init(
      _ operation: Operation, _ cause: Cause, _ kind: SocketKind?, _ local: SocketAddress?, _ peer: SocketAddress?,
      _ bytesAccepted: Int, _ note: String?, _ attempts: [DialAttempt], _ datagramsAccepted: Int,
      _ report: DatagramReport?
    ) {
      self.operation = operation
      self.cause = cause
      self.local = local
      self.peer = peer
      self.bytesAccepted = bytesAccepted
      self.note = note
      self.kind = kind
      self.attempts = attempts
      self.datagramsAccepted = datagramsAccepted
      self.report = report
    }
  }

  public static func == (a: SocketError, b: SocketError) -> Bool {
    a.operation == b.operation && a.cause == b.cause && a.localAddress == b.localAddress
      && a.remoteAddress == b.remoteAddress && a.bytesAccepted == b.bytesAccepted && a.note == b.note
      && a.datagramsAccepted == b.datagramsAccepted && a.report == b.report
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(operation)
    hasher.combine(cause)
    hasher.combine(bytesAccepted)
  }

  init(
    _ operation: Operation, _ cause: Cause, _ kind: SocketKind? = nil, local: SocketAddress? = nil,
    peer: SocketAddress? = nil, bytesAccepted: Int = 0, note: String? = nil, attempts: [DialAttempt] = [],
    datagramsAccepted: Int = 0, report: DatagramReport? = nil
  ) {
    details = Details(
      operation, cause, kind, local, peer, bytesAccepted, note, attempts, datagramsAccepted, report)
  }

  /// The error in one line:
  /// `bind 127.0.0.1:80: permission denied (EACCES): ports below 1024 need CAP_NET_BIND_SERVICE`.
  public var description: String {
    var text = operation.rawValue
    switch (localAddress, remoteAddress) {
    case (let local?, let peer?): text += " \(local) → \(peer)"
    case (let local?, nil): text += " \(local)"
    case (nil, let peer?): text += " \(peer)"
    case (nil, nil): break
    }
    text += ": \(cause.text)"
    if bytesAccepted > 0 { text += ", after \(bytesAccepted) bytes were accepted" }
    if datagramsAccepted > 0 { text += ", after \(datagramsAccepted) datagrams were accepted" }
    if let hint = note ?? hint { text += ": \(hint)" }
    return text
  }
}

extension SocketError.Cause {
  var text: String {
    switch self {
    case .closed: "closed by this program"
    case .paused: "the listener is paused"
    case .reset: "reset by the peer (ECONNRESET)"
    case .lost(let code): "the kernel gave up the connection: \(code.text)"
    case .truncated: "the stream was cut off: it ended without the peer's close_notify"
    case .unverified(let reason): "the peer is not proven to be the wanted one: \(reason)"
    case .tls(let reason): "TLS failed: \(reason)"
    case .timedOut: "timed out"
    case .cancelled: "the task was cancelled"
    case .reactorStopped: "the reactor was stopped"
    case .finished: "this side has finished sending"
    case .peerClosed: "the peer has closed (EPIPE)"
    case .endOfStream(let received): "the peer finished sending too early, after \(received) bytes"
    case .limit(let name, let value): "more than the \(name) of \(value)"
    case .descriptorsLost: "not all passed descriptors arrived (MSG_CTRUNC)"
    case .notText: "not UTF-8"
    case .busy: "another operation is receiving"
    case .tooManyOperations: "too many operations at once"
    case .invalid(let reason): reason
    case .unresolved(let error): "\(error)"
    case .system(let code): code.text
    }
  }
}

extension SocketError {
  /// A hint about what the user can do.
  private var hint: String? {
    switch cause {
    case .timedOut:
      switch operation {
      case .connect where remoteAddress?.family == .unix:
        "the queue of the listener stayed full: the server accepts too slowly, or not at all"
      case .connect: "nothing answered: is the host up, and does a firewall drop the packets?"
      case .receive: "the peer sent nothing in this time; pass within: to wait longer"
      case .send: "the peer does not read, or the path is cut"
      case .secure: "the peer did not finish the handshake: does it speak TLS on this port?"
      case .blockingWork: "other work held every thread for that long"
      case .checkOut: "all connections were in use for that long, or the server took as long to accept one"
      default: nil
      }
    case .closed where operation == .accept: "the listener was stopped or closed"
    case .finished: "send before finishSending(), or close"
    case .busy: "receive in one thread or task only, and share what it received"
    case .limit: "the received bytes stay readable; raise the limit, or close"
    case .endOfStream: "the received bytes stay readable with receive(upTo:)"
    case .descriptorsLost: "this process is probably at its descriptor limit, see ulimit -n; those that came are closed"
    case .notText: "read it as bytes with receive(until:)"
    case .system(let code): hint(code)
    case .lost(.timedOut): "sent bytes or probes stayed unanswered: the peer or the path is gone"
    case .lost(.connectionAbort): "something outside this program ended it, for example ss -K"
    case .reactorStopped: "a socket cannot change to another reactor; stop the reactor last"
    case .truncated: "what was received may be a part only; it can be whole where the protocol says its length"
    case .closed, .paused, .reset, .lost, .unverified, .tls, .peerClosed, .tooManyOperations, .invalid, .unresolved,
      .cancelled:
      nil
    }
  }

  /// Whether the address is valid on one link only, and does not say on which.
  private func lacksZone(_ address: SocketAddress?) -> Bool {
    guard case .v6(let ip)? = address?.ip else { return false }
    return ip.isLinkLocal && ip.scope == 0
  }

  private func hint(_ code: Errno) -> String? {
    switch (operation, code) {
    case (.bind, .invalidArgument) where lacksZone(localAddress),
      (.connect, .invalidArgument) where lacksZone(remoteAddress),
      (.send, .invalidArgument) where lacksZone(remoteAddress):
      "a link-local address needs the name of its link: [fe80::1%eth0]:80"
    case (.bind, .permissionDenied):
      switch localAddress {
      case .unix?: "this user may not write to the folder, or to the path itself"
      case .ip?, nil: "ports below 1024 need CAP_NET_BIND_SERVICE"
      }
    case (.bind, .addressInUse), (.listen, .addressInUse): "another socket uses it: see ss -tlnp"
    case (.bind, .noSuchFileOrDirectory): "the folder does not exist"
    case (.bind, .notDirectory): "a part of the path is a file and not a folder"
    case (.bind, .addressNotAvailable): "no interface of this machine has this address"
    case (.connect, .connectionRefused):
      switch remoteAddress {
      case .unix?: "no program listens on this path; a dead server left the file behind"
      case .ip?, nil: "no program listens there"
      }
    case (.connect, .noSuchFileOrDirectory): "there is no such path"
    case (.connect, .addressNotAvailable):
      "every local port to this destination is taken, TIME-WAIT included: reuse connections"
    case (.connect, .networkUnreachable), (.connect, .noRouteToHost): "there is no route: see ip route get"
    case (.connect, .resourceTemporarilyUnavailable): "the queue of the listener is full"
    case (.adopt, .socketTypeNotSupported), (_, .notSocket): "the descriptor is not a socket of this kind"
    case (.publish, .noFunction), (.publish, .notPermitted), (.publish, .permissionDenied):
      "memfd_create needs Linux 3.17, and a sandbox that allows it"
    case (.publish, .noMemory): "the ledger reserves 128 MiB of address space, and uses little of it: see ulimit -v"
    case (_, .tooManyOpenFiles): "this process has reached its descriptor limit: ulimit -n"
    case (_, .tooManyOpenFilesInSystem): "the machine has reached its descriptor limit: sysctl fs.file-max"
    case (.send, .messageTooLong): "a datagram must fit into one packet of the protocol, 65,507 bytes for UDP over IPv4"
    case (.send, .connectionRefused) where details.kind == .stream,
      (.receive, .connectionRefused) where details.kind == .stream:
      "the peer's host, or a device on the way, refuses the connection (ICMP)"
    case (.send, .socketNotConnected) where details.kind == .stream,
      (.receive, .socketNotConnected) where details.kind == .stream,
      (.finishSending, .socketNotConnected):
      "there is no connection yet: call connect(to:) first, and wait until it returns"
    case (.send, .connectionRefused), (.receive, .connectionRefused):
      switch remoteAddress {
      case .unix?: "no socket is bound to this path any more"
      case .ip?, nil:
        "an earlier datagram was refused: port unreachable (ICMP); this socket is still usable"
      }
    case (.send, .permissionDenied):
      switch remoteAddress {
      case .unix?: "this user may not write to the path"
      case .ip?, nil: "a broadcast address needs set(.broadcast, to: true) first; or a route or a firewall forbids it"
      }
    case (.send, .addressRequired), (.send, .socketNotConnected):
      "this socket has no peer: name one with send(_:to:), or call connect(to:) first"
    case (.send, .addressFamilyNotSupported), (.connect, .addressFamilyNotSupported):
      "the socket is of another address family than the address"
    default: nil
    }
  }
}
