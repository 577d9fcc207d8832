import Fin
import Synchronization

/// A listener of Fin's that lives in a thread of its own, or in a task.
struct FinServer<Answer: Sendable> {
  let handle: ListenerHandle
  let port: UInt16
  let running: Worker<Answer>

  /// - Parameter life: what is done with the listener. Its answer is the thread's, or the task's.
  init(
    in world: World, timeouts: Timeouts = .default,
    _ life: @escaping @Sendable (borrowing Held<Listener>) async -> Answer
  ) throws {
    let born = Held(try Listener.bind(.loopback(port: 0), timeouts: timeouts), world)
    handle = born.handle
    let parcel = Parcel(born)
    running = try world.start {
      let listener = parcel.take()
      let answer = await life(listener)
      listener.close()
      return answer
    }
    port = handle.localAddress?.port ?? 0
  }

  /// The answer after the server was stopped.
  func answer() throws -> Answer { try running.answer(orMishap: "the server") }
}

/// Something that one thread puts down and another takes up.
final class Box<Content: Sendable>: Sendable {
  private let place = Mutex<Content?>(nil)
  var content: Content? { place.withLock { $0 } }
  func put(_ content: Content) { place.withLock { $0 = content } }
}
