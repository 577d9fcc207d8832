internal import CFin
internal import Synchronization
internal import SystemPackage

/// Waits for sockets on behalf of tasks: a number of event loops, each a thread with an edge-triggered poller.
///
/// A task waits at the loop on whose thread it runs, or else at a loop of ``shared``, which has one for each processor.
/// A program makes a reactor of its own to choose the number of loops, to run its tasks on them, or to stop them.
///
/// Each loop is a task executor. A task that prefers it runs on the loop's own thread, and is resumed there without a
/// hop when its socket is ready; ``Listener/serve(on:connections:limits:closing:onFailure:file:line:_:)`` starts its
/// handlers so. A task that runs elsewhere (the main actor, the global pool) can use every socket too. Each wait that
/// cannot be answered at once then costs a hop from the loop's thread to the task's own.
///
/// A reactor lives as long as the program holds it. When its last reference is dropped, it stops, as by ``stop()``. A
/// task that prefers one of its executors does not hold it, nor does a socket that has waited there. So a program keeps
/// its reactor for as long as its tasks use it, for example in a global, or in the object that also holds the tasks.
///
/// A task executor must return from `enqueue` promptly, because the loop's thread calls it. It may run the job at once,
/// or take a lock that its program also holds while it calls Fin: Fin holds no lock meanwhile. A thread that holds such
/// a lock must not wait for a task of that executor, for example in a close, which waits until all operations in flight
/// have left.
///
/// Code that runs on a loop must not block: not in `Thread.sleep`, and not in the verbs of this library that block a
/// thread, which a synchronous function picks. `Reactor.blocking { … }` runs work that blocks in threads of its own. An
/// actor is no such place: it runs on the loop of the task that calls it.
public final class Reactor: Sendable {
  private let loops: [EventLoop]
  private let turn: Atomic<Int>

  /// Creates a reactor with the given number of loops, and starts their threads.
  ///
  /// - Parameter loops: 1 or more; by default one for each processor that this process may use. Each takes
  ///   two descriptors.
  /// - Throws: `.invalid` for less than one loop; `.system`: `EMFILE` when no descriptor is available, `EAGAIN` when no
  ///   thread can be created.
  public convenience init(loops: Int? = nil) throws(SocketError) {
    let count = loops ?? Reactor.processors
    guard count > 0 else { throw SocketError(.open, .invalid("a reactor of \(count) loops")) }
    do { try self.init(count: count) } catch { throw SocketError(.open, .system(error), note: "for a reactor") }
  }

  /// - Parameter beginnings: the values at which the counters of its loops begin.
  init(count: Int, beginnings: EventLoop.Beginnings = EventLoop.Beginnings()) throws(Errno) {
    var loops: [EventLoop] = []
    var failure: Errno?
    for index in 0..<count where failure == nil {
      do throws(Errno) {
        let loop = try EventLoop(beginnings)
        let code = loop.start(name: "fin-loop-\(index)")
        if code != 0 { throw Errno(rawValue: code) }
        loops.append(loop)
      } catch { failure = error }
    }
    self.loops = loops
    turn = Atomic(beginnings.turn)
    if let failure {
      for loop in loops { loop.stop() }
      throw failure
    }
  }

  deinit { stop() }

  /// The number of processors that this process may run on (`sched_getaffinity(2)`).
  public static var processors: Int { max(1, Int(fin_processors())) }

  // MARK: The shared reactor

  private static let common = Mutex<Reactor?>(nil)

  /// The reactor of all tasks that do not run on a loop of another one. Created when first needed, and never stopped.
  ///
  /// - Throws: the errors of ``init(loops:)``. The next use then tries again.
  public static var shared: Reactor {
    get throws(SocketError) {
      try common.withLock { common throws(SocketError) in
        if common == nil { common = try Reactor() }
        return common!
      }
    }
  }

  // MARK: Running

  /// The next of the loops in turn, for `Task(executorPreference:)` and `withTaskExecutorPreference`.
  public var executor: any TaskExecutor { next() }

  func next() -> EventLoop {
    loops[Int(UInt(bitPattern: turn.wrappingAdd(1, ordering: .relaxed).newValue) % UInt(loops.count))]
  }

  /// The loop whose thread is the calling one, or else one of the shared reactor's loops.
  static func nearest() throws(WaitError) -> EventLoop {
    if let loop = EventLoop.current { return loop }
    return try common.withLock { common throws(WaitError) in
      if common == nil { do throws(Errno) { common = try Reactor(count: processors) } catch { throw .system(error) } }
      return common!.next()
    }
  }

  // MARK: Stopping

  /// Stops the loops. It returns at once, and a second call changes nothing. Dropping the last reference to a reactor
  /// does the same.
  ///
  /// Every operation that waits here fails with `.reactorStopped`, and so does every operation that has to wait later.
  /// A socket stays at its reactor once a task has waited for it there. Operations that need no wait still work, so
  /// that a connection can still be aborted. Each thread ends when it has run the jobs that it has. A task that still
  /// prefers its loop continues in Swift's global pool.
  public func stop() {
    for loop in loops { loop.stop() }
  }
}
