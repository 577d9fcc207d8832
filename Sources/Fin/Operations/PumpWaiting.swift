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
      // For all of it: four system calls for each part of the bytes would cost more than the rest of the pump.
      action = Syscalls.withoutBrokenPipe { pump.drive(access) }
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
    // The same wait is for the sockets and for a wake.
    var hearsWakes = false
    if let watch, let waker { hearsWakes = (try? watch.add(waker.descriptor)) != nil }
    defer {
      if let waker {
        for core in cores { core.gate.unpark(waker) }
        if hearsWakes { watch?.remove(waker.descriptor) }
        waker.giveBack()
      }
      endWatching(watch, access)
    }
    // A gate that is closing already is found by the first step.
    if let waker { for core in cores { _ = core.gate.park(waker) } }
    while true {
      switch step(access, isWithoutSignal: true) {
      case .over(let action): return action
      case .again: continue
      case .wait(let deadline):
        // Without a wake, a close from elsewhere is found at the next step.
        let end = hearsWakes ? deadline : min(deadline, Deadline(after: PumpOperation.pauseWithoutDescriptors))
        // The edges are taken before the step: what they and a wake announce is written before it.
        if let watch {
          if !watch.awaitEdges(until: end, { note($0, Readiness(epoll: $1), access) }) { noteAll() }
        } else {
          try? sleep(waker, until: end)
          waker?.drain()
          noteAll()
        }
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

  /// Takes the edges that there are.
  ///
  /// - Returns: whether there was one.
  private mutating func takeEdges(_ watch: EdgeWatch?, _ access: Access) -> Bool {
    watch?.awaitEdges(until: .passed) { note($0, Readiness(epoll: $1), access) } ?? false
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
      if watch == nil || !takeEdges(watch, access) { noteAll() }
      switch stepAmongOthers(access) {
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
