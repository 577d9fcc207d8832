import CFin
import FinBase
import Glibc

/// An event that wakes waits in `poll(2)`. Any thread may ring; a bell that is not silenced goes on ringing.
final class Bell: Sendable {
  let descriptor: CInt

  /// - Throws: `EMFILE` and similar errors, when there is no descriptor for it.
  init() throws(KernelError) { descriptor = CInt(try calling { Int(fin_eventfd()) }) }

  deinit { close(descriptor) }

  func ring() {
    var one: UInt64 = 1
    // It fails only when it rings already, 2^64 - 2 times.
    _ = unsafe write(descriptor, &one, MemoryLayout<UInt64>.size)
  }

  /// Waits until it rings, or the time is over, and silences it.
  /// - Parameter nanoseconds: The time; nil for no limit.
  func wait(atMost nanoseconds: Int64?) {
    guard ByteStream.firstReady([(descriptor, POLLIN)], atMost: nanoseconds) != nil else { return }
    var count: UInt64 = 0
    _ = unsafe read(descriptor, &count, MemoryLayout<UInt64>.size)
  }
}
