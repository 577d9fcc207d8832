internal import CFin
internal import Glibc
internal import SystemPackage

/// How long the kernel keeps a connection whose bytes stay unacknowledged: what is known here of its
/// `TCP_USER_TIMEOUT`, which duplicates of a descriptor share.
///
/// It is `Timeouts.send` from the moment there is a connection, and not before: the kernel applies it to an attempt to
/// connect as well (tcp(7)), and would end one that may take longer. While a send waits that may take longer, there is
/// none: the kernel counts from the first byte that stayed unacknowledged, which an earlier call may have sent, so that
/// no number would be long enough. When that send is over, the longer time stays: a shorter one would end the
/// connection over bytes that were accepted under the longer.
enum Silence: Equatable {
  /// It has to be asked for: an adopted connection, or one of a listener that never set it.
  case unknown
  /// Milliseconds; 0 when the kernel's own patience holds.
  case milliseconds(Int32)
  /// The program set it by itself, or the kernel has no such option here (MPTCP): it is left as it is.
  case fixed

  /// A time allowed, in milliseconds, rounded up. No time at all is a way to ask once, and no reason to end a
  /// connection; what is longer than the kernel can count is as long as it can count.
  init?(_ allowed: Allowance) {
    guard let time = allowed.duration else {
      self = .milliseconds(0)
      return
    }
    guard time > .zero else { return nil }
    let milliseconds = (allowed.nanoseconds - 1) / 1_000_000 + 1
    self = .milliseconds(Int32(clamping: milliseconds))
  }

  /// Whether a send that may take as long as `other` would be ended before its time.
  func isShorter(than other: Silence) -> Bool {
    switch (self, other) {
    case (.milliseconds(0), _), (.fixed, _), (.unknown, _): false
    case (.milliseconds, .milliseconds(0)): true
    case (.milliseconds(let own), .milliseconds(let needed)): own < needed
    case (.milliseconds, .fixed), (.milliseconds, .unknown): false
    }
  }
}

/// How long a send may take, and whether the kernel's limit had to make way for it.
struct SendTime {
  private let allowed: Int64
  private enum Course {
    case running, hasWaited
    /// The kernel has no limit at this moment; the world is that of the send, which is inside the gate.
    case holdsOpen(World)
  }
  private var course = Course.running

  init(_ patience: Patience) { allowed = patience.allowed.nanoseconds }

  /// It has to wait: from now on the kernel does not end it before its time.
  mutating func waits(on core: Core, _ world: World) {
    guard case .running = course else { return }
    course = .hasWaited
    guard core.isTCP, let needed = Silence(Allowance(nanoseconds: allowed)) else { return }
    if core.silence(world).isShorter(than: needed), core.setSilence(.milliseconds(0), world) {
      course = .holdsOpen(world)
    }
  }

  /// It is over: from now on the kernel waits as long as it might have taken.
  mutating func isOver(on core: Core) {
    guard case .holdsOpen(let world) = course else { return }
    course = .hasWaited
    if let needed = Silence(Allowance(nanoseconds: allowed)) { core.setSilence(needed, world) }
  }
}

extension Core {
  /// The kernel's limit, asked for once.
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

  /// - Returns: whether the kernel took it.
  @discardableResult
  fileprivate func setSilence(_ silence: Silence, _ world: World) -> Bool {
    // The program may have set it by itself while a send waited.
    guard case .milliseconds(let time) = silence, latch.value.silence != .fixed else { return false }
    do throws(Errno) {
      try Syscalls.setIntegerOption(number(world), CInt(IPPROTO_TCP), CInt(FIN_TCP_USER_TIMEOUT), time)
    } catch { return false }
    latch.update { $0.silence = silence }
    return true
  }

  /// Sets the limit that a connection begins with, or that a listener's begin with; not one that the program set
  /// before.
  func beginSilence(_ allowed: Allowance, _ world: World) throws(SocketError.Cause) {
    guard isTCP, latch.value.silence != .fixed, let silence = Silence(allowed) else { return }
    // 0 is what a socket is born with.
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
