import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@_spi(Fin) @testable import Fin

@Suite("Promise 2: a paused Unix listener accepts clients again when it is resumed", .onThreads)
struct PausingUnix {
  enum Name: CaseIterable {
    case path, abstract

    func address(_ folder: TemporaryFolder) throws -> String {
      self == .path ? "\(folder.path)/s" : "@fin\(folder.path)"
    }
  }

  private static func bind(_ name: Name, in folder: TemporaryFolder) throws -> Listener {
    try Listener.bind(.unix(try name.address(folder)))
  }

  private static func visitor(_ name: Name, in folder: TemporaryFolder) throws -> Visitor {
    Visitor(try PlainSocket.connected(toUnix: try name.address(folder)))
  }

  @Test(
    "a paused Unix listener: queued clients stay, one more enters, the next waits; resumed: all are accepted",
    arguments: Name.allCases)
  func pauseAndResume(name: Name) throws {
    let folder = try TemporaryFolder()
    let listener = try Self.bind(name, in: folder)
    let queued = try Self.visitor(name, in: folder)
    try listener.pause()
    #expect(listener.phase == .paused)
    let accepted = try refusal { () throws(SocketError) in try listener.accept(within: .seconds(10)) }
    #expect(accepted.cause == .paused)
    let again = try refusal { () throws(SocketError) in try listener.pause() }
    #expect(again.cause == .invalid("the listener is paused"))
    // One client is queued, which is all that a backlog of 0 allows.
    let address = listener.localAddress
    let waiting = onThread { try Connection.connect(to: address, within: .seconds(20)) }
    try steadily(for: .milliseconds(50), "connected", equals: false) { waiting.isFinished }
    try listener.resume()
    let late = try waiting.join()
    #expect(listener.phase == .listening)
    let first = try listener.accept(within: .seconds(10))
    try first.send("1")
    #expect(queued.next == .success(1))
    let second = try listener.accept(within: .seconds(10))
    try second.send("2")
    #expect(try late.receive(exactly: 1, within: .seconds(10)) == [50])
    // A second time: a pause can be repeated.
    try listener.pause()
    let third = try Self.visitor(name, in: folder)
    try listener.resume()
    let served = try listener.accept(within: .seconds(10))
    try served.send("3")
    #expect(third.next == .success(1))
    first.abort()
    second.abort()
    served.abort()
    late.abort()
    listener.close()
  }

  @Test("a waiting accept on a Unix listener fails as paused, in a thread and in a task", arguments: Name.allCases)
  func waiting(name: Name) throws {
    let folder = try TemporaryFolder()
    let owner = Keeper(try Self.bind(name, in: folder))
    let reactor = try Reactor(loops: 1)
    let inThread = onThread { () -> SocketError.Cause? in
      do throws(SocketError) { try owner.listener.accept().abort() } catch { return error.cause }
      return nil
    }
    let inTask = Working(on: reactor.executor) {
      await cause { () async throws(SocketError) in try await owner.listener.accept().abort() }
    }
    try eventually("two that wait", equals: 2) { owner.listener.reference.core.gate.snapshot.references }
    try owner.listener.pause()
    #expect(try inThread.join() == .paused)
    #expect(try inTask.join() == .paused)
    owner.listener.reference.core.end()
  }

  @Test(
    "serve on a paused Unix listener waits for the resume; clients that came meanwhile are then served",
    arguments: Name.allCases,
    ServingWorld.allCases)
  func whileServing(name: Name, world: ServingWorld) throws {
    let folder = try TemporaryFolder()
    let owner = Keeper(try Self.bind(name, in: folder))
    let reactor = try Reactor(loops: 1)
    let server = Served(owner, in: world, on: reactor)
    let running = try Self.visitor(name, in: folder)
    #expect(try running.exchange("x") == "x\n")
    for _ in 0..<3 {
      try owner.listener.pause()
      #expect(try running.exchange("x") == "x\n")
      let visitor = try Self.visitor(name, in: folder)
      try visitor.socket.send([121, 10])
      try steadily(for: .milliseconds(50), "bytes of an answer", equals: 0) { visitor.socket.incomingQueue }
      try owner.listener.resume()
      #expect(visitor.next == .success(2))
    }
    #expect(try running.ask("z") == "z\n")
    owner.listener.stop()
    let report = try server.join(.seconds(20))
    #expect(report.failure == nil && report.served == 4, "\(report)")
  }

