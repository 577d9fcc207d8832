internal import CFin
internal import FinBase
internal import Glibc
internal import Synchronization
internal import SystemPackage

extension Core.Role {
  fileprivate var kind: SocketKind {
    switch self {
    case .connection, .listener: .stream
    case .datagrams: .datagram
    case .packets, .packetListener: .sequencedPacket
    }
  }

  fileprivate var listens: Bool { self == .listener || self == .packetListener }
  fileprivate var isConnected: Bool { self == .connection || self == .packets }
}

/// Adopting, lending and duplicating descriptors.
extension Core {
  /// The kind of socket that the caller wants to adopt.
  enum Role { case connection, listener, datagrams, packets, packetListener }

  /// Takes over a descriptor after checking what it is; on failure it is untouched.
  static func adopted(_ number: CInt, as role: Role, site: Ledger.Site) throws(SocketError) -> Core {
    func ask(_ name: CInt) throws(SocketError) -> CInt {
      do throws(Errno) { return try Syscalls.integerOption(number, SOL_SOCKET, name) } catch {
        throw SocketError(.adopt, .system(error), note: "descriptor \(number)")
      }
    }
    func refuse(_ reason: String) -> SocketError { SocketError(.adopt, .invalid("descriptor \(number) \(reason)")) }

    let kind = SocketKind(rawValue: try ask(SO_TYPE))
    // From here on this call has claimed the number: of two calls that adopt it at the same time, one succeeds.
    guard Ledger.claim(number) else { throw refuse("belongs to Fin already") }
    var isAdopted = false
    defer { if !isAdopted { Ledger.disclaim(number) } }
    let family = AddressFamily(rawValue: try ask(SO_DOMAIN))
    let isListening = try ask(SO_ACCEPTCONN) != 0
    guard [.ipv4, .ipv6, .unix].contains(family) else { throw refuse("has an address family that Fin does not use") }
    guard kind == role.kind, family == .unix || kind != .sequencedPacket else { throw refuse("is a \(kind) socket") }
    if kind == .stream, family != .unix, let foreign = try foreignProtocol(number) { throw refuse(foreign) }
    guard isListening == role.listens else { throw refuse(isListening ? "listens" : "does not listen") }
    do throws(Errno) {
      var peer: SocketAddress?
      do throws(Errno) { peer = try Syscalls.remoteAddress(number) } catch {
        if role.isConnected { throw error }
      }
      // The kernel names the peer of an MPTCP socket while the connect attempt is still under way.
      if role == .connection, family != .unix, (try? TCPInfo.read(number))?.state == .synSent {
        throw Errno.socketNotConnected
      }
      let local = try Syscalls.localAddress(number)
      try Syscalls.makeSafe(number)
      if kind == .stream { try disarmLinger(number) }
      let connectionState = role.isConnected ? history(of: number, role, family) : ConnectionState()
      let phase: Phase =
        switch role {
        case .connection, .packets: connectionState.value.phase
        case .listener, .packetListener: .listening
        case .datagrams: .bound
        }
      isAdopted = true
      let core = Core(
        Descriptor(owning: number), family: family, kind: kind, phase: phase, local: local, peer: peer,
        connectionState: connectionState,
        isShared: role.listens, site: site)
      if role.listens { core.closing.withLock { $0.isAdopted = true } }
      return core
    } catch {
      throw SocketError(.adopt, .system(error), note: "descriptor \(number)")
    }
  }

  /// Describes the protocol of an IP stream that is not TCP: its closing, options and queues have other meanings.
  ///
  /// - Returns: `nil` for TCP, and for MPTCP, which has the parts of TCP that are used here.
  private static func foreignProtocol(_ number: CInt) throws(SocketError) -> String? {
    let spoken: CInt
    do throws(Errno) { spoken = try Syscalls.protocolNumber(number) } catch {
      throw SocketError(.adopt, .system(error), note: "descriptor \(number)")
    }
    return switch spoken {
    case CInt(IPPROTO_TCP), CInt(FIN_IPPROTO_MPTCP): nil
    case CInt(FIN_IPPROTO_SCTP): "is an SCTP socket"
    default: "speaks protocol \(spoken)"
    }
  }

