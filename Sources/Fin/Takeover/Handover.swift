internal import FinBase
internal import Glibc
internal import Synchronization
internal import SystemPackage

/// The offer of a serving program to hand its listeners over to a successor, without refusing or resetting a client.
///
/// The predecessor offers, and goes on serving. A successor takes the offer with `take(from:within:)`, gets ready,
/// and confirms; only then does the predecessor stop to accept. Both processes hold the same sockets meanwhile, so
/// that the queue of clients is never without an owner. If the successor dies, or does not answer, before it has
/// confirmed, the predecessor goes on as if nothing had happened, and the next successor may come.
///
/// ```swift
/// let handover = try Handover(offering: ["web": listener.handle], at: .unix("/run/example/handover"))
/// let report = try await handover.awaitSuccessor()  // beside `serve`, which returns when its connections are done
/// ```
/// The path is a Unix socket of kind `SOCK_SEQPACKET`, for this user alone (0600). The kernel states the user of the
/// other process: only this user, and root, may take over. See <doc:TakingOver>.
public final class Handover: Sendable {
  private let core: Core
  private let offered: [(name: String, handle: ListenerHandle)]
  private let user: UInt32
  private let patience: Timeout
  private let attempts = Mutex(Attempts())

  private struct Attempts {
    var failed = 0
    var last: SocketError?
  }

  /// Binds the path, and offers listeners there. No successor is served before `awaitSuccessor(draining:)`.
  ///
  /// - Parameters:
  ///   - listeners: the listeners, each with the name that the successor asks for. All of them are handed over,
  ///     or none.
  ///   - path: a path or an abstract name. A file that a dead process left behind is replaced. For a path, the folder's
  ///     permissions decide which users can put another socket there.
  ///   - patience: the time that a successor has for each of its messages. It includes the successor's own preparation.
  ///   - file: the source file that a leak report names as the place of opening.
  ///   - line: the line in `file`.
  /// - Throws: `.invalid` when a name is empty, has a control character, or there are more than 253 sockets;
  ///   `.system(EADDRINUSE)` when another process offers at this path; otherwise the errors of binding a path.
  public init(
    offering listeners: [String: ListenerHandle], at path: SocketAddress, patience: Timeout = .seconds(10),
    file: StaticString = #fileID, line: UInt = #line
  ) throws(SocketError) {
    let sorted = listeners.sorted { $0.key < $1.key }
    for (name, _) in sorted where !HandoverMessage.isName(name) {
      throw SocketError(.handOver, .invalid("a listener's name is 1 to 255 bytes without control characters"))
    }
    let count = sorted.reduce(0) { $0 + $1.value.core.localAddresses.count }
    guard !sorted.isEmpty, count <= ReceivedMessage.mostDescriptors else {
      throw SocketError(
        .handOver, .invalid("\(count) sockets to hand over; it is 1 to \(ReceivedMessage.mostDescriptors)"))
    }
    core = try Core.listeningForPackets(
      at: path, backlog: 16, pathPermissions: 0o600, site: .init(file: file, line: line))
    offered = sorted.map { ($0.key, $0.value) }
    user = geteuid()
    self.patience = patience
  }

  deinit { core.end() }

  /// Withdraws the offer: the path is removed, and `awaitSuccessor(draining:)` throws `.closed`. A handover that the
  /// successor has confirmed already stays confirmed.
  public func withdraw() { core.end() }

