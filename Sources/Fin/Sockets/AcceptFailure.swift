internal import CFin
internal import Glibc
internal import SystemPackage

/// The meaning of an error of `accept4(2)`: the one table from which `accept` and both servers decide.
enum AcceptFailure {
  /// It was about one client, or the network: the next client is taken at once, ``mostInARow`` times.
  case client
  /// There is no room for a descriptor or its memory. The client stays queued until something is released.
  case capacity
  /// A filter or a security module forbids it, or the error is none that accept is known for. The client stays queued.
  case refused
  /// The listener is not one any more.
  case listener

  /// Errors about one client each, after which `accept` gives up: they may be one error that lasts.
  static let mostInARow = 16

  init(_ code: Errno) {
    switch code {
    // accept(2): pending network errors of the new socket come out of accept.
    case .connectionAbort, .interrupted, .connectionReset, .timedOut, .networkDown, .networkUnreachable, .hostIsDown,
      .noRouteToHost, .socketTypeNotSupported, .protocolNotSupported, .protocolError, .protocolNotAvailable,
      Errno(rawValue: ENONET), Errno(rawValue: ENOSR):
      self = .client
    case .tooManyOpenFiles, .tooManyOpenFilesInSystem, .noBufferSpace, .noMemory: self = .capacity
    case .badFileDescriptor, .notSocket, .badAddress, .invalidArgument, .notSupportedOnSocket: self = .listener
    // EPERM and EACCES; a seccomp filter may be written to say anything at all.
    default: self = .refused
    }
  }
}

extension Core {
  /// The meaning of an error for this listener, which is asked where the code alone may say either.
  func acceptFailure(_ code: Errno, _ world: World) -> AcceptFailure {
    let failure = AcceptFailure(code)
    // EINVAL is also a filter's word, and EOPNOTSUPP a network error.
    if code == .invalidArgument || code == .notSupportedOnSocket, isListening(world) { return .refused }
    return failure
  }

  /// The same for a server, which is outside the gate; a listener that is closed by now says so at the next accept.
  func acceptFailure(_ code: Errno) -> AcceptFailure {
    (try? passing(.accept) { acceptFailure(code, $0) }) ?? .refused
  }

  private func isListening(_ world: World) -> Bool {
    guard (try? Syscalls.integerOption(number(world), SOL_SOCKET, SO_ACCEPTCONN)) ?? 0 != 0 else { return false }
    return family != .unix || !isShutDown(world)
  }

  /// Whether a Unix listener was shut down: it still calls itself one, is readable, says EAGAIN, and refuses every client.
  func isShutDown(_ world: World) -> Bool {
    let events = (try? Syscalls.poll(number(world), CInt(FIN_EPOLLRDHUP), until: .passed)) ?? nil
    return (events?.first ?? 0) & CInt(FIN_EPOLLRDHUP) != 0
  }
}

/// How long to wait before the next try: longer after each that failed, 1 s at most, until one succeeds.
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
