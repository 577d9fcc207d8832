import CPeers
import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@_spi(Fin) @testable import Fin

/// A persistent error of `accept`. accept(2) and tcp(7) document these; a seccomp filter may return any other.
struct LastingError: CustomTestStringConvertible, Sendable {
  let code: Errno
  let kind: Kind

  enum Kind { case client, capacity, refused, gone }

  var testDescription: String { "\(code)" }

  static let all: [LastingError] =
    [
      ECONNABORTED, EINTR, EPROTO, ENOPROTOOPT, ENETDOWN, EHOSTDOWN, ENONET, EHOSTUNREACH, ENETUNREACH, ENOSR,
      ESOCKTNOSUPPORT, EPROTONOSUPPORT, ETIMEDOUT, ECONNRESET,
    ].map { LastingError(code: Errno(rawValue: $0), kind: .client) }
    + [EMFILE, ENFILE, ENOBUFS, ENOMEM].map { LastingError(code: Errno(rawValue: $0), kind: .capacity) }
    // EOPNOTSUPP is a network error too, and a filter may return EINVAL: Fin asks the socket whether it still listens.
    + [EPERM, EACCES, ENOSYS, EIO, EBUSY, EINVAL, EOPNOTSUPP, 512].map {
      LastingError(code: Errno(rawValue: $0), kind: .refused)
    }
    + [EBADF, ENOTSOCK, EFAULT].map { LastingError(code: Errno(rawValue: $0), kind: .gone) }
}

@Suite("Promise 9: a lasting error of accept neither ends a server nor makes it spin", .onThreads)
struct AcceptErrors {
  @Test(
    "a server whose accept always fails retries with pauses, and a stop ends it at once",
    arguments: LastingError.all.filter { $0.kind != .gone }, ServingWorld.allCases)
  func lasting(error: LastingError, world: ServingWorld) throws {
    let owner = Keeper(try Listener.bind(.loopback(port: 0)))
    let visitor = try Visitor(owner.listener.localAddress.port!)
    let reactor = try Reactor(loops: 1)
    let script = Script(.every(.accept, .fail(error.code)))
    let server = Served(owner, in: world, on: reactor, script: script)
    // One round is at most two attempts, or sixteen when the next client could be a different one.
    let tries = error.kind == .client ? 16 : 2
    try eventually(within: .seconds(20), "three rounds") { script.count(.accept) >= 3 * tries }
    let before = script.count(.accept)
    // Fits the pauses of 20, 40, 80 and 160 ms, and one that has already begun.
    try steadily(for: .milliseconds(300), "few tries", equals: true) { script.count(.accept) <= before + 6 * tries }
    #expect(!server.isFinished())
    if let cancel = server.cancel, error.code.rawValue % 2 == 0 {
      cancel()
    } else {
      owner.listener.stop(within: .zero)
    }
    let report = try server.join(.seconds(20))
    #expect(report.failure == nil && report.served == 0 && report.clientsReset == 1, "\(report)")
    #expect(visitor.next == .reset)
    if error.kind == .capacity {
      #expect(report.timesOutOfDescriptors == 1 && report.timesAcceptFailed == 0, "\(report)")
    } else {
      #expect(report.timesAcceptFailed == 1 && report.timesOutOfDescriptors == 0, "\(report)")
      #expect(report.lastAcceptFailure?.cause == .system(error.code), "\(report)")
    }
  }

