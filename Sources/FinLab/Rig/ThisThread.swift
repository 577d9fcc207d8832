import CFin
import Fin
import Glibc
import Synchronization

/// A task executor that runs an async body to its end on the calling thread.
///
/// The rig polls the kernel and makes blocking system calls. It needs a thread for that, and must block neither Swift's
/// pool, which has one thread per core, nor a loop of the reactor. In tasks, each of Fin's operations that the rig
/// awaits resumes on this thread; in threads, nothing ever leaves it.
@safe
final class ThisThread: TaskExecutor, @unchecked Sendable {
  private let jobs = Mutex<[UnownedJob]>([])
  /// A semaphore, posted once for each job.
  private let news: UnsafeMutablePointer<sem_t>

  private init() {
    unsafe news = .allocate(capacity: 1)
    unsafe sem_init(news, 0, 0)
  }

  deinit {
    unsafe sem_destroy(news)
    unsafe news.deallocate()
  }

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    jobs.withLock { $0.append(job) }
    unsafe sem_post(news)
  }

  static func run<R: Sendable>(_ body: @escaping @Sendable () async throws -> R) throws -> R {
    let thread = ThisThread()
    let answer = Box<Result<R, any Error>>()
    Task(executorPreference: thread) {
      do { answer.put(.success(try await body())) } catch { answer.put(.failure(error)) }
    }
    while true {
      if let answer = answer.content, thread.jobs.withLock(\.isEmpty) { return try answer.get() }
      unsafe sem_wait(thread.news)
      let job = thread.jobs.withLock { $0.isEmpty ? nil : $0.removeFirst() }
      if let job { unsafe job.runSynchronously(on: thread.asUnownedTaskExecutor()) }
    }
  }
}

/// A second user of one of Fin's sockets, concurrent with the rig: a thread, or a task on the reactor.
final class Worker<Answer: Sendable>: Sendable {
  private let world: World
  private let answer = Box<Answer>()
  private let hasBegun = Box<Bool>()
  /// The path of the thread below /proc.
  private let place = Box<String>()

  init(in world: World, _ work: @escaping @Sendable () async -> Answer) throws {
    self.world = world
    switch world {
    case .threads:
      _ = WorkerThread { [self] in
        if let target = Kernel.target(of: "/proc/thread-self") { place.put("/proc/\(target)") }
        hasBegun.put(true)
        // `work` does not throw.
        if let answer = try? ThisThread.run(work) { self.answer.put(answer) }
      }
    case .tasks:
      Task(executorPreference: try Reactor.shared.executor) { [self] in
        hasBegun.put(true)
        answer.put(await work())
      }
    }
  }

  /// Blocks until the worker is blocked: its thread sleeps in the kernel or, for a task, which has a thread only while
  /// it runs, every loop of the reactor does.
  /// - Returns: Whether the worker is blocked.
  func waits(within limit: Duration = .seconds(5)) -> Bool {
    wait(atMost: limit) { hasBegun.content == true && isRunning && threads.allSatisfy(Kernel.sleeps) }
  }

  private var threads: [String] {
    switch world {
    case .threads: place.content.map { [$0] } ?? []
    case .tasks: Kernel.threads(named: "fin-loop-")
    }
  }

  var isRunning: Bool { answer.content == nil }

  /// Returns the answer.
  /// - Throws: A `SetupError` if the answer does not arrive in time.
  func answer(orMishap what: String, within limit: Duration = .seconds(5)) throws -> Answer {
    guard let answer = wait(atMost: limit, for: { answer.content }) else {
      throw SetupError("\(what): nothing after \(limit.inSeconds.time)")
    }
    return answer
  }
}
