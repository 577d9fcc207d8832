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
enum Silence: Equatable {
  /// Not yet read from the kernel: an adopted connection, or one of a listener that never set it.
  case unknown
  /// A limit in milliseconds; 0 for the kernel's own limit.
  case milliseconds(Int32)
  /// Left as it is, because the program has set it itself, or the kernel has no such option here (MPTCP).
  case fixed

  /// Creates the limit for a timeout, in milliseconds, rounded up; `nil` for a timeout of zero or less, which asks for
  /// one attempt and is no reason to end a connection. A timeout longer than the kernel can count becomes the longest
  /// that it can count.
  init?(_ allowed: Allowance) {
    guard let time = allowed.duration else {
      self = .milliseconds(0)
      return
    }
    guard time > .zero else { return nil }
    let milliseconds = (allowed.nanoseconds - 1) / 1_000_000 + 1
    self = .milliseconds(Int32(clamping: milliseconds))
  }

  /// Whether the kernel would end a send with the timeout `other` too early.
  func isShorter(than other: Silence) -> Bool {
    switch (self, other) {
    case (.milliseconds(0), _), (.fixed, _), (.unknown, _): false
    case (.milliseconds, .milliseconds(0)): true
    case (.milliseconds(let own), .milliseconds(let needed)): own < needed
    case (.milliseconds, .fixed), (.milliseconds, .unknown): false
    }
  }
}

/// The timeout of a send, and whether the kernel's limit was lifted for it.
struct SendTime {
  private let allowed: Int64
  private enum Course {
    case running, hasWaited
    /// The kernel has no limit at this moment. The access is that of the send, which is inside the gate.
    case holdsOpen(World)
  }
  private var course = Course.running

  init(_ patience: Patience) { allowed = patience.allowed.nanoseconds }

  /// Notes that the send has to wait: from now on the kernel does not end it before its timeout.
  mutating func waits(on core: Core, _ world: World) {
    guard case .running = course else { return }
    course = .hasWaited
    guard core.isTCP, let needed = Silence(Allowance(nanoseconds: allowed)) else { return }
    if core.silence(world).isShorter(than: needed), core.setSilence(.milliseconds(0), world) {
      course = .holdsOpen(world)
    }
  }

  /// Notes that the send is over: from now on the kernel waits as long as the send might have taken.
  mutating func isOver(on core: Core) {
    guard case .holdsOpen(let world) = course else { return }
    course = .hasWaited
    if let needed = Silence(Allowance(nanoseconds: allowed)) { core.setSilence(needed, world) }
  }
}

extension Core {
  /// The kernel's limit, read once.
  fileprivate func silence(_ world: World) -> Silence {
    let known = latch.value.silence
    guard known == .unknown else { return known }
    let asked: Silence
    do throws(Errno) {
      asked = .milliseconds(try Syscalls.integerOption(number(world), CInt(IPPROTO_TCP), CInt(FIN_TCP_USER_TIMEOUT)))
    } catch { asked = .fixed }
    latch.update { $0.silence = asked }
    return asked
  }

  /// Sets the kernel's limit, unless the program has set its own.
  ///
  /// - Returns: whether the kernel accepted it.
  @discardableResult
  fileprivate func setSilence(_ silence: Silence, _ world: World) -> Bool {
    // The program may have set its own limit while a send waited.
    guard case .milliseconds(let time) = silence, latch.value.silence != .fixed else { return false }
    do throws(Errno) {
      try Syscalls.setIntegerOption(number(world), CInt(IPPROTO_TCP), CInt(FIN_TCP_USER_TIMEOUT), time)
    } catch { return false }
    latch.update { $0.silence = silence }
    return true
  }

  /// Sets the first limit of a connection, or of a listener for its connections. It does not replace a limit that the
  /// program set before.
  func beginSilence(_ allowed: Allowance, _ world: World) throws(SocketError.Cause) {
    guard isTCP, latch.value.silence != .fixed, let silence = Silence(allowed) else { return }
    // 0 is the value of a new socket.
    guard case .milliseconds(let time) = silence, time > 0 else {
      latch.update { $0.silence = silence }
      return
    }
    do throws(Errno) {
      try Syscalls.setIntegerOption(number(world), CInt(IPPROTO_TCP), CInt(FIN_TCP_USER_TIMEOUT), time)
      latch.update { $0.silence = silence }
    } catch {
      guard isMissing(error, world) else { throw .system(error) }
      latch.update { $0.silence = .fixed }
    }
  }
}
