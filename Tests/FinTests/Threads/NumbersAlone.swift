import Glibc
import Peers
import SystemPackage
import Testing

@testable import Fin

/// What can only be seen in a process where nobody else opens descriptors: each test has one of its own.
@Suite("Promise 1: a number is never somebody else's")
struct NumbersAlone {
  @Test("when close returns the number is free, whoever was inside", .faults(1, 2, 3))
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
            // The peer reads, so that a confirmed close can be; not before all inside have left, or there would be room.
            let peer = onThread {
              try eventually(within: .seconds(20), "closing") { ours.phase.isClosing }
              while try theirs.receive(upTo: 1 << 18) != nil {}
            }
            ours.close(policy)
            check(fcntl(number, F_GETFD) == -1 && errno == EBADF, "\(medium), \(policy): \(number) is not free")
            for thread in inside {
              do {
                try thread.join()
                check(false, "\(medium), \(policy): somebody did not wake")
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

  @Test("a number that a stranger closed stops the program at our close, and says so", .faults(8))
  func stranger() async throws {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      try synchronously {
        quietCrash()
        // A high number, because the lowest free one may be another's the moment it is free.
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

  @Test("close(2) is asked once, also when it says EINTR or EIO, and the number is free", .faults(13))
  func interruptedClose() async {
    await #expect(processExitsWith: .success) {
      try synchronously {
        for code in [Errno.interrupted, .ioError] {
          let ledger = Ledger()
          let (ours, theirs) = try Ledger.$current.withValue(ledger) { try Medium.pair.open() }
          // As when the kernel says so: it has freed the number before it could fail, so nothing may be tried again.
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

  @Test("without a descriptor to wait with, the wait fails and says why; closing still works, and waits", .faults(35))
  func noWaker() async {
    await #expect(processExitsWith: .success) {
      try DescriptorTable.apart { table in
        let listener = try Listener.bind(.loopback(port: 0))
        let ours = try Connection.connect(to: listener.address).share()
        // Of one owner: it waits without a descriptor.
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
          // Nothing is broken by it: what need not wait works.
          check(try ours.tcpState() == .established, "not established")
          // The watch for a close was made with the first connection.
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

/// For a process of its own: tells the test that started it what is wrong, and ends as failed.
func check(_ condition: Bool, _ message: @autoclosure () -> String) {
  guard !condition else { return }
  Issue.record("\(message())")
  exit(1)
}

/// This process is to crash: without a crash report, which would take its time.
func quietCrash() {
  for number in [SIGILL, SIGTRAP, SIGABRT] { _ = signal(number, SIG_DFL) }
}
