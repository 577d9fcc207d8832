import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Promise 7: a leak report neither ends nor blocks a program")
struct StandardErrorTests {
  /// Leaks a connection. The program must survive, whatever happens to the report.
  private static func leak() throws {
    let pair = try Connection.pair()
    // Only the other end is closed; the first is dropped open.
    pair.second.abort()
  }

  private static func pipe() throws -> (reading: CInt, writing: CInt) {
    var ends: [CInt] = [-1, -1]
    guard unsafe Glibc.pipe(&ends) == 0 else { throw RigError("pipe", code: errno) }
    return (ends[0], ends[1])
  }

  /// Runs `body` with another standard error, and restores the old one for the test's own output.
  private static func withStandardError(_ number: CInt, _ body: () throws -> Void) rethrows {
    let before = fcntl(2, F_DUPFD_CLOEXEC, 100)
    dup2(number, 2)
    defer { dup2(before, 2) }
    try body()
  }

  @Test(
    "standard error is a pipe without a reader: the program goes on, and SIGPIPE's handling is unchanged", .onThreads)
  func brokenPipe() async {
    await #expect(processExitsWith: .success) {
      try synchronously {
        signal(SIGPIPE, SIG_DFL)
        let (reading, writing) = try StandardErrorTests.pipe()
        close(reading)
        try StandardErrorTests.withStandardError(writing) {
          for _ in 0..<3 { try StandardErrorTests.leak() }
        }
        precondition(Ledger.current.counts.leaked == 3)
        var pending = sigset_t()
        unsafe sigpending(&pending)
        precondition(unsafe sigismember(&pending, SIGPIPE) == 0, "a signal was left behind")
        var mask = sigset_t()
        unsafe pthread_sigmask(SIG_BLOCK, nil, &mask)
        precondition(unsafe sigismember(&mask, SIGPIPE) == 0, "the signal was left blocked")
      }
    }
  }

  @Test("a SIGPIPE that the program already has pending stays pending", .onThreads)
  func pendingBefore() async {
    await #expect(processExitsWith: .success) {
      try synchronously {
        var pipe = sigset_t()
        unsafe sigemptyset(&pipe)
        unsafe sigaddset(&pipe, SIGPIPE)
        unsafe pthread_sigmask(SIG_BLOCK, &pipe, nil)
        raise(SIGPIPE)
        let (reading, writing) = try StandardErrorTests.pipe()
        close(reading)
        try StandardErrorTests.withStandardError(writing) { try StandardErrorTests.leak() }
        var pending = sigset_t()
        unsafe sigpending(&pending)
        precondition(unsafe sigismember(&pending, SIGPIPE) == 1)
      }
    }
  }

  @Test("standard error is a full pipe: the report is lost, and the program does not wait for a reader", .onThreads)
  func fullPipe() async {
    await #expect(processExitsWith: .success) {
      try synchronously {
        let (reading, writing) = try StandardErrorTests.pipe()
        // A separate open file description to fill the pipe with: the one under test stays blocking.
        let filling = unsafe open("/proc/self/fd/\(writing)", O_WRONLY | O_NONBLOCK | O_CLOEXEC)
        precondition(filling >= 0)
        let block = [UInt8](repeating: 0x2E, count: 4096)
        while unsafe write(filling, block, block.count) > 0 {}
        try StandardErrorTests.withStandardError(writing) {
          // The alarm ends a process that waits for a reader.
          alarm(30)
          for _ in 0..<50 { try StandardErrorTests.leak() }
          alarm(0)
          precondition(Ledger.current.counts.leaked == 50)
          // Once there is room again, the next report is written.
          var room = [UInt8](repeating: 0, count: 1 << 20)
          _ = unsafe read(reading, &room, room.count)
          try StandardErrorTests.leak()
          let count = unsafe read(reading, &room, room.count)
          precondition(String(decoding: room.prefix(max(0, count)), as: UTF8.self).contains("leaked: a connection"))
        }
      }
    }
  }

  @Test("standard error is closed and its number now a Fin socket: no peer gets a report among its bytes", .onThreads)
  func becameASocket() async {
    await #expect(processExitsWith: .success) {
      // A separate descriptor table: in the process's own table a libdispatch thread takes any number that becomes
      // free.
      try DescriptorTable.apart { _ in
        close(2)
        let pair = try Connection.pair()
        let number = try pair.first.withDescriptor { $0.rawValue }
        precondition(number == 2)
        try StandardErrorTests.leak()
        try pair.first.send("all")
        let heard = try pair.second.receive(upTo: 4096)
        precondition(heard == Array("all".utf8))
        pair.first.abort()
        pair.second.abort()
        // Descriptor 2 is closed again: writing fails with EBADF.
        try StandardErrorTests.leak()
        precondition(Ledger.current.counts.leaked == 2)
      }
    }
  }

  @Test("standard error is a file: each report is written as a whole line", .onThreads)
  func file() async {
    await #expect(processExitsWith: .success) {
      try synchronously {
        var name = Array("/tmp/fin-stderr-XXXXXX".utf8CString)
        let file = unsafe mkstemp(&name)
        precondition(file >= 0)
        unsafe unlink(name)
        try StandardErrorTests.withStandardError(file) {
          for _ in 0..<3 { try StandardErrorTests.leak() }
        }
        var bytes = [UInt8](repeating: 0, count: 1 << 14)
        let count = unsafe pread(file, &bytes, bytes.count, 0)
        let lines = String(decoding: bytes.prefix(count), as: UTF8.self).split(separator: "\n")
        precondition(lines.count == 3 && lines.allSatisfy { $0.hasPrefix("fin: leaked: a connection") }, "\(lines)")
      }
    }
  }
}
