public import SystemPackage

/// What was being done, to whom, whose doing the failure was, and what a person can do about it.
public struct SocketError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The verb that failed.
  public enum Operation: String, Hashable, Sendable {
    /// `socket(2)`, `socketpair(2)`.
    case open
    /// `bind(2)`.
    case bind
    /// `listen(2)`.
    case listen
    /// `accept4(2)`.
    case accept
    /// `connect(2)`, and looking up the name to connect to.
    case connect
    /// `send(2)`, `sendmsg(2)`.
    case send
    /// `recv(2)`.
    case receive
    /// Taking over a descriptor from elsewhere.
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
    /// `getsockopt(2)` and other questions to the kernel.
    case getOption = "get option"
    /// `getsockopt(2)` with `TCP_INFO`.
    case tcpInfo = "read TCP_INFO"
    /// `memfd_create(2)`, `fallocate(2)`, `mmap(2)` for a ``Ledger``.
    case publish = "publish the ledger"
  }

  /// Whose doing it was.
  public enum Cause: Error, Hashable, Sendable {
    /// Ours: a close, an abort or a stop began, or was over.
    case closed
    /// The listener is paused.
    case paused
    /// The peer's, or the path's: RST. Never an end of file.
    case reset
    /// The kernel gave the connection up: `ETIMEDOUT` after unanswered retransmissions or probes, an ICMP error, or
    /// `ECONNABORTED` when an administrator ended it.
    case lost(Errno)
    /// A deadline of ours passed.
    case timedOut
    /// The task was cancelled. What had been received and not returned stays readable; what had been sent says
    /// ``SocketError/bytesAccepted``.
    case cancelled
    /// The ``Reactor`` at which this socket waits was stopped.
    case reactorStopped
    /// We had finished sending.
    case finished
    /// The peer takes no more: it has closed (`EPIPE`).
    case peerClosed
    /// The stream ended in the middle of what was asked for. What came, so many bytes, stays readable.
    case endOfStream(received: Int)
    /// More came than the limit of this name allows. What came stays readable.
    case limit(String, Int)
    /// The line is not UTF-8. It stays readable as bytes.
    case notText
    /// Somebody else is receiving at this moment.
    case busy
    /// More than 1,048,575 operations at once on one socket, or more than 65,536 that wait for their turn to send.
    case tooManyOperations
    /// The argument makes no sense; what is wrong with it.
    case invalid(String)
    /// The name could not be turned into an address.
    case unresolved(ResolveError)
    /// Whatever else the kernel says.
    case system(Errno)
  }

  /// The verb that failed.
  public var operation: Operation { details.operation }
  /// Whose doing it was.
  public var cause: Cause { details.cause }
  /// Where this end is; `nil` when it had no address.
  public var local: SocketAddress? { details.local }
  /// Where the other end is; `nil` when there was none.
  public var peer: SocketAddress? { details.peer }
  /// Bytes that this call had handed to the kernel before it failed. They may have reached the peer, or may not: only
  /// ``CloseReport`` tells.
  public var bytesAccepted: Int { details.bytesAccepted }
  /// What else a person should know: the name of an option, who holds the port.
  public var note: String? { details.note }

  /// Behind a reference, so that each function that may throw keeps room for a word and not for all of this.
  private let details: Details

  private final class Details: Sendable {
    let operation: Operation
    let cause: Cause
    let local: SocketAddress?
    let peer: SocketAddress?
    let bytesAccepted: Int
    let note: String?
    /// For the hint; no part of what two errors have in common.
    let kind: SocketKind?

    init(
      _ operation: Operation, _ cause: Cause, _ kind: SocketKind?, _ local: SocketAddress?, _ peer: SocketAddress?,
      _ bytesAccepted: Int, _ note: String?
    ) {
      self.operation = operation
      self.cause = cause
      self.local = local
      self.peer = peer
      self.bytesAccepted = bytesAccepted
      self.note = note
      self.kind = kind
    }
  }

  public static func == (a: SocketError, b: SocketError) -> Bool {
    a.operation == b.operation && a.cause == b.cause && a.local == b.local && a.peer == b.peer
      && a.bytesAccepted == b.bytesAccepted && a.note == b.note
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(operation)
    hasher.combine(cause)
    hasher.combine(bytesAccepted)
  }

  init(
    _ operation: Operation, _ cause: Cause, _ kind: SocketKind? = nil, local: SocketAddress? = nil,
    peer: SocketAddress? = nil, bytesAccepted: Int = 0, note: String? = nil
  ) {
    details = Details(operation, cause, kind, local, peer, bytesAccepted, note)
  }

  /// `bind 127.0.0.1:80: permission denied (EACCES): ports below 1024 need CAP_NET_BIND_SERVICE`.
  public var description: String {
    var text = operation.rawValue
    switch (local, peer) {
    case (let local?, let peer?): text += " \(local) → \(peer)"
    case (let local?, nil): text += " \(local)"
    case (nil, let peer?): text += " \(peer)"
    case (nil, nil): break
    }
    text += ": \(cause.text)"
    if bytesAccepted > 0 { text += ", after \(bytesAccepted) bytes were accepted" }
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
    case .lost(let code): "the kernel gave the connection up: \(code.text)"
    case .timedOut: "timed out"
    case .cancelled: "the task was cancelled"
    case .reactorStopped: "the reactor was stopped"
    case .finished: "this side has finished sending"
    case .peerClosed: "the peer has closed (EPIPE)"
    case .endOfStream(let received): "the peer finished in the middle, after \(received) bytes"
    case .limit(let name, let value): "more than the \(name) of \(value)"
    case .notText: "not UTF-8"
    case .busy: "somebody else is receiving"
    case .tooManyOperations: "too many operations at once"
    case .invalid(let reason): reason
    case .unresolved(let error): "\(error)"
    case .system(let code): code.text
    }
  }
}

