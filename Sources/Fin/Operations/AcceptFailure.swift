internal import CFin
internal import Glibc
internal import SystemPackage

/// The meaning of an error of `accept4(2)`. `accept` and both servers decide by this one table.
enum AcceptFailure {
  /// The error concerns one client, or the network: the next client is taken at once, up to ``mostInARow`` times.
  case client
  /// No descriptor, or no memory for one, is available. The client stays queued until something is released.
  case capacity
  /// A filter or a security module forbids the call, or accept is not known for this error. The client stays queued.
  case refused
  /// The descriptor is not a listener any more.
  case listener

  /// The number of consecutive errors about one client each after which `accept` gives up: they may be one
  /// lasting error.
  static let mostInARow = 16

  init(_ code: Errno) {
    switch code {
    // accept(2) reports pending network errors of the new socket.
    case .connectionAbort, .interrupted, .connectionReset, .timedOut, .networkDown, .networkUnreachable, .hostIsDown,
      .noRouteToHost, .socketTypeNotSupported, .protocolNotSupported, .protocolError, .protocolNotAvailable,
      Errno(rawValue: ENONET), Errno(rawValue: ENOSR):
      self = .client
    case .tooManyOpenFiles, .tooManyOpenFilesInSystem, .noBufferSpace, .noMemory: self = .capacity
    case .badFileDescriptor, .notSocket, .badAddress, .invalidArgument, .notSupportedOnSocket: self = .listener
    // EPERM and EACCES. A seccomp filter may be written to return any errno.
    default: self = .refused
    }
  }
}

extension Core {
  /// The meaning of an error for this listener. The listener itself is asked where the code alone is ambiguous.
  func acceptFailure(_ code: Errno, _ access: Access) -> AcceptFailure {
    let failure = AcceptFailure(code)
    // A filter may return EINVAL as well, and EOPNOTSUPP may be a network error.
    if code == .invalidArgument || code == .notSupportedOnSocket, isListening(access) { return .refused }
    return failure
  }

  /// The meaning of an error for a server, which is outside the gate. A closed listener fails at the next accept.
  func acceptFailure(_ code: Errno) -> AcceptFailure {
    (try? withAccess(.accept) { acceptFailure(code, $0) }) ?? .refused
  }

  func isListening(_ access: Access) -> Bool {
    guard (try? Syscalls.integerOption(number(access), SOL_SOCKET, SO_ACCEPTCONN)) ?? 0 != 0 else { return false }
    return family != .unix || !isShutDown(access)
  }

  /// Whether a Unix listener was shut down. It still counts as listening, polls readable, returns EAGAIN, and refuses
  /// every client.
  func isShutDown(_ access: Access) -> Bool {
    let events = (try? Syscalls.poll(number(access), CInt(FIN_EPOLLRDHUP), until: .passed)) ?? nil
    return (events?.first ?? 0) & CInt(FIN_EPOLLRDHUP) != 0
  }
}

/// The pause before the next attempt: it doubles after each failure, up to 1 s, until an attempt succeeds.
struct Backoff {
  private(set) var pause = Backoff.first
  private static let first = Duration.milliseconds(5)
  private static let longest = Duration.seconds(1)

  /// Whether nothing has failed since the last success.
  var isFirst: Bool { pause == Backoff.first }
  mutating func grow() {
    pause = min(pause * 2, Backoff.longest)
  }
  mutating func reset() { pause = Backoff.first }
}
