internal import FinBase

/// Sockets that were left out because the program declared their state intentional, or waits with a deadline.
package struct DeclaredIntent: Hashable, Sendable {
  /// The finding that was left out.
  package var id: FindingID
  /// The number of sockets.
  package var count: Int
  /// The owner of the sockets.
  package var who: ProcessOwner
  /// The reason: `declared half closed`, `waits with a deadline`.
  package var reason: String
  /// The remaining validity in milliseconds, of the socket for which it lasts longest.
  package var milliseconds: UInt64
}

/// The sockets left out so far in an examination.
final class LeftOut {
  struct Key: Hashable {
    var id: FindingID
    var pid: Int32
    var reason: String
  }
  var all: [Key: (count: Int, milliseconds: UInt64)] = [:]
}

/// The intentions of a program that explain the state which a rule finds.
struct AllowedIntent: Sendable {
  /// The declarations that agree with the state, for a socket in this phase.
  let declared: @Sendable (PublishedSocket.Phase, InetSocket) -> PublishedSocket.Intent
  /// The waits whose deadline ends the state.
  let waits: @Sendable (PublishedSocket) -> [PublishedSocket.Wait]

  /// The wait for room to send. Input that is unread, or read up to EOF, has no operation waiting for it. During a
  /// close, the published input wait is the deadline of the close.
  static let output: @Sendable (PublishedSocket) -> [PublishedSocket.Wait] = {
    [$0.phase.isClosing ? $0.input : $0.output]
  }
}

/// Intentional behaviour, as far as the program's ledger states it and the kernel's state agrees.
///
/// Applies only to states that look like a mistake and may be intended: a half-closed connection (L1, H1), one that is
/// not read (L2, W2) and one that idles (L2, P2). A declared intent holds for a limited time, and a wait ends at its
/// deadline, so a forgotten socket is still found, only later.
extension CensusIndex {
  private struct Intention {
    var reason: String
    var ends: UInt64
  }

  /// The longest wait that counts as bounded, in nanoseconds: one day. A later deadline is as good as none.
  private static let farthest: UInt64 = 86_400_000_000_000

  /// Whether this socket's state is intentional. If so, it is recorded as left out.
  func isMeant(_ socket: InetSocket, _ id: FindingID, _ owner: OwnerKey) -> Bool {
    guard options.heedsPurposes, let ledger = census.ledgers[owner.pid], let allowed = id.rule.intent else {
      return false
    }
    var found: Intention?
    // All descriptors that the program has for the socket must agree.
    for holder in census.holders[socket.inode] where holder.pid == owner.pid {
      guard let published = ledger.sockets[holder.descriptor], !published.isInherited,
        let intention = Self.declaration(published, socket, allowed, at: ledger.when)
          ?? Self.wait(published, allowed, at: ledger.when)
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
    _ published: PublishedSocket, _ socket: InetSocket, _ allowed: AllowedIntent, at now: UInt64
  ) -> Intention? {
    guard published.intentEnds > now else { return nil }
    let declared = published.intent.intersection(allowed.declared(published.phase, socket))
    return declared.isEmpty ? nil : Intention(reason: "declared \(declared)", ends: published.intentEnds)
  }

  /// A wait in progress that will end. What happens after it is up to the program.
  private static func wait(_ published: PublishedSocket, _ allowed: AllowedIntent, at now: UInt64) -> Intention? {
    for case .until(let end) in allowed.waits(published) where end > now && end - now <= farthest {
      return Intention(
        reason: published.phase.isClosing ? "closes within a deadline" : "waits with a deadline", ends: end)
    }
    return nil
  }

  /// The ledger's statement that an operation waits without a deadline on the oldest socket of a group.
  func ledger(_ group: Group) -> Finding.Reading {
    let published = census.holders[sockets[group.oldest].inode].first { $0.pid == group.key.owner.pid }
      .flatMap { census.ledgers[$0.pid]?.sockets[$0.descriptor] }
    return .holds(.ledger, "waits without a deadline", published?.isInherited == false && published?.input == .forever)
  }

  /// All sockets that were left out.
  func onPurpose() -> [DeclaredIntent] {
    leftOut.all.map { key, value in
      DeclaredIntent(
        id: key.id, count: value.count, who: who(OwnerKey(pid: key.pid)), reason: key.reason,
        milliseconds: value.milliseconds)
    }.sorted { ($0.id.rawValue, $0.who.pid ?? 0, $0.reason) < ($1.id.rawValue, $1.who.pid ?? 0, $1.reason) }
  }
}
