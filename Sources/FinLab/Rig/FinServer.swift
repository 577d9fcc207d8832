import Fin
import Synchronization

/// One of Fin's listeners, used by a thread of its own, or by a task.
struct FinServer<Answer: Sendable> {
  let handle: ListenerHandle
  let port: UInt16
  let running: Worker<Answer>

  /// - Parameter life: The code that uses the listener. Its result is that of the thread or task.
  init(
    in world: World, timeouts: Timeouts = .default,
    _ life: @escaping @Sendable (borrowing AnySocket<Listener>) async -> Answer
  ) throws {
    let born = AnySocket(try Listener.bind(.loopback(port: 0), timeouts: timeouts), world)
    handle = born.handle
    let parcel = MoveBox(born)
    running = try world.start {
      let listener = parcel.take()
      let answer = await life(listener)
      listener.close()
      return answer
    }
    port = handle.localAddress?.port ?? 0
  }

  /// Returns the result after the server was stopped.
  func answer() throws -> Answer { try running.answer(orMishap: "the server") }
}

/// A value that one thread stores and another reads.
final class Box<Content: Sendable>: Sendable {
  private let place = Mutex<Content?>(nil)
  var content: Content? { place.withLock { $0 } }
  func put(_ content: Content) { place.withLock { $0 = content } }
}
