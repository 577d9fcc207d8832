internal import SystemPackage

/// The waits of a pump: in a thread for a poller over both sockets, in a task at an event loop that watches the same
/// poller. It reports edges, so that an end that stays, or a peer that does not read, keeps nothing busy.
extension PumpOperation {
  /// The pause until the next step where there is no descriptor to wait with.
  private static let pauseWithoutDescriptors = Duration.milliseconds(20)

  /// Runs the pump, and closes both connections. Blocks the thread.
  static func run(_ first: Core, _ second: Core, _ times: PumpTimes, _ meter: PumpMeter?) -> PumpReport {
    var pump = PumpOperation(first, second, times, meter)
    var action = PumpCourse.Action.abort
    if let access = pump.enter() {
      action = pump.drive(access)
      pump.leave()
    }
    let firstReport = first.close(pump.policy(of: first, after: action))
    let secondReport = second.close(pump.policy(of: second, after: action))
    return pump.report(firstReport, secondReport)
  }

  /// Runs the pump, and closes both connections. Suspends the task.
  nonisolated(nonsending) static func run(
    _ first: Core, _ second: Core, _ times: PumpTimes, _ meter: PumpMeter?
  ) async -> PumpReport {
    var pump = PumpOperation(first, second, times, meter)
    var action = PumpCourse.Action.abort
    if let access = pump.enter() {
      action = await pump.drive(access)
      pump.leave()
    }
    let firstReport = await first.close(pump.policy(of: first, after: action))
    let secondReport = await second.close(pump.policy(of: second, after: action))
    return pump.report(firstReport, secondReport)
  }

  // MARK: In a thread

  private mutating func drive(_ access: Access) -> PumpCourse.Action {
    let watch = beginWatching(access)
    let waker = try? Waker.borrow()
    defer {
      if let waker {
        for core in cores { core.gate.unpark(waker) }
        waker.giveBack()
      }
      endWatching(watch, access)
    }
    // A gate that is closing already is found by the first step.
    if let waker { for core in cores { _ = core.gate.park(waker) } }
    while true {
      // Before the step: what a wake announces is written before it.
      waker?.drain()
      watch?.drain()
      switch step(access) {
      case .over(let action): return action
      case .again: continue
      case .wait(let deadline):
        // Without a waker, a close from elsewhere is found at the next step.
        let pause = Deadline(after: PumpOperation.pauseWithoutDescriptors)
        let end = waker != nil && watch != nil ? deadline : min(deadline, pause)
        do throws(Errno) {
          if let watch { _ = try watch.wait(waker: waker, until: end) } else { try sleep(waker, until: end) }
        } catch { try? sleep(waker, until: min(deadline, pause)) }
      }
    }
  }

  private func sleep(_ waker: Waker?, until deadline: Deadline) throws(Errno) {
    _ = try Syscalls.poll(-1, 0, and: waker?.descriptor ?? -1, until: deadline)
  }

  private func beginWatching(_ access: Access) -> EdgeWatch? {
    guard let watch = try? EdgeWatch.pool.borrow() else { return nil }
    for (index, core) in cores.enumerated() {
      do throws(Errno) { try watch.add(core.number(access)) } catch {
        if index == 1 { watch.remove(cores[0].number(access)) }
        EdgeWatch.pool.giveBack(watch)
        return nil
      }
    }
    return watch
  }

  private func endWatching(_ watch: EdgeWatch?, _ access: Access) {
    guard let watch else { return }
    for core in cores { watch.remove(core.number(access)) }
    watch.drain()
    EdgeWatch.pool.giveBack(watch)
  }

  // MARK: In a task

  private nonisolated(nonsending) mutating func drive(_ access: Access) async -> PumpCourse.Action {
    let watch = beginWatching(access)
    defer { endWatching(watch, access) }
    guard let (registration, watched) = register(watch) else { return close() }
    defer {
      for core in cores { core.gate.unpark(registration) }
      registration.leave(watching: watched ?? -1)
    }
    for core in cores { _ = core.gate.park(registration) }
    while true {
      if Task.isCancelled { return close() }
      // Read before the step: an event from here on ends the wait.
      let changes = registration.snapshot.changes
      watch?.drain()
      switch step(access) {
      case .over(let action): return action
      case .again: if EventLoop.countOperation() { await EventLoop.yield() }
      case .wait(let deadline):
        let end = watched != nil ? deadline : min(deadline, Deadline(after: PumpOperation.pauseWithoutDescriptors))
        switch await registration.park(.change(since: changes), until: end) {
        case .ready, .look, .timedOut: break
        case .cancelled, .stopped: return close()
        }
      }
    }
  }

  /// The registration at which the pump's task waits, and the poller that it watches.
  private func register(_ watch: EdgeWatch?) -> (registration: Registration, watched: CInt?)? {
    guard let loop = try? Reactor.nearest() else { return nil }
    if let watch, let registration = try? loop.makeRegistration(watch.descriptor) {
      return (registration, watch.descriptor)
    }
    // Without room in the loop's poller, the task looks at intervals.
    guard let registration = try? loop.makeRegistration() else { return nil }
    return (registration, nil)
  }
}
