/// A finding that another one may explain.
struct Effect: Sendable {
  /// The finding that may be explained.
  let id: FindingID
  /// How directly the cause explains the effect (lower is more direct); nil when it does not.
  let rank: @Sendable (_ cause: Finding, _ effect: Finding) -> Int?
}

/// The ways in which one finding explains another.
extension Effect {
  /// Both are about one process.
  static func inProcess(_ id: FindingID) -> Effect { Effect(id: id) { isSameProcess($0, $1) ? 1 : nil } }

  /// Both are about one process, and the cause is a large part of the effect: a leak of three does not explain ten
  /// thousand open files.
  static func asLargePart(of id: FindingID) -> Effect {
    Effect(id: id) { cause, effect in
      guard isSameProcess(cause, effect), cause.count * 10 >= effect.count else { return nil }
      return 1_000_000 - min(cause.count, 999_999)
    }
  }

  /// Both are about connections of one process to the same peers.
  static func withSamePeers(_ id: FindingID) -> Effect {
    Effect(id: id) { cause, effect in
      isSameProcess(cause, effect) && !cause.links.remotes.isDisjoint(with: effect.links.remotes) ? 1 : nil
    }
  }

  /// The effect is about the other ends of the cause's connections.
  static func atOtherEnd(_ id: FindingID, rank: Int) -> Effect {
    Effect(id: id) { cause, effect in
      cause.links.locals.isDisjoint(with: effect.links.remotes)
        || cause.links.remotes.isDisjoint(with: effect.links.locals) ? nil : rank
    }
  }

  /// Both are about one listener.
  static func atListener(_ id: FindingID, rank: Int) -> Effect {
    Effect(id: id) { cause, effect in
      cause.links.listeners.isDisjoint(with: effect.links.listeners) ? nil : rank
    }
  }

  /// Both are about one process, which has hardly a descriptor left, and nothing in it waits for clients: a server may
  /// pause accept by design before it has none.
  static func ofPausedAccept(_ id: FindingID, rank: Int) -> Effect {
    Effect(id: id) { cause, effect in
      isSameProcess(cause, effect) && effect.links.isPaused ? rank : nil
    }
  }

  /// The effect is about attempts to connect to the cause's listener.
  static func ofAttempts(_ id: FindingID, rank: Int) -> Effect {
    Effect(id: id) { cause, effect in reaches(cause.links.listeners, effect.links) ? rank : nil }
  }

  private static func isSameProcess(_ cause: Finding, _ effect: Finding) -> Bool {
    cause.who?.pid != nil && cause.who?.pid == effect.who?.pid
  }

  /// Whether attempts to connect arrive at one of the listeners. They do in the same network namespace only: whether
  /// packets of one namespace reach another is not in any table of sockets.
  private static func reaches(_ listeners: Set<Finding.Endpoint>, _ attempts: Finding.Links) -> Bool {
    attempts.remotes.contains { remote in
      listeners.contains { listener in
        guard listener.port == remote.port, listener.namespace == remote.namespace else { return false }
        if listener.address == remote.address { return true }
        // A listener on every address has those of this machine only.
        return listener.address == AddressBits()
          && (remote.isLoopback || attempts.locals.contains { $0.address == remote.address })
      }
    }
  }
}
