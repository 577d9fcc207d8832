internal import CFin
internal import Glibc
internal import SystemPackage

/// The `TCP_USER_TIMEOUT` of a connection, as far as Fin knows it: how long the kernel keeps a connection whose bytes
/// stay unacknowledged. Duplicates of a descriptor share it.
///
/// It is `Timeouts.send` once there is a connection, and not before: the kernel applies it to a connect attempt as well
/// (tcp(7)), and would end one that may take longer. While a send waits that may take longer than the limit, there is
/// no limit: the kernel counts from the first unacknowledged byte, which an earlier call may have sent, so that no
/// value would be long enough. When that send is over, the longer time stays: a shorter one would end the connection
/// over bytes that were accepted under the longer one.
enum UserTimeout: Equatable {
  /// Not yet read from the kernel: an adopted connection, or one of a listener that never set it.
  case unknown
  /// A limit in milliseconds; 0 for the kernel's own limit.
  case milliseconds(Int32)
  /// Left as it is, because the program has set it itself, or the kernel has no such option here (MPTCP).
  case fixed

  /// Creates the limit for a timeout, in milliseconds, rounded up; `nil` for a timeout of zero or less, which asks for
  /// one attempt and is no reason to end a connection. A timeout longer than the kernel can count becomes the longest
  /// that it can count.
  init?(_ allowed: Timeout) {
    guard let time = allowed.duration else {
      self = .milliseconds(0)
      return
    }
    guard time > .zero else { return nil }
    let milliseconds = (allowed.nanoseconds - 1) / 1_000_000 + 1
    self = .milliseconds(Int32(clamping: milliseconds))
  }

  /// Whether the kernel would end a send with the timeout `other` too early.
  func isShorter(than other: UserTimeout) -> Bool {
    switch (self, other) {
    case (.milliseconds(0), _), (.fixed, _), (.unknown, _): false
    case (.milliseconds, .milliseconds(0)): true
    case (.milliseconds(let own), .milliseconds(let needed)): own < needed
    case (.milliseconds, .fixed), (.milliseconds, .unknown): false
    }
  }
}

/// The timeout of a send, and whether the kernel's limit was lifted for it.
struct SendTimeLimit {
  private let allowed: Int64
  private enum Course {
    case running, hasWaited
    /// The kernel has no limit at this moment. The access is that of the send, which is inside the gate.
    case holdsOpen(Access)
  }
  private var course = Course.running

  init(_ timeout: LazyDeadline) { allowed = timeout.allowed.nanoseconds }

  /// Notes that the send has to wait: from now on the kernel does not end it before its timeout.
  mutating func waits(on core: Core, _ access: Access) {
    guard case .running = course else { return }
    course = .hasWaited
    guard core.isTCP, let needed = UserTimeout(Timeout(nanoseconds: allowed)) else { return }
    if core.userTimeout(access).isShorter(than: needed), core.setUserTimeout(.milliseconds(0), access) {
      course = .holdsOpen(access)
    }
  }

  /// Notes that the send is over: from now on the kernel waits as long as the send might have taken.
  mutating func isOver(on core: Core) {
    guard case .holdsOpen(let access) = course else { return }
    course = .hasWaited
    if let needed = UserTimeout(Timeout(nanoseconds: allowed)) { core.setUserTimeout(needed, access) }
  }
}

extension Core {
  /// The kernel's limit, read once.
  fileprivate func userTimeout(_ access: Access) -> UserTimeout {
    let known = connectionState.value.userTimeout
    guard known == .unknown else { return known }
    let asked: UserTimeout
    do throws(Errno) {
      asked = .milliseconds(try Syscalls.integerOption(number(access), CInt(IPPROTO_TCP), CInt(FIN_TCP_USER_TIMEOUT)))
    } catch { asked = .fixed }
    connectionState.update { $0.userTimeout = asked }
    return asked
  }

  /// Sets the kernel's limit, unless the program has set its own.
  ///
  /// - Returns: whether the kernel accepted it.
  @discardableResult
  fileprivate func setUserTimeout(_ userTimeout: UserTimeout, _ access: Access) -> Bool {
    // The program may have set its own limit while a send waited.
    guard case .milliseconds(let time) = userTimeout, connectionState.value.userTimeout != .fixed else { return false }
    do throws(Errno) {
      try Syscalls.setIntegerOption(number(access), CInt(IPPROTO_TCP), CInt(FIN_TCP_USER_TIMEOUT), time)
    } catch { return false }
    connectionState.update { $0.userTimeout = userTimeout }
    return true
  }

  /// Sets the first limit of a connection, or of a listener for its connections. It does not replace a limit that the
  /// program set before.
  func applyUserTimeout(_ allowed: Timeout, _ access: Access) throws(SocketError.Cause) {
    guard isTCP, connectionState.value.userTimeout != .fixed, let userTimeout = UserTimeout(allowed) else { return }
    // 0 is the value of a new socket.
    guard case .milliseconds(let time) = userTimeout, time > 0 else {
      connectionState.update { $0.userTimeout = userTimeout }
      return
    }
    do throws(Errno) {
      try Syscalls.setIntegerOption(number(access), CInt(IPPROTO_TCP), CInt(FIN_TCP_USER_TIMEOUT), time)
      connectionState.update { $0.userTimeout = userTimeout }
    } catch {
      guard isMissing(error, access) else { throw .system(error) }
      connectionState.update { $0.userTimeout = .fixed }
    }
  }
}
