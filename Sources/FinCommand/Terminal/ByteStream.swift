import FinBase
import Glibc

/// A descriptor that bytes are read from or written to: a file, a pipe or a terminal. The calls wait where it is
/// non-blocking.
struct ByteStream: Sendable {
  let descriptor: CInt

  static let input = ByteStream(descriptor: STDIN_FILENO)
  static let output = ByteStream(descriptor: STDOUT_FILENO)

  var isTerminal: Bool { isatty(descriptor) == 1 }

  /// Reads what is there into `room`, or waits for it.
  /// - Returns: The number of bytes; 0 at the end.
  func read(into room: inout [UInt8]) throws(KernelError) -> Int {
    while true {
      do throws(KernelError) {
        return try calling {
          unsafe room.withUnsafeMutableBytes { unsafe Glibc.read(descriptor, $0.baseAddress, $0.count) }
        }
      } catch {
        guard error.code == EAGAIN else { throw error }
        _ = Self.firstReady([(descriptor, POLLIN)], atMost: nil)
      }
    }
  }

  /// Writes some of the bytes, at least one, or waits until it can.
  func write(_ bytes: ArraySlice<UInt8>) throws(KernelError) -> Int {
    while true {
      do throws(KernelError) {
        let count = try calling {
          unsafe bytes.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
        }
        guard count > 0 else { throw KernelError(code: EIO) }
        return count
      } catch {
        guard error.code == EAGAIN else { throw error }
        _ = Self.firstReady([(descriptor, POLLOUT)], atMost: nil)
      }
    }
  }

  /// Waits until one of these descriptors has one of its events, or an error.
  /// - Parameters:
  ///   - nanoseconds: The time; nil for no limit.
  /// - Returns: The position of the first that is ready; nil if the time is over.
  static func firstReady(_ waits: [(descriptor: CInt, event: CInt)], atMost nanoseconds: Int64?) -> Int? {
    let end = nanoseconds.map { SystemClock.monotonic + max(0, $0) }
    var sets = waits.map { pollfd(fd: $0.descriptor, events: Int16($0.event), revents: 0) }
    while true {
      // Rounded up, so that a wait does not end just before its time and begin again.
      let left = end.map { CInt(clamping: max(0, $0 - SystemClock.monotonic + 999_999) / 1_000_000) } ?? -1
      let count = unsafe poll(&sets, nfds_t(sets.count), left)
      if count > 0 { return sets.firstIndex { $0.revents != 0 } }
      if count < 0, errno == EINTR { continue }
      if left >= 0, end.map({ $0 <= SystemClock.monotonic }) == true { return nil }
    }
  }
}
