import Glibc
import Peers
import Synchronization
import SystemPackage

@testable import Fin

/// A column of the tables. TCP and UDP are tried over IPv4 and IPv6.
enum ProductFamily: String, CaseIterable {
  case tcp4, tcp6, mptcp, unix

  /// The family that Fin opens. MPTCP sockets are adopted only.
  var family: AddressFamily {
    switch self {
    case .tcp4, .mptcp: .ipv4
    case .tcp6: .ipv6
    case .unix: .unix
    }
  }

  static func of(column: String) -> [ProductFamily] {
    switch column {
    case "TCP": [.tcp4, .tcp6]
    case "MPTCP": hasMPTCP ? [.mptcp] : []
    case "Unix": [.unix]
    default: []
    }
  }

  static let hasMPTCP: Bool = {
    let number = socket(AF_INET, CInt(SOCK_STREAM.rawValue), protocolMPTCP)
    guard number >= 0 else { return false }
    close(number)
    return true
  }()

  private static let protocolMPTCP: CInt = 262
  private static let names = Atomic(0)

  /// An unused address: port 0, so that the kernel chooses, or an abstract name.
  var freshAddress: SocketAddress {
    switch self {
    case .tcp4, .mptcp: .loopback(port: 0)
    case .tcp6: .ip(.v6(.loopback), port: 0)
    case .unix:
      try! .unix("@fin.product.\(getpid()).\(Self.names.add(1, ordering: .relaxed).newValue)")
    }
  }

  /// A socket of this column, created without Fin.
  func plain() throws -> CInt {
    let number = socket(
      family.rawValue, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue),
      self == .mptcp ? Self.protocolMPTCP : 0)
    guard number >= 0 else { throw RigError("socket", code: errno) }
    return number
  }

  /// A listener of this column, created without Fin.
  func plainListener(backlog: CInt = 16) throws -> PlainSocket {
    let number = try plain()
    try Syscalls.bind(number, freshAddress)
    try Syscalls.listen(number, backlog)
    return PlainSocket(adopting: number)
  }

  func plainConnection(to address: SocketAddress) throws -> PlainSocket {
    let number = try plain()
    let socket = PlainSocket(adopting: number)
    try Syscalls.connect(number, address)
    return socket
  }
}

/// A stream in one phase, with its peer and listener.
final class StreamStage: Sendable {
  let ours: SharedConnection
  /// The other end; `nil` when there is none.
  let peer: PlainSocket?
  /// The address that `connect` uses.
  let target: SocketAddress
  /// The file of the verbs that send or receive one: a letter, which is written over.
  let file: TestFile
  private let listener: PlainSocket
  private let filler: PlainSocket?
  private let attempt: Joining<SocketError.Cause?>?

  /// - Parameter isSpeaking: whether the peer has sent a line, where it can.
  init(_ family: ProductFamily, _ phase: Phase, isSpeaking: Bool) throws {
    let isConnecting = phase == .connecting
    let listener = try family.plainListener(backlog: isConnecting ? 0 : 16)
    let target = try Syscalls.localAddress(listener.descriptor)!
    self.target = target
    file = try TestFile([120])
    var peer: PlainSocket?
    let filler = isConnecting ? try family.plainConnection(to: target) : nil
    var attempt: Joining<SocketError.Cause?>?
    switch (phase, family) {
    case (.fresh, _): ours = try SharedConnection(unconnected: family.family)
    case (.connecting, _):
      let connection = try SharedConnection(unconnected: family.family)
      ours = connection
      attempt = onThread {
        do throws(SocketError) { try connection.connect(to: target, within: .seconds(60)) } catch { return error.cause }
        return nil
      }
      try eventually(within: .seconds(20), "the attempt", equals: .connecting) { connection.phase }
    case (_, .mptcp):
      let number = try family.plainConnection(to: target).detach()
      ours = try Connection.adopt(FileDescriptor(rawValue: number)).share()
    default: ours = try Connection.connect(to: target, within: .seconds(20)).share()
    }
    if phase != .fresh, !isConnecting { peer = try listener.accept() }
    switch phase {
    case .fresh, .connecting, .connected: break
    case .sendFinished: try ours.finishSending()
    case .peerFinished, .bothFinished:
      try peer?.finishSending()
      _ = try ours.receive(upTo: 1, within: .seconds(20))
      if phase == .bothFinished { try ours.finishSending() }
    case .failed:
      // A Unix stream is reset when its peer closes with unread bytes.
      if family == .unix { try ours.send("unread") }
      peer.take()?.abort()
      do { _ = try ours.receive(upTo: 1, within: .seconds(20)) } catch {}
    case .closed: ours.abort()
    default: throw RigError("a stream is never \(phase) for long")
    }
    if isSpeaking { try peer?.send(Array("line\n".utf8)) }
    guard ours.phase == phase else { throw RigError("\(family): staged \(phase), and it is \(ours.phase)") }
    self.peer = peer
    self.listener = listener
    self.filler = filler
    self.attempt = attempt
  }

  /// The bytes that the other end receives next, empty at EOF; `nil` when there is no other end.
  func peerReceives() throws -> [UInt8]? { try peer?.receive() }

  /// Closes everything.
  func strike() throws {
    ours.abort()
    _ = try attempt?.join(within: .seconds(20))
  }
}

extension SocketError.Cause {
  /// The word for this cause in the tables.
  var word: String {
    switch self {
    case .closed: ".closed"
    case .paused: ".paused"
    case .reset: ".reset"
    case .lost: ".lost"
    case .truncated: ".truncated"
    case .unverified: ".unverified"
    case .tls: ".tls"
    case .timedOut: ".timedOut"
    case .cancelled: ".cancelled"
    case .reactorStopped: ".reactorStopped"
    case .finished: ".finished"
    case .peerClosed: ".peerClosed"
    case .endOfStream: ".endOfStream"
    case .limit: ".limit"
    case .descriptorsLost: ".descriptorsLost"
    case .notText: ".notText"
    case .busy: ".busy"
    case .tooManyOperations: ".tooManyOperations"
    case .invalid: ".invalid"
    case .unresolved: ".unresolved"
    case .system(let code): code.name
    }
  }
}
