import CPeers
import Glibc
import Peers
import SystemPackage
import Testing

@testable import Fin

/// A message as a test compares it: the bytes, and the numbers of the descriptors, which the test owns.
struct Arrived: Sendable {
  let bytes: [UInt8]
  let numbers: [CInt]
  let sender: PeerCredentials?

  init(_ message: consuming ReceivedMessage) {
    bytes = message.bytes
    sender = message.sender
    var numbers: [CInt] = []
    while let descriptor = message.descriptors.takeFirst() { numbers.append(descriptor.detach().rawValue) }
    self.numbers = numbers
  }

  func close() { for number in numbers { Glibc.close(number) } }
}

extension SharedConnection {
  /// Receives with descriptors in a thread or in a task.
  func arrival(
    upTo most: Int = 4096, descriptors: Int, within: Timeout = .seconds(10), in world: ServingWorld
  ) throws -> Arrived? {
    switch world {
    case .threads:
      guard let message = try receive(upTo: most, descriptors: descriptors, within: within) else { return nil }
      return Arrived(message)
    case .tasks:
      return try inTask {
        guard let message = try await receive(upTo: most, descriptors: descriptors, within: within) else { return nil }
        return Arrived(message)
      }
    }
  }

  /// Sends with descriptors in a thread or in a task.
  func pass(
    _ bytes: [UInt8], _ descriptors: [CInt], within: Timeout = .seconds(10), in world: ServingWorld
  ) throws {
    let descriptors = descriptors.map { FileDescriptor(rawValue: $0) }
    switch world {
    case .threads: try send(bytes, passing: descriptors, within: within)
    case .tasks: try inTask { try await send(bytes, passing: descriptors, within: within) }
    }
  }
}

/// Two Unix streams that are connected to each other.
struct UnixPair: Sendable {
  let ours: SharedConnection
  let theirs: SharedConnection

  init() throws {
    let pair = try Connection.pair()
    ours = pair.first.share()
    theirs = pair.second.share()
  }

  func abort() {
    ours.abort()
    theirs.abort()
  }
}

/// A pipe whose writing end is passed on: its reading end reads EOF exactly when no process holds a writing end.
final class PassedPipe: Sendable {
  let reading: CInt
  let writing: CInt

  init() throws {
    var ends: [CInt] = [-1, -1]
    guard unsafe peers_pipe(&ends) == 0 else { throw RigError("pipe", code: errno) }
    reading = ends[0]
    writing = ends[1]
  }

  deinit { close(reading) }

  /// Closes this process's first writing end, and reports whether another one is left.
  func isHeldElsewhere() -> Bool {
    close(writing)
    return !isOver(within: 0)
  }

  /// Closes this process's first writing end, and reports whether it was the last. A program that another test starts
  /// at this moment holds one until its exec.
  func hasEnded() -> Bool {
    close(writing)
    return isOver(within: 10_000)
  }

  private func isOver(within milliseconds: CInt) -> Bool {
    var poll = pollfd(fd: reading, events: 0, revents: 0)
    return unsafe Glibc.poll(&poll, 1, milliseconds) == 1
  }
}

/// The socket error that `body` throws.
func socketError(_ body: () throws -> Void) throws -> SocketError {
  do { try body() } catch let error as SocketError { return error }
  throw RigError("no error was thrown")
}

extension Trait where Self == ConditionTrait {
  static var needsPeerProcess: Self {
    .enabled("needs SO_PEERPIDFD: Linux 6.5") {
      let pair = try UnixPair()
      defer { pair.abort() }
      do throws(SocketError) { return try pair.ours.peerProcess() != nil } catch { return false }
    }
  }
}