  /// Waits for a successor, and hands the listeners over to it.
  ///
  /// When it returns, the successor accepts the clients. `serve` and `accept` of the listeners end as after a stop,
  /// without refusing or resetting a client: those that are queued are the successor's. The connections that this
  /// process has accepted are drained.
  /// - Parameter draining: the time that the handlers of this process's connections have, as with
  ///   ``ListenerHandle/stop(after:within:)``.
  /// - Returns: the successor, and the number of attempts that failed before it.
  /// - Throws: `.closed` when the offer was withdrawn; the errors of accepting that
  ///   concern the path.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public func awaitSuccessor(draining: Timeout = .default) throws(SocketError) -> HandoverReport {
    while true {
      var forever = LazyDeadline(.never)
      let client = try core.accept(&forever, site: .init(file: #fileID, line: #line))
      do throws(SocketError) {
        let successor = try handOver(to: PacketConnection(core: try client.markedClient(), timeouts: .default))
        return finish(successor, draining)
      } catch { note(error) }
    }
  }

  /// Waits for a successor, and hands the listeners over to it, in a task. It behaves as in a thread, and throws
  /// `.cancelled` when the task is cancelled before the successor has confirmed; the offer stays then.
  public func awaitSuccessor(draining: Timeout = .default) async throws(SocketError) -> HandoverReport {
    while true {
      var forever = LazyDeadline(.never)
      let client = try await core.accept(&forever, site: .init(file: #fileID, line: #line))
      do throws(SocketError) {
        let successor = try await handOver(to: PacketConnection(core: try client.markedClient(), timeouts: .default))
        return finish(successor, draining)
      } catch {
        if error.cause == .cancelled { throw error }
        note(error)
      }
    }
  }

  // MARK: The steps

  private func handOver(to successor: consuming PacketConnection) throws(SocketError) -> PeerCredentials {
    do throws(SocketError) {
      // The message is read before the user is judged: unread, it would turn the refusal into a reset.
      _ = try HandoverMessage.due(.hello, try successor.receive(within: patience)?.bytes)
      let peer = try admit(try successor.peerCredentials())
      let offer = try Offer(of: offered)
      try successor.send(offer.message, passing: offer.descriptors, within: patience)
      offer.close()
      _ = try HandoverMessage.due(.serving, try successor.receive(within: patience)?.bytes)
      try successor.send(HandoverMessage.yours.bytes, within: patience)
      _ = try HandoverMessage.due(.taken, try successor.receive(within: patience)?.bytes)
      leave(successor)
      return peer
    } catch {
      refuse(successor, error)
      _ = successor.close(.background)
      throw error
    }
  }

  private func handOver(to successor: consuming PacketConnection) async throws(SocketError) -> PeerCredentials {
    do throws(SocketError) {
      // The message is read before the user is judged: unread, it would turn the refusal into a reset.
      _ = try HandoverMessage.due(.hello, try await successor.receive(within: patience)?.bytes)
      let peer = try admit(try successor.peerCredentials())
      let offer = try Offer(of: offered)
      try await successor.send(offer.message, passing: offer.descriptors, within: patience)
      offer.close()
      _ = try HandoverMessage.due(.serving, try await successor.receive(within: patience)?.bytes)
      try await successor.send(HandoverMessage.yours.bytes, within: patience)
      _ = try HandoverMessage.due(.taken, try await successor.receive(within: patience)?.bytes)
      leave(successor)
      return peer
    } catch {
      refuse(successor, error)
      _ = await successor.close(.background)
      throw error
    }
  }

  /// Checks the user of a successor, whom the kernel names.
  private func admit(_ peer: PeerCredentials) throws(SocketError) -> PeerCredentials {
    guard peer.uid == user || peer.uid == 0 else {
      throw SocketError(.handOver, .invalid("user \(peer.uid) may not take over from user \(user)"))
    }
    return peer
  }

  /// Tells a successor that is alive why it is given up, so that it does not take the end for the predecessor's death.
  /// It never waits, and works in a cancelled task as well.
  private func refuse(_ successor: borrowing PacketConnection, _ error: SocketError) {
    try? successor.send(HandoverMessage.refused(error.cause.text).bytes, within: .zero)
  }

  /// Frees the path, and then ends the connection to the successor, which may offer at the path from that moment.
  private func leave(_ successor: consuming PacketConnection) {
    core.end()
    _ = successor.abort()
  }

  private func note(_ error: SocketError) {
    attempts.withLock {
      $0.failed += 1
      $0.last = error
    }
  }

  private func finish(_ successor: PeerCredentials, _ draining: Timeout) -> HandoverReport {
    for (_, handle) in offered { handle.core.leaveToSuccessor(within: draining) }
    return attempts.withLock {
      HandoverReport(successor: successor, attemptsFailed: $0.failed, lastFailure: $0.last)
    }
  }

  /// The first message to a successor: duplicates of all descriptors, which are closed with this value.
  private final class Offer: Sendable {
    let message: [UInt8]
    private let owned: Mutex<[CInt]>

    init(of listeners: [(name: String, handle: ListenerHandle)]) throws(SocketError) {
      var all: [(HandoverMessage.Offered, CInt)] = []
      do throws(SocketError) {
        for (name, handle) in listeners { all += try handle.core.offered(as: name) }
      } catch {
        for (_, number) in all { Syscalls.close(number) }
        throw error
      }
      message = HandoverMessage.offer(all.map(\.0)).bytes
      owned = Mutex(all.map(\.1))
    }

    var descriptors: [FileDescriptor] { owned.withLock { $0.map { FileDescriptor(rawValue: $0) } } }

    func close() {
      let numbers = owned.withLock { numbers in
        defer { numbers = [] }
        return numbers
      }
      for number in numbers { Syscalls.close(number) }
    }

    deinit { close() }
  }
}

/// The result of a handover, for the predecessor.
public struct HandoverReport: Hashable, Sendable, CustomStringConvertible {
  /// The process that has taken over.
  public let successor: PeerCredentials
  /// The number of attempts that failed before: successors that died, did not answer in time, or may not take over.
  public let attemptsFailed: Int
  /// The reason of the last attempt that failed.
  public let lastFailure: SocketError?

  public var description: String {
    let failures = attemptsFailed == 0 ? "" : ", after \(attemptsFailed) attempts that failed"
    return "handed over to \(successor)\(failures)"
  }
}