  @Test(
    "a Unix listener stopped while paused: queued clients are served before it ends", arguments: Name.allCases,
    ServingWorld.allCases)
  func stopWhilePaused(name: Name, world: ServingWorld) throws {
    let folder = try TemporaryFolder()
    let owner = Keeper(try Self.bind(name, in: folder))
    let reactor = try Reactor(loops: 1)
    let server = Served(owner, in: world, on: reactor)
    try owner.listener.pause()
    let queued = try Self.visitor(name, in: folder)
    owner.listener.stop(within: .seconds(30))
    #expect(try queued.ask("y") == "y\n")
    let report = try server.join(.seconds(20))
    #expect(report.served == 1 && report.clientsReset == 0 && report.failure == nil, "\(report)")
  }

  @Test(
    "a stopped Unix listener: queued clients are served, new ones and those waiting for room are refused",
    arguments: Name.allCases)
  func stop(name: Name) throws {
    let folder = try TemporaryFolder()
    let listener = try Listener.bind(.unix(try name.address(folder)), backlog: 2)
    let queued = try (0..<3).map { _ in try Self.visitor(name, in: folder) }
    let text = try name.address(folder)
    let waiting = onThread { () -> CInt in
      do throws(RigError) { _ = try PlainSocket.connected(toUnix: text) } catch { return error.code }
      return 0
    }
    try eventually("it waits for a place") { waiting.place.hasPrefix("unix_") }
    listener.stop()
    #expect(throws: RigError("connect", code: ECONNREFUSED)) { _ = try Self.visitor(name, in: folder) }
    for visitor in queued {
      let served = try listener.accept(within: .seconds(10))
      try served.send("x")
      #expect(visitor.next == .success(1))
      served.abort()
    }
    #expect(try waiting.join() == ECONNREFUSED)
    let end = try refusal { () throws(SocketError) in try listener.accept(within: .seconds(10)) }
    #expect(end.cause == .closed && listener.phase == .closed)
    #expect(folder.entries == [])
    listener.close()
  }

  @Test("stopping an adopted Unix listener leaves it to its other holders, which accept clients as before")
  func stopAdopted() throws {
    let folder = try TemporaryFolder()
    let plain = try PlainSocket.listening(onUnix: "\(folder.path)/s")
    let listener = try Listener.adopt(.init(rawValue: fcntl(plain.descriptor, F_DUPFD_CLOEXEC, 0)))
    listener.stop()
    let end = try refusal { () throws(SocketError) in try listener.accept(within: .seconds(10)) }
    #expect(end.cause == .closed)
    let visitor = try Self.visitor(.path, in: folder)
    let taken = try plain.accept()
    try taken.send([1])
    #expect(visitor.next == .success(1))
    listener.close()
  }

  @Test("a paused Unix listener, detached, keeps its queue, and accepts clients again after listen(2)")
  func detachPaused() throws {
    let folder = try TemporaryFolder()
    let listener = try Self.bind(.path, in: folder)
    let queued = try Self.visitor(.path, in: folder)
    try listener.pause()
    let descriptor = try listener.detach()
    #expect(listen(descriptor.rawValue, 10) == 0)
    let again = try Listener.adopt(descriptor)
    _ = try Self.visitor(.path, in: folder)
    let served = try again.accept(within: .seconds(10))
    try served.send("x")
    #expect(queued.next == .success(1))
    served.abort()
    again.close()
  }

  @Test("a Unix listener that another program shut down makes accept fail at once", arguments: Name.allCases)
  func shutDown(name: Name) throws {
    let folder = try TemporaryFolder()
    let listener = try Self.bind(name, in: folder)
    shutdown(listener.reference.core.number(.blocking), CInt(SHUT_RD))
    let script = Script()
    try scripted(script) { () throws in
      let error = try refusal { () throws(SocketError) in try listener.accept(within: .seconds(10)) }
      #expect(error.cause == .system(.invalidArgument))
    }
    #expect(script.count(.accept) == 1)
    listener.close()
  }

  @Test("a Unix listener that another program shut down ends serve with a failure", arguments: ServingWorld.allCases)
  func shutDownServing(world: ServingWorld) throws {
    let folder = try TemporaryFolder()
    let owner = Keeper(try Self.bind(.path, in: folder))
    let reactor = try Reactor(loops: 1)
    let server = Served(owner, in: world, on: reactor)
    #expect(try Self.visitor(.path, in: folder).ask("x") == "x\n")
    shutdown(owner.listener.reference.core.number(.blocking), CInt(SHUT_RD))
    let report = try server.join(.seconds(20))
    #expect(report.failure?.cause == .system(.invalidArgument) && report.served == 1, "\(report)")
  }
}
