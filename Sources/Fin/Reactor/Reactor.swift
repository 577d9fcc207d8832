internal import CFin
internal import Synchronization
internal import SystemPackage

/// Waits for sockets on behalf of tasks: a few loops, each a thread with an edge-triggered poller.
///
/// A task that waits does so at ``shared``, with one loop for each processor, unless the program made a reactor of its own: to
/// choose the number of loops, to run its tasks on them, or to stop them.
///
/// Each loop is a task executor. A task that prefers it runs on the loop's own thread and is resumed there when its socket
/// is ready, without a hop; ``Listener/serve(on:limits:closing:file:line:_:)`` starts its handlers so. A task that runs
/// elsewhere (an actor, the main actor, the global pool) can use every socket all the same: each wait that cannot be answered at
/// once then costs a hop from the loop's thread to its own.
///
/// A reactor lives as long as the program holds it: when its last reference is dropped, it stops, as by ``stop()``. A task that
/// prefers one of its executors, and a socket that has waited there, do not hold it. So a program keeps its reactor for as
/// long as its tasks use it, in a global, say, or in what also holds the tasks.
///
/// A task executor must return from `enqueue` promptly: the loop's thread calls it. It may run the job there and then, or take a
/// lock that its program also holds while it calls Fin; no lock of Fin's is held meanwhile. A thread that holds such a lock must
/// not wait for a task of that executor: in a close, which waits until all who are inside have left, say.
///
/// What runs on a loop must not block: not in `Thread.sleep`, and not in the verbs of this library that block a thread, which a
/// synchronous function picks. For those there is ``Listener/serve(threads:limits:closing:file:line:_:)``.
public final class Reactor: Sendable {
  private let loops: [Loop]
  private let turn: Atomic<Int>

  /// A reactor of so many loops; its threads are started here.
  ///
  /// - Parameter loops: 1 or more; by default one for each processor that this process may use. Each takes two descriptors.
  /// - Throws: `.system`: `EMFILE` when there are no descriptors to be had, `EAGAIN` when there is no thread.
  public convenience init(loops: Int? = nil) throws(SocketError) {
    let count = loops ?? Reactor.processors
    guard count > 0 else { throw SocketError(.open, .invalid("a reactor of \(count) loops")) }
    do { try self.init(count: count) } catch { throw SocketError(.open, .system(error), note: "for a reactor") }
  }

  /// - Parameter beginnings: where its loops' counters begin.
  init(count: Int, beginnings: Loop.Beginnings = Loop.Beginnings()) throws(Errno) {
    var loops: [Loop] = []
    var failure: Errno?
    for index in 0..<count where failure == nil {
      do throws(Errno) {
        let loop = try Loop(beginnings)
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

  /// Processors that this process may run on, as `sched_getaffinity(2)` says.
  public static var processors: Int { max(1, Int(fin_processors())) }

  // MARK: The shared one

  private static let common = Mutex<Reactor?>(nil)

  /// The reactor of everybody who did not choose one: made when first needed, never stopped.
  ///
  /// - Throws: as ``init(loops:)``; then the next who needs it tries again.
  public static var shared: Reactor {
    get throws(SocketError) {
      try common.withLock { common throws(SocketError) in
        if common == nil { common = try Reactor() }
        return common!
      }
    }
  }

  // MARK: Running

  /// One of the loops, each time the next: for `Task(executorPreference:)` and `withTaskExecutorPreference`.
  public var executor: any TaskExecutor { next() }

  func next() -> Loop {
    loops[Int(UInt(bitPattern: turn.wrappingAdd(1, ordering: .relaxed).newValue) % UInt(loops.count))]
  }

  /// The loop of the thread that calls, if it is one's; else one of the shared ones.
  static func nearest() throws(Interruption) -> Loop {
    if let loop = Loop.current { return loop }
    return try common.withLock { common throws(Interruption) in
      if common == nil { do throws(Errno) { common = try Reactor(count: processors) } catch { throw .system(error) } }
      return common!.next()
    }
  }

  // MARK: The end

  /// Ends the loops; returns at once, and a second time changes nothing. Dropping the last reference to a reactor does the same.
  ///
  /// Who waits here wakes with `.reactorStopped`, and so does who would wait from now on; a socket stays at its reactor once it
  /// has waited there. What needs no wait goes on to work; so a connection can still be aborted. Each thread ends when it has run the
  /// jobs that it has; a task that still prefers it goes on in Swift's global pool.
  public func stop() {
    for loop in loops { loop.stop() }
  }
}