  private static func disarmLinger(_ number: CInt) throws(Errno) {
    do throws(Errno) { try Syscalls.disarmLinger(number) } catch {
      // MPTCP had no such option before Linux 5.14, so that none can be set.
      let isMultipath = (try? Syscalls.protocolNumber(number)) == CInt(FIN_IPPROTO_MPTCP)
      guard isMultipath, error == .protocolNotAvailable || error == .notSupportedOnSocket else { throw error }
    }
  }

  /// The terminal state of an adopted connection: that of its duplicates, or a new one that records whether our FIN
  /// is queued.
  private static func history(of number: CInt, _ role: Role, _ family: AddressFamily) -> ConnectionState {
    let connectionState = SharedConnectionStates.join(number) ?? ConnectionState()
    // The question would send an empty message.
    if role == .packets { return connectionState }
    if hasFinished(number, family) { connectionState.update { $0.noteFinish() } }
    return connectionState
  }

  /// Whether this side has finished sending, according to the kernel.
  private static func hasFinished(_ number: CInt, _ family: AddressFamily) -> Bool {
    if family == .unix {
      // A send of 0 bytes transmits nothing. EPIPE then means that this side finished; a hang-up is the peer's doing.
      do throws(Errno) { _ = try unsafe Syscalls.send(number, UnsafeRawBufferPointer(start: nil, count: 0)) } catch {
        let events = (try? Syscalls.poll(number, 0, until: .passed)) ?? nil
        return error == .brokenPipe && (events?.first ?? 0) & CInt(POLLHUP) == 0
      }
      return false
    }
    switch try? TCPInfo.state(number) {
    case .finWait1, .finWait2, .closing, .lastAck, .timeWait: return true
    case .established, .synSent, .synReceived, .closed, .closeWait, .listen, nil: return false
    }
  }

  /// Lends the descriptor, and checks afterwards whether `shutdown(SHUT_WR)` was called on it: without knowledge of
  /// that FIN, two FINs would look like a reset, which leads to CLOSED as well.
  func lend<R>(_ access: Access, to body: (FileDescriptor) -> R) -> R {
    let lent = FileDescriptor(rawValue: number(access))
    guard kind == .stream, phase == .connected || phase == .peerFinished, !connectionState.value.finishedSending else {
      return Loan.during(self) { body(lent) }
    }
    let before = isTCP ? try? TCPInfo.state(number(access)) : nil
    let result = Loan.during(self) { body(lent) }
    if phase.isClosing { return result }
    var hasFinished = Core.hasFinished(number(access), family)
    // If the peer had finished first, the acknowledgement of our FIN leads on to CLOSED before the state can be read.
    if !hasFinished, before == .established || before == .closeWait, (try? TCPInfo.state(number(access))) == .closed {
      hasFinished = takeError(access) == nil
    }
    if hasFinished {
      connectionState.update { $0.noteFinish() }
      advance(.finishSending)
    }
    return result
  }

  /// Makes a second descriptor for the same connection, with the same latch, because the kernel reports an error only
  /// once for both.
  func duplicated(site: Ledger.Site) throws(SocketError) -> Core {
    try withAccess(.duplicate) { access throws(SocketError) in
      #if TLS
      if isSecured { throw self.error(.duplicate, .invalid("a secured connection has one session: share() it")) }
      #endif
      let descriptor: Descriptor
      do throws(Errno) { descriptor = Descriptor(owning: try Syscalls.duplicate(number(access))) } catch {
        throw self.error(.duplicate, .system(error))
      }
      SharedConnectionStates.keep(connectionState, of: descriptor.number)
      connectionState.update { $0.owners += 1 }
      return Core(
        descriptor, family: family, kind: kind, phase: phase, local: local, peer: peer,
        connectionState: connectionState, ledger: ledger,
        site: site)
    }
  }
}
