internal import FinBase

/// The processes or sockets that did not answer a short time ago, each with its user.
///
/// Each is forgotten after ``Budget/memory``, whether or not it is asked for again. A process that has ended is not
/// asked again, and must not keep the others of its user unread in a program that takes many censuses.
struct Silences<Key: Hashable & Sendable>: Sendable {
  private struct Silence {
    let when: UInt64
    let user: UInt32?
  }

  private var all: [Key: Silence] = [:]

  func contains(_ key: Key) -> Bool { all[key] != nil }

  mutating func insert(_ key: Key, of user: UInt32?, at now: UInt64) {
    all[key] = Silence(when: now, user: user)
  }

  /// Whether a process or socket is left out: it was silent itself, or too many others were, of its user or in all.
  mutating func leavesOut(_ key: Key, of user: UInt32?, at now: UInt64) -> Bool {
    if !all.isEmpty { all = all.filter { now < $0.value.when + Budget.memory.inNanoseconds } }
    if all[key] != nil || all.count >= Budget.silences { return true }
    guard let user else { return false }
    return all.values.count { $0.user == user } >= Budget.silencesOfUser
  }
}
