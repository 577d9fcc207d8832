/// What a loop needs of the platform, and all of it. Linux has ``EpollPoller``; a platform that lacks it brings a type with
/// the same members, and nothing outside its file and Kernel changes.
///
/// A poller belongs to one thread, which calls `wait`; everything else may be called from any thread at any time.
///
/// - `add(_:token:)` begins to watch a socket, once in its life there, for input, output, the peer's end and errors. What is
///   already true when it begins is told as the first event.
/// - An event is an **edge**: it says that something has become true since the last one, and is told once. It is a hint:
///   whoever acts on it makes the system call and believes that.
/// - Events carry the token, never the descriptor's number: numbers are used again. After `remove` an event may still be on
///   its way; the token is then nobody's, and the loop drops it.
/// - `remove` comes before the descriptor is closed, because a duplicate or a forked copy would keep the watch alive.
/// - `wait(until:_:)` tells what has happened, at once if something has, and else when something does, when `wake()` is
///   called, or when the deadline has passed; never before, and at most a millisecond after. A wake that comes before the
///   wait is not lost; several that come together are one.
/// - Nothing here allocates after `init`.
///
/// With completions instead of readiness (io_uring) the same contract is kept by polling through the ring: a one-shot poll
/// request for each `add`, repeated when its completion was delivered. kqueue has `EV_CLEAR` for edges and `EVFILT_USER` for
/// `wake()`.
typealias Poller = EpollPoller

/// Whose an event is: a place in the loop's table, and which of its tenants.
struct Token: Hashable, Sendable {
  let slot: UInt32
  let generation: UInt32

  init(slot: UInt32, generation: UInt32) {
    self.slot = slot
    self.generation = generation
  }

  init(rawValue: UInt64) {
    self.init(slot: UInt32(truncatingIfNeeded: rawValue), generation: UInt32(truncatingIfNeeded: rawValue >> 32))
  }

  var rawValue: UInt64 { UInt64(generation) << 32 | UInt64(slot) }
}

/// What an event says.
struct Readiness: OptionSet, Hashable, Sendable {
  let rawValue: UInt8

  /// A read may bring something: bytes, a client, the end, an error.
  static let input = Readiness(rawValue: 1 << 0)
  /// A write may be taken.
  static let output = Readiness(rawValue: 1 << 1)
  /// The end, an error or an urgent byte is among what can be read: then a read that brings less than it could is no sign
  /// that there is no more.
  static let mixed = Readiness(rawValue: 1 << 2)
  /// Not an event: nobody tells any more, and whoever wants to know has to ask the kernel.
  static let untold = Readiness(rawValue: 1 << 3)
}
