import Fin
import Synchronization

/// A listener of Fin's that lives on a thread of its own.
struct FinServer<Answer: Sendable> {
  let handle: ListenerHandle
  let port: UInt16
  let running: Background<Answer>

  /// - Parameter life: what the thread does with the listener. Its answer is the thread's.
  init(timeouts: Timeouts = .default, _ life: @escaping @Sendable (borrowing Listener) -> Answer) throws {
    let born = Box<Result<ListenerHandle, SocketError>>()
    running = Background {
      do throws(SocketError) {
        let listener = try Listener.bind(.loopback(port: 0), timeouts: timeouts)
        born.put(.success(listener.handle))
        let answer = life(listener)
        listener.close()
        return answer
      } catch {
        born.put(.failure(error))
        // Nobody waits for this thread's answer: it has none.
        while true { pause(.seconds(60)) }
      }
    }
    guard let result = wait(atMost: .seconds(5), for: { born.content }) else {
      throw Mishap("the server did not start")
    }
    handle = try result.get()
    port = handle.localAddress?.port ?? 0
  }

  /// The thread's answer after the server was stopped.
  func answer() throws -> Answer { try running.answer(orMishap: "the server's thread") }
}

/// Something that one thread puts down and another takes up.
final class Box<Content: Sendable>: Sendable {
  private let place = Mutex<Content?>(nil)
  var content: Content? { place.withLock { $0 } }
  func put(_ content: Content) { place.withLock { $0 = content } }
}
