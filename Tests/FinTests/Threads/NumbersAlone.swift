import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@_spi(Fin) @testable import Fin

/// Effects that are visible only in a process where no other code opens descriptors: each test runs in a
/// separate process.
@Suite("Promise 1: a descriptor number is never a stranger's")
struct NumbersAlone {
  @Test("when close returns the number is free, whatever operations were inside", .onThreads, .faults(1, 2, 3))
  func free() async {
    await #expect(processExitsWith: .success) {
      try synchronously {
        for medium in Medium.allCases {
          for policy in ClosePolicy.all {
            let (ours, theirs) = try medium.open()
            try ours.fill()
            let number = ours.reference.core.number
            let inside = [
              try waiting { _ = try ours.receive(upTo: 1) }, try waiting { try ours.send("x") },
              onThread { while true { _ = try ours.cookie() } },
            ]
            // The peer reads, so that a confirmed close can succeed. It starts only after all operations inside have
            // left, because reading makes room for them.
            let peer = onThread {
              try eventually(within: .seconds(20), "closing") { ours.phase.isClosing }
              while try theirs.receive(upTo: 1 << 18) != nil {}
            }
            ours.close(policy)
            check(fcntl(number, F_GETFD) == -1 && errno == EBADF, "\(medium), \(policy): \(number) is not free")
            for thread in inside {
              do {
                try thread.join()
                check(false, "\(medium), \(policy): a waiter did not wake")
              } catch { check((error as? SocketError)?.cause == .closed, "\(medium), \(policy): \(error)") }
            }
            _ = try? peer.join()
            theirs.abort()
          }
        }
        let owner = Keeper(try Listener.bind(.loopback(port: 0)))
        let number = owner.listener.reference.core.number
        let acceptor = try waiting { try owner.listener.accept().phase }
        owner.listener.stop()
        _ = try? acceptor.join()
        check(fcntl(number, F_GETFD) == -1, "the listener's number is not free")
      }
    }
  }

  @Test("a descriptor that other code closed makes our close trap, with the reason", .onThreads, .faults(8))
  func stranger() async throws {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      try synchronously {
        quietCrash()
        // A high number, because another thread may take the lowest free one the moment it is free.
        let pair = try Connection.pair()
        let number = try pair.first.withDescriptor { fcntl($0.rawValue, F_DUPFD, 700) }
        let connection = try Connection.adopt(FileDescriptor(rawValue: number))
        Glibc.close(number)
        connection.close(.abort)
      }
    }
    let text = String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
    #expect(text.contains("EBADF") && text.contains("another part of this program"), "\(text)")
  }

  @Test(
    "close(2) is called once, even when it fails with EINTR or EIO, and the number is free", .onThreads, .faults(13))
  func interruptedClose() async {
    await #expect(processExitsWith: .success) {
      try synchronously {
        for code in [Errno.interrupted, .ioError] {
          let ledger = Ledger()
          let (ours, theirs) = try Ledger.$current.withValue(ledger) { try Medium.pair.open() }
          // As if the kernel returned this error: it has freed the descriptor before it could fail, so the close must
          // not be retried.
          let script = Script(.every(.close, .fail(code)))
          Seam.$script.withValue(script) { _ = ours.close(.abort) }
          check(script.count(.close) == 1, "\(code): close was called \(script.count(.close)) times")
          check(ledger.counts.open == 1, "\(code): \(ledger.counts)")
          Seam.$script.withValue(script) { _ = ours.close(.abort) }
          check(script.count(.close) == 1, "\(code): a second close called close again")
          theirs.abort()
        }
      }
    }
  }

  @Test(
    "without a descriptor to wait with, the wait fails and says why; closing still works, and waits", .onThreads,
    .faults(35))
  func noWaker() async {
    await #expect(processExitsWith: .success) {
      try DescriptorTable.apart { table in
        let listener = try Listener.bind(.loopback(port: 0))
        let ours = try Connection.connect(to: listener.localAddress).share()
        // A connection of one owner waits without a descriptor.
        let theirs = try listener.accept()
        try ours.fill()
        Waker.pool.releaseIdle()
        try table.leaving(0) {
          for verb in [{ _ = try ours.receive(upTo: 1) }, { try ours.send("x") }] as [() throws -> Void] {
            do {
              try verb()
              check(false, "nothing to wait with, and yet it waited")
            } catch {
              check((error as? SocketError)?.cause == .system(.tooManyOpenFiles), "\(error)")
              check("\(error)".contains("ulimit -n"), "\(error)")
            }
          }
          // The failed wait broke nothing: operations that need not wait still work.
          check(try ours.tcpState() == .established, "not established")
          // The watch for a close was created with the first connection.
          let closer = try waiting { ours.close(.confirmed(within: .seconds(20))) }
          check(ours.phase == .confirming, "\(ours.phase)")
          var arrived = 0
          while let more = try theirs.receive(upTo: 1 << 18) { arrived += more.count }
          let report = try closer.join()
          check(report.isDelivered && arrived > 60_000, "\(report)")
        }
        theirs.abort()
        listener.close()
      }
    }
  }
}

/// Checks a condition in a separate process: reports a failure to the test that started it, and exits with a
/// failure status.
func check(_ condition: Bool, _ message: @autoclosure () -> String) {
  guard !condition else { return }
  Issue.record("\(message())")
  exit(1)
}

/// Disables the crash report of a process that is meant to crash, because it would take time.
func quietCrash() {
  for number in [SIGILL, SIGTRAP, SIGABRT] { _ = signal(number, SIG_DFL) }
}