extension Errno {
  /// `permission denied (EACCES)`.
  fileprivate var text: String {
    let text = "\(self)"
    return "\(text.prefix(1).lowercased())\(text.dropFirst()) (\(name))"
  }
}

extension SocketError {
  /// What a person can do about it.
  private var hint: String? {
    switch cause {
    case .timedOut:
      switch operation {
      case .connect: "nothing answered: is the host up, and does a firewall drop the packets?"
      case .receive: "the peer sent nothing in this time; pass within: to wait longer"
      case .send: "the peer does not read, or the path is cut"
      default: nil
      }
    case .closed where operation == .accept: "the listener was stopped or closed"
    case .finished: "send before finishSending(), or close"
    case .busy: "one reader at a time: receive from one thread, or share the lines and not the socket"
    case .limit: "what came stays readable; raise the limit, or close"
    case .endOfStream: "what came stays readable with receive(upTo:)"
    case .notText: "read it as bytes with receive(until:)"
    case .system(let code): hint(code)
    case .lost(.timedOut): "sent bytes or probes stayed unanswered: the peer or the path is gone"
    case .lost(.connectionAbort): "it was ended from outside, as with ss -K"
    case .reactorStopped: "a socket waits at one reactor all its life; stop the reactor last"
    case .closed, .paused, .reset, .lost, .peerClosed, .tooManyOperations, .invalid, .unresolved, .cancelled: nil
    }
  }

  private func hint(_ code: Errno) -> String? {
    switch (operation, code) {
    case (.bind, .permissionDenied):
      switch local {
      case .unix?: "the folder, or the path itself, does not let this user write"
      case .ip?, nil: "ports below 1024 need CAP_NET_BIND_SERVICE"
      }
    case (.bind, .addressInUse), (.listen, .addressInUse): "another socket has it: see ss -tlnp"
    case (.bind, .noSuchFileOrDirectory): "the folder does not exist"
    case (.bind, .notDirectory): "what should be a folder is a file"
    case (.bind, .addressNotAvailable): "no interface of this machine has this address"
    case (.connect, .connectionRefused):
      switch peer {
      case .unix?: "nobody listens on this path; the file is what a dead server left behind"
      case .ip?, nil: "nobody listens there"
      }
    case (.connect, .noSuchFileOrDirectory): "there is no such path"
    case (.connect, .addressNotAvailable):
      "every local port to this destination is taken, TIME-WAIT included: reuse connections"
    case (.connect, .networkUnreachable), (.connect, .noRouteToHost): "there is no route: see ip route get"
    case (.connect, .resourceTemporarilyUnavailable): "the queue of the listener is full"
    case (.adopt, .socketTypeNotSupported), (_, .notSocket): "the descriptor is not a socket of this kind"
    case (.publish, .noFunction), (.publish, .notPermitted), (.publish, .permissionDenied):
      "memfd_create needs Linux 3.17, and a sandbox that allows it"
    case (.publish, .noMemory): "128 MiB of addresses are reserved, of which little is used: see ulimit -v"
    case (_, .tooManyOpenFiles): "this process has reached its descriptor limit: ulimit -n"
    case (_, .tooManyOpenFilesInSystem): "the machine has reached its descriptor limit: sysctl fs.file-max"
    case (.send, .messageTooLong): "a datagram must fit into one packet of the protocol, 65,507 bytes for UDP over IPv4"
    case (.send, .connectionRefused) where details.kind == .stream,
      (.receive, .connectionRefused) where details.kind == .stream:
      "the host of the peer refuses the connection, or something on the way does in its name (ICMP)"
    case (.send, .socketNotConnected) where details.kind == .stream,
      (.receive, .socketNotConnected) where details.kind == .stream,
      (.finishSending, .socketNotConnected):
      "there is no connection yet: connect(to:) first, and wait until it returns"
    case (.send, .connectionRefused), (.receive, .connectionRefused):
      switch peer {
      case .unix?: "nobody is bound to this path any more"
      case .ip?, nil:
        "an earlier datagram met a port that nobody has, says its host (ICMP); this socket goes on"
      }
    case (.send, .permissionDenied):
      switch peer {
      case .unix?: "the path does not let this user write"
      case .ip?, nil: "a broadcast address needs set(.broadcast, to: true) first; or a route or a firewall forbids it"
      }
    case (.send, .addressRequired), (.send, .socketNotConnected):
      "it is connected to nobody: say where to with send(_:to:), or connect(to:) first"
    case (.send, .addressFamilyNotSupported), (.connect, .addressFamilyNotSupported):
      "the address is of another family than the socket"
    default: nil
    }
  }
}
