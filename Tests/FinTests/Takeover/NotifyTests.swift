import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

/// A service manager: a datagram socket that descriptors may be passed to.
final class NotifyPeer: Sendable {
  let number: CInt

  init(path: String) throws {
    number = try Syscalls.socket(AF_UNIX, CInt(SOCK_DGRAM.rawValue))
    try Syscalls.bind(number, try .unix(path))
  }

  deinit { close(number) }

  /// The next datagram. Descriptors that came with it are closed, as systemd closes those of a barrier.
  func next(_ count: Int = 0) throws -> String {
    var poll = pollfd(fd: number, events: Int16(POLLIN), revents: 0)
    guard unsafe Glibc.poll(&poll, 1, 30_000) == 1 else { throw TimedOut("a datagram", after: .seconds(30)) }
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 1)
    defer { unsafe room.deallocate() }
    let head = try unsafe Syscalls.receiveMessage(number, room)
    for descriptor in head.contents.descriptors { close(descriptor) }
    let text = unsafe String(decoding: room[..<head.count], as: UTF8.self)
    if text == "BARRIER=1" { #expect(head.contents.descriptors.count == 1) }
    return text
  }
}

@Suite("A service manager is notified, and a barrier waits until it has read", .onThreads)
struct Notifying {
  private func text(_ messages: ServiceManager.Message...) throws -> String {
    String(decoding: try NotifyChannel.text(messages), as: UTF8.self)
  }

  @Test("each state is its line of sd_notify(3)")
  func lines() throws {
    #expect(try text(.ready, .status("up and running"), .mainPID(7)) == "READY=1\nSTATUS=up and running\nMAINPID=7")
    #expect(try text(.stopping, .watchdog) == "STOPPING=1\nWATCHDOG=1")
    #expect(
      try text(.extendTimeout(.milliseconds(1500)), .extendTimeout(.seconds(-1)))
        == "EXTEND_TIMEOUT_USEC=1500000\nEXTEND_TIMEOUT_USEC=0")
    let reloading = try text(.reloading).split(separator: "\n")
    #expect(reloading.first == "RELOADING=1" && reloading.count == 2)
    let microseconds = Int64(reloading[1].dropFirst("MONOTONIC_USEC=".count))
    #expect(microseconds.map { abs($0 - SystemClockNow.microseconds) < 60_000_000 } == true)
    for hostile in ["a\nMAINPID=1", "a\rb", "a\0b"] {
      #expect(try socketError { _ = try text(.status(hostile)) }.cause == .invalid("a status is one line"))
    }
  }

  @Test("the address: a path, an abstract name taken literally, and nothing else")
  func addresses() throws {
    func address(_ text: String?) throws -> String? { try NotifyChannel(text).map { "\($0.address)" } }
    #expect(try address(nil) == nil && address("") == nil)
    #expect(try address("/run/systemd/notify") == "/run/systemd/notify" && address("@a/b") == "@a/b")
    #expect(try address("@a\\x41") == "@a\\x5cx41")
    for other in ["vsock:2:1234", "relative", "/" + String(repeating: "x", count: 108)] {
      let error = try socketError { _ = try address(other) }
      guard case .invalid(let reason) = error.cause else { throw RigError("\(error)") }
      #expect(reason.contains("NOTIFY_SOCKET"))
    }
  }

  @Test(
    "datagrams and a barrier arrive, at a path and at an abstract name", arguments: ServingWorld.allCases,
    [true, false])
  func arrive(_ world: ServingWorld, _ isPath: Bool) throws {
    let folder = try TemporaryFolder()
    let name = isPath ? "\(folder.path)/notify" : "@fin.notify.\(getpid()).\(world)"
    let manager = try NotifyPeer(path: name)
    let channel = try #require(try NotifyChannel(name))
    let barrier = onThread {
      switch world {
      case .threads:
        try channel.send(try NotifyChannel.text([.ready]), .seconds(10))
        try channel.awaitBarrier(.seconds(30))
      case .tasks:
        try inTask(within: .seconds(40)) {
          try await channel.send(try NotifyChannel.text([.ready]), .seconds(10))
          try await channel.awaitBarrier(.seconds(30))
        }
      }
      return true
    }
    #expect(try manager.next() == "READY=1")
    #expect(try manager.next() == "BARRIER=1")
    #expect(try barrier.join(within: .seconds(30)))
  }

  @Test("a manager that never reads: the barrier times out, and leaves no descriptor", arguments: ServingWorld.allCases)
  func silent(_ world: ServingWorld) throws {
    let name = "@fin.silent.\(getpid()).\(world)"
    let manager = try NotifyPeer(path: name)
    let channel = try #require(try NotifyChannel(name))
    let error = try socketError {
      switch world {
      case .threads: try channel.awaitBarrier(.milliseconds(50))
      case .tasks: try inTask { try await channel.awaitBarrier(.milliseconds(50)) }
      }
    }
    #expect(error.cause == .timedOut)
    #expect(try manager.next() == "BARRIER=1")
  }

  @Test("nothing is bound to the address: an error that names it", arguments: ServingWorld.allCases)
  func gone(_ world: ServingWorld) throws {
    let channel = try #require(try NotifyChannel("@fin.gone.\(getpid())"))
    let error = try socketError {
      switch world {
      case .threads: try channel.send([1], .seconds(1))
      case .tasks: try inTask { try await channel.send([1], .seconds(1)) }
      }
    }
    #expect(error.cause == .system(.connectionRefused))
  }

  @Test("the watchdog's interval: only for this process, and only if it is a time")
  func watchdog() {
    #expect(ServiceManager.interval("30000000", pid: nil, process: 7) == .seconds(30))
    #expect(ServiceManager.interval("30000000", pid: "7", process: 7) == .seconds(30))
    #expect(ServiceManager.interval("30000000", pid: "8", process: 7) == nil)
    for text in [nil, "", "0", "-1", "soon"] { #expect(ServiceManager.interval(text, pid: nil, process: 7) == nil) }
  }
}

private enum SystemClockNow {
  static var microseconds: Int64 {
    var time = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000
  }
}
