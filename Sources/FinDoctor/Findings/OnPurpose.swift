/// Sockets of which nothing is said, because their program says that it means it.
public struct OnPurpose: Hashable, Sendable {
  /// What would have been found.
  public var id: FindingID
  /// Of how many sockets.
  public var count: Int
  /// Whose they are.
  public var who: Who
  /// `declared half closed`, `waits with a deadline`.
  public var reason: String
  /// How much longer that holds, in milliseconds: for the one for which it holds longest.
  public var milliseconds: UInt64
}

/// What has been left out while an examination goes on.
final class LeftOut {
  struct Key: Hashable {
    var id: FindingID
    var pid: Int32
    var reason: String
  }
  var all: [Key: (count: Int, milliseconds: UInt64)] = [:]
}

/// What is meant, as far as the program says so in its ledger and the kernel's state agrees.
///
/// Only of what looks the same as a mistake and may be none: a half-closed connection (L1, H1), one that is not read (L2, W2)
/// and one that rests (L2, P2). A purpose holds for a time, and a wait ends at its deadline: what was forgotten is found, only
/// later.
extension Examination {
  private struct Intention {
    var reason: String
    var ends: UInt64
  }

  /// A deadline beyond this ends nothing that anybody would wait for.
  private static let farthest: UInt64 = 86_400_000_000_000

  /// Whether nothing is to be said of this socket; then that is kept in mind.
  func isMeant(_ socket: InetSocket, _ id: FindingID, _ owner: Owner) -> Bool {
    guard options.heedsPurposes, let ledger = census.ledgers[owner.pid] else { return false }
    var found: Intention?
    // All descriptors that the program has for it have to agree.
    for holder in census.holders[socket.inode] where holder.pid == owner.pid {
      guard let published = ledger.sockets[holder.descriptor], !published.isInherited,
        let intention = Self.declaration(published, socket, id, at: ledger.when)
          ?? Self.wait(published, id, at: ledger.when)
      else { return false }
      found = found ?? intention
    }
    guard let found else { return false }
    let key = LeftOut.Key(id: id, pid: owner.pid, reason: found.reason)
    let before = leftOut.all[key] ?? (0, 0)
    leftOut.all[key] = (before.count + 1, max(before.milliseconds, (found.ends - ledger.when) / 1_000_000))
    return true
  }

  private static func declaration(
    _ published: PublishedSocket, _ socket: InetSocket, _ id: FindingID, at now: UInt64
  ) -> Intention? {
    guard published.purposeEnds > now else { return nil }
    let meant: PublishedSocket.Purpose
    switch (id, published.phase) {
    case (.closeWaitKnown, .peerFinished), (.finWait2Held, .sendFinished): meant = .halfClosed
    // In a pool nobody reads; but data that lies there was meant for somebody.
    case (.closeWaitUnseen, .connected): meant = socket.receiveQueue == 1 ? [.notReading, .kept] : .notReading
    case (.closeWaitUnseen, .sendFinished), (.unread, .connected), (.unread, .sendFinished): meant = .notReading
    case (.idleWithoutKeepalive, .connected): meant = [.idle, .kept]
    default: return nil
    }
    let declared = published.purpose.intersection(meant)
    return declared.isEmpty ? nil : Intention(reason: "declared \(declared)", ends: published.purposeEnds)
  }

  /// A wait that is going on, and will end: what comes after it is the program's to do.
  private static func wait(_ published: PublishedSocket, _ id: FindingID, at now: UInt64) -> Intention? {
    let waits: [PublishedSocket.Wait]
    switch id {
    // Of what has not been read, or has been read to its end, nobody waits for more.
    case .closeWaitKnown, .closeWaitUnseen, .unread:
      waits = [published.phase.isClosing ? published.input : published.output]
    case .finWait2Held: waits = published.phase == .sendFinished || published.phase.isClosing ? [published.input] : []
    case .idleWithoutKeepalive: waits = [published.input, published.output]
    default: waits = []
    }
    for case .until(let end) in waits where end > now && end - now <= farthest {
      return Intention(
        reason: published.phase.isClosing ? "closes within a deadline" : "waits with a deadline", ends: end)
    }
    return nil
  }

  /// Everything that was left out.
  func onPurpose() -> [OnPurpose] {
    leftOut.all.map { key, value in
      OnPurpose(
        id: key.id, count: value.count, who: who(Owner(pid: key.pid)), reason: key.reason,
        milliseconds: value.milliseconds)
    }.sorted { ($0.id.rawValue, $0.who.pid ?? 0, $0.reason) < ($1.id.rawValue, $1.who.pid ?? 0, $1.reason) }
  }
}
