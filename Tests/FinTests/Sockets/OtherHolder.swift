import Glibc
import Peers
import SystemPackage
import Testing

@testable import Fin

/// Operations on an open file description that bypass Fin, as any other holder may perform them: a parent, a child, or
/// a part of this program with a lent descriptor.
enum OtherHolder {
  /// Reads `SO_ERROR`, which clears it.
  @discardableResult
  static func takeError(_ number: CInt) -> CInt { option(number, SOL_SOCKET, SO_ERROR) }

  static func option(_ number: CInt, _ level: CInt, _ name: CInt) -> CInt {
    var value: CInt = -1
    var length = socklen_t(4)
    unsafe getsockopt(number, level, name, &value, &length)
    return value
  }

  @discardableResult
  static func setOption(_ number: CInt, _ level: CInt, _ name: CInt, _ value: CInt) -> Bool {
    var value = value
    return unsafe setsockopt(number, level, name, &value, 4) == 0
  }

  /// Clears `O_NONBLOCK`, for every holder.
  static func makeBlocking(_ number: CInt) { _ = fcntl(number, F_SETFL, fcntl(number, F_GETFL) & ~O_NONBLOCK) }

  /// Reads the error queue until it is empty. Returns the number of messages.
  static func drainErrorQueue(_ number: CInt) -> Int {
    var count = 0
    var byte = [UInt8](repeating: 0, count: 2048)
    while unsafe recv(number, &byte, byte.count, CInt(MSG_ERRQUEUE) | CInt(MSG_DONTWAIT)) >= 0 {
      count += 1
    }
    return count
  }

  /// A stream socket of this family and protocol; `nil` where the kernel does not support it.
  static func socket(_ family: CInt, _ protocolNumber: CInt) -> CInt? {
    let number = Glibc.socket(family, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), protocolNumber)
    return number < 0 ? nil : number
  }
}

extension SocketProtocol where Self: ~Copyable {
  /// The descriptor's number, for an operation of another holder.
  borrowing func lent() throws -> CInt { try withDescriptor { $0.rawValue } }
}

/// The processor time that the calling thread used for `body`.
func processorTime(_ body: () throws -> Void) rethrows -> Duration {
  func now() -> Duration {
    var time = timespec()
    unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
  }
  let start = now()
  try body()
  return now() - start
}
