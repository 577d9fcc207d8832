internal import FinBase
internal import Synchronization
internal import SystemPackage

/// The part of a pool that works while no caller does: it dials, closes, inspects what came to idle connections, and
/// retires those whose time is over. One task on an event loop, for the life of the pool.
final class PoolKeeper: Sendable {
  /// How the pool's connections are made and closed.
  struct Manner: Sendable {
    let timeouts: Timeouts
    let options: DialOptions
    let closing: ClosePolicy
    let site: Ledger.Site
    /// Secures a new connection; `nil` for a plain one.
    let secure: (@Sendable (Core) async throws(SocketError) -> Void)?
  }

  let watch: IdleWatch
  private let desk: PoolDesk
  private let manner: Manner
  private let loop: EventLoop
  private let registration: Registration

  /// Begins to watch over the desk's connections.
  ///
  /// - Throws: `.system(EMFILE)` and its like; `.reactorStopped`.
  init(_ desk: PoolDesk, _ manner: Manner, on reactor: Reactor?) throws(SocketError) {
    self.desk = desk
    self.manner = manner
    if let reactor { loop = reactor.next() } else { loop = try Reactor.shared.next() }
    do throws(Errno) { watch = try IdleWatch() } catch { throw SocketError(.checkOut, .system(error)) }
    do throws(WaitError) { registration = try loop.makeRegistration(watch.poller) } catch {
      throw SocketError(.checkOut, error.cause)
    }
    desk.begin(registration)
    Task(executorPreference: loop) { @concurrent [self] in await keep() }
  }

  private func keep() async {
    var bell = registration
    while true {
      // Read before the look: a change from here on ends the wait.
      let changes = bell.snapshot.changes
      let (orders, until) = desk.next(noticed: watch.collect())
      for order in orders { carryOut(order) }
      guard let until else { break }
      switch await bell.park(.change(since: changes), until: until) {
      case .ready, .look, .timedOut, .cancelled: break
      case .stopped:
        // Without its loop the pool cannot go on. What is left to close is awaited at another one.
        guard bell === registration, let other = try? Reactor.shared.next().makeRegistration() else {
          desk.ended()
          return
        }
        bell = other
        desk.begin(bell)
        _ = desk.close(within: .zero, waking: nil)
      }
    }
    registration.leave(watching: watch.poller)
    if bell !== registration { bell.leave() }
    desk.ended()
  }

  private func carryOut(_ order: PoolDesk.Order) {
    switch order {
    case .dial(let number):
      desk.keep(Task(executorPreference: loop) { @concurrent [self] in await dial(number) }, as: number)
    case .cancelDial(let number): desk.cancelDial(number)
    case .retire(let number, let core):
      watch.remove(core)
      end(number, core, manner.closing)
    case .abort(let number, let core): end(number, core, .abort)
    case .inspect(let number, let core): desk.take(core.isAtRest ? .giveBack(number) : .discard(number, .peer))
    }
  }

  /// Closes a connection in a task of its own: a close may wait.
  private func end(_ number: Int, _ core: Core, _ policy: ClosePolicy) {
    Task(executorPreference: loop) { @concurrent [desk] in
      desk.released(number, await core.closeUnlessDetached(policy))
    }
  }

  private func dial(_ number: Int) async {
    do throws(SocketError) {
      let core = try await connected()
      do throws(SocketError) {
        try await manner.secure?(core)
        core.share()
        try watch.add(core, as: number)
      } catch {
        _ = await core.close(.abort)
        throw error
      }
      desk.dialed(number, core, age: Deadline(after: desk.limits.ageOfOne).nanoseconds)
    } catch { desk.dialFailed(number, error) }
  }

  private func connected() async throws(SocketError) -> Core {
    var timeout = manner.timeouts.connecting(.default)
    return try await Core.connected(
      to: desk.endpoint, manner.options, manner.timeouts, &timeout, site: manner.site)
  }
}
