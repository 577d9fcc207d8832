import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Promise 2: the text of a server's report", .onThreads)
struct ReportText {
  @Test("a server's report without any client")
  func nothing() {
    #expect("\(ServerReport())" == "0 served")
    #expect(ServerReport().served == 0)
  }

  @Test("a server's report lists endings with their counts and separators; zero counts are not mentioned")
  func endings() {
    var report = ServerReport()
    report.endings = [.peerFinished: 1198, .reset: 4, .timedOut(.lingering): 2]
    #expect("\(report)" == "1,204 served: 1,198 peer finished, 4 reset, 2 timed out (lingering)")
    #expect(report.served == 1204)
  }

  @Test("a server's report with every count")
  func everything() {
    var report = ServerReport()
    report.endings = [
      .peerFinished: 1_000_000, .acknowledged: 3, .discardedByPeer: 3, .aborted: 2, .background: 1, .detached: 1,
    ]
    report.handlersFailed = 2
    report.refused = 12
    report.abortedAtStop = 3
    report.clientsReset = 1
    report.timesOutOfDescriptors = 1
    report.handlersRunning = 1
    report.timesAcceptFailed = 2
    report.lastAcceptFailure = SocketError(.accept, .system(.notPermitted), local: .loopback(port: 7))
    report.securingsFailed = 2
    report.lastSecuringFailure = SocketError(.secure, .timedOut, local: .loopback(port: 7))
    report.bytesUnacknowledged = 12_345
    report.failure = SocketError(.accept, .system(.badFileDescriptor), local: .loopback(port: 7))
    let text =
      "1,000,010 served: 1,000,000 peer finished, 3 acknowledged, 3 discarded by peer, 2 aborted, 1 background, "
      + "1 detached; 2 handlers failed; 12 refused; 3 aborted at the stop; 1 reset in the queue; "
      + "1 time at the descriptor limit; 1 handler still running; 12,345 bytes not acknowledged; "
      + "accept failed 2 times (last accept 127.0.0.1:7: operation not permitted (EPERM)); "
      + "2 not secured (last \(SocketError(.secure, .timedOut, local: .loopback(port: 7)))); "
      + "ended by: accept 127.0.0.1:7: bad file descriptor (EBADF)"
    #expect("\(report)" == text)
  }
}
