/// The interface between a loop and the platform; a loop needs nothing else. Linux has ``EpollPoller``. A platform
/// without `epoll` supplies a type with the same members, and nothing outside that type's file and Kernel changes.
///
/// A poller belongs to one thread, which calls `wait`. All other members may be called from any thread at any time.
///
/// - `add(_:token:)` begins to watch a socket, once in its life there, for input, output, the peer's EOF and errors.
///   Conditions that are already true then are reported as the first event.
/// - An event is an **edge**: it reports once that something has become true since the last event. It is a hint: an
///   operation that acts on it makes the system call and believes the result.
/// - Events carry the token, never the descriptor's number, because numbers are used again. After `remove` an event may
///   still be on its way; its token then matches no registration, and the loop drops it.
/// - `remove` comes before the descriptor is closed, because a duplicate or a forked copy would keep the watch alive.
/// - `wait(until:_:)` reports the events. It returns at once if there are any, and otherwise when an event arrives,
///   when `wake()` is called, or when the deadline has passed: never before the deadline, and at most a millisecond
///   after it. A wake that comes before the wait is not lost; several wakes may count as one.
/// - No member allocates after `init`.
///
/// A platform with completions instead of readiness (io_uring) can keep the same contract by polling through the ring:
/// a one-shot poll request for each `add`, repeated when its completion has been delivered. kqueue has `EV_CLEAR` for
/// edges and `EVFILT_USER` for `wake()`.
///
/// Linux has no second poller over io_uring, because it would pay nothing on a round trip. A server in C with multishot
/// receives, provided buffers and deferred task work took 0.98, 1.01 and 0.99 times the processor time of the same
/// server on `epoll`, with 1, 64 and 512 connections, on a quiet machine.
typealias Poller = EpollPoller

/// The registration that an event belongs to: a slot in the loop's table, and the slot's generation.
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

/// The conditions that an event reports.
struct Readiness: OptionSet, Hashable, Sendable {
  let rawValue: UInt8

  /// A read may return something: bytes, a connection, EOF or an error.
  static let input = Readiness(rawValue: 1 << 0)
  /// A write may take bytes, or return an error.
  static let output = Readiness(rawValue: 1 << 1)
  /// EOF, an error or an urgent byte is pending, so that a short read does not mean that the receive buffer is empty.
  static let inputIsPartial = Readiness(rawValue: 1 << 2)
  /// Not an event: the loop has stopped and reports no more events, so that only a system call tells what is ready.
  static let untracked = Readiness(rawValue: 1 << 3)
}
