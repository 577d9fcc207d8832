import Fin
@preconcurrency import Glibc
import Synchronization

/// Where the waiting operations run.
enum World: String, CaseIterable, Sendable {
  case task, thread
}

/// The operations that wait in this process, and the objects that they keep open.
final class Stage: Sendable {
  let world: World
  /// The number of sockets to make.
  let waiters: Int
  private let reactor: Reactor?
  private let counts = Mutex((expected: 0, begun: 0, ended: 0))
  private let held = Mutex<[any Sendable]>([])

  init(world: World, waiters: Int) {
    self.world = world
    self.waiters = waiters
    reactor = world == .task ? try? Reactor(loops: 1) : nil
  }

  var expected: Int { counts.withLock { $0.expected } }
  var begun: Int { counts.withLock { $0.begun } }
  var ended: Int { counts.withLock { $0.ended } }

  /// Keeps something open until the end.
  func hold(_ something: some Sendable) { held.withLock { $0.append(something) } }

  /// Starts a task or a thread with an operation that should wait until the process ends.
  func wait(
    _ inTask: @escaping @Sendable () async throws -> Void, inThread: @escaping @Sendable () throws -> Void
  ) {
    counts.withLock { $0.expected += 1 }
    run {
      self.counts.withLock { $0.begun += 1 }
      do { try await inTask() } catch { fputs("ended: \(error)\n", stderr) }
      self.counts.withLock { $0.ended += 1 }
    } inThread: {
      self.counts.withLock { $0.begun += 1 }
      do { try inThread() } catch { fputs("ended: \(error)\n", stderr) }
      self.counts.withLock { $0.ended += 1 }
    }
  }

  private func run(_ inTask: @escaping @Sendable () async -> Void, inThread: @escaping @Sendable () -> Void) {
    if let reactor {
      _ = Task(executorPreference: reactor.executor) { await inTask() }
    } else {
      startThread(inThread)
    }
  }

  func awaitBegun(within seconds: Int) -> Bool {
    for _ in 0..<(seconds * 100) {
      if counts.withLock({ $0.begun == $0.expected }) { return true }
      usleep(10_000)
    }
    return false
  }

  /// Makes the objects that are made once: the event loop's buffers, a first registration, the pools of wakers.
  func warmUp() {
    guard let pair = try? Connection.pair() else { return }
    let (near, far) = (pair.first.share(), pair.second.share())
    let done = Flag()
    run {
      _ = try? await near.receive(upTo: 1, within: .milliseconds(20))
      done.set()
    } inThread: {
      _ = try? near.receive(upTo: 1, within: .milliseconds(20))
      done.set()
    }
    while !done.isSet { usleep(1000) }
    near.abort()
    far.abort()
    _ = Usage.now
  }
}

/// A flag that one thread sets and others read.
final class Flag: Sendable {
  private let state = Atomic<Bool>(false)
  var isSet: Bool { state.load(ordering: .acquiring) }
  func set() { state.store(true, ordering: .releasing) }
}

/// A box for a noncopyable value, so that several closures can share it.
final class Kept<Value: ~Copyable & Sendable>: Sendable {
  let value: Value
  init(_ value: consuming Value) { self.value = value }
}

/// Starts a thread with a small stack, as a server would use.
func startThread(_ body: @escaping @Sendable () -> Void) {
  final class Body: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }
  var attributes = pthread_attr_t()
  pthread_attr_init(&attributes)
  pthread_attr_setstacksize(&attributes, 256 << 10)
  var thread = pthread_t()
  let code = pthread_create(
    &thread, &attributes,
    { argument in
      Unmanaged<Body>.fromOpaque(argument!).takeRetainedValue().run()
      return nil
    }, Unmanaged.passRetained(Body(body)).toOpaque())
  precondition(code == 0, "no thread: \(code)")
  pthread_attr_destroy(&attributes)
}