  @Test(
    "a second series of failed accepts is counted as one more, and the clients between and after are served",
    arguments: [Errno.tooManyOpenFiles, .notPermitted, .permissionDenied, .connectionAbort], ServingWorld.allCases)
  func episodes(code: Errno, world: ServingWorld) throws {
    let owner = Keeper(try Listener.bind(.loopback(port: 0)))
    let port = owner.listener.localAddress.port!
    let reactor = try Reactor(loops: 1)
    // Twice: four rounds of failures, then one success.
    let round = code == .connectionAbort ? 16 : 2
    let lines = (0..<8 * round + 2).compactMap { index -> Script.Line? in
      index == 4 * round || index == 8 * round + 1 ? nil : .nth(index + 1, .accept, .fail(code))
    }
    let script = Script(lines: lines)
    // The visitors are queued before the server starts, so that no attempt finds an empty queue.
    let visitors = try (0..<3).map { _ in try Visitor(port) }
    let server = Served(owner, in: world, on: reactor, script: script)
    for (number, visitor) in visitors.enumerated() { #expect(try visitor.ask("\(number)") == "\(number)\n") }
    owner.listener.stop()
    let report = try server.join(.seconds(20))
    #expect(report.failure == nil && report.served == 3, "\(report)")
    let isCapacity = code == .tooManyOpenFiles
    #expect(report.timesOutOfDescriptors == (isCapacity ? 2 : 0), "\(report)")
    #expect(report.timesAcceptFailed == (isCapacity ? 0 : 2), "\(report)")
  }

  @Test("the failure of accept that a server reports is its last", arguments: ServingWorld.allCases)
  func lastFailure(world: ServingWorld) throws {
    let owner = Keeper(try Listener.bind(.loopback(port: 0)))
    let visitor = try Visitor(owner.listener.localAddress.port!)
    let reactor = try Reactor(loops: 1)
    // Two rounds of two attempts each.
    let script = Script(
      lines: (1...4).map { .nth($0, .accept, .fail($0 < 3 ? .notPermitted : .permissionDenied)) })
    let server = Served(owner, in: world, on: reactor, script: script)
    #expect(try visitor.ask("x") == "x\n")
    owner.listener.stop()
    let report = try server.join(.seconds(20))
    #expect(report.timesAcceptFailed == 1 && report.served == 1, "\(report)")
    #expect(report.lastAcceptFailure?.cause == .system(.permissionDenied), "\(report)")
  }

  @Test(
    "accept without serve: a lasting error is thrown after few attempts, in a thread and in a task",
    arguments: LastingError.all)
  func byHand(error: LastingError) throws {
    let owner = Keeper(try Listener.bind(.loopback(port: 0)))
    let client = try Connection.connect(to: owner.listener.localAddress)
    let reactor = try Reactor(loops: 1)
    let most = error.kind == .client ? 16 : error.kind == .gone ? 1 : 2
    let inThread = Script(.every(.accept, .fail(error.code)))
    try scripted(inThread) { () throws in
      let failure = try refusal { () throws(SocketError) in try owner.listener.accept(within: .seconds(10)) }
      #expect(failure.cause == .system(error.code))
    }
    #expect(inThread.count(.accept) == most)
    let inTask = Script(.every(.accept, .fail(error.code)))
    let task = Working(on: reactor.executor) {
      await Seam.$script.withValue(inTask) {
        await cause { () async throws(SocketError) in try await owner.listener.accept(within: .seconds(10)).abort() }
      }
    }
    #expect(try task.join() == .system(error.code))
    #expect(inTask.count(.accept) == most)
    // The client is still queued.
    let served = try owner.listener.accept(within: .seconds(10))
    #expect(served.remoteAddress == client.localAddress)
    served.abort()
    client.abort()
    owner.listener.reference.core.end()
  }

  @Test("accept does not spin when it gets EAGAIN again and again with a client in the queue")
  func again() throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let client = try Connection.connect(to: listener.localAddress)
    let script = Script(.every(.accept, .fail(.resourceTemporarilyUnavailable)))
    try scripted(script) { () throws in
      let failure = try refusal { () throws(SocketError) in try listener.accept(within: .milliseconds(500)) }
      #expect(failure.cause == .timedOut)
    }
    #expect(script.count(.accept) < 40, "\(script.count(.accept))")
    client.abort()
    listener.close()
  }

  @Test(
    "a seccomp filter that forbids accept: the server retries with pauses, reports it, and a stop ends it",
    arguments: [EPERM, EACCES])
  func filter(code: CInt) async {
    await #expect(processExitsWith: .success) { [code = code as CInt] in
      try synchronously {
        for world in ServingWorld.allCases {
          let owner = Keeper(try Listener.bind(.loopback(port: 0)))
          let visitor = try Visitor(owner.listener.localAddress.port!)
          let reactor = try Reactor(loops: 1)
          check(peers_forbid_accept(code) == 0, "the filter")
          let script = Script()
          let server = Served(owner, in: world, on: reactor, script: script)
          try eventually(within: .seconds(20), "three rounds") { script.count(.accept) >= 6 }
          let before = script.count(.accept)
          try steadily(for: .milliseconds(300), "few tries", equals: true) { script.count(.accept) <= before + 12 }
          owner.listener.stop(within: .zero)
          let report = try server.join(.seconds(20))
          check(report.failure == nil && report.clientsReset == 1 && report.timesAcceptFailed == 1, "\(report)")
          check(report.lastAcceptFailure?.cause == .system(Errno(rawValue: code)), "\(report)")
          check(visitor.next == .reset, "\(visitor.next)")
        }
      }
    }
  }
}
