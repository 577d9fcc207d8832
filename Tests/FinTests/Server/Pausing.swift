import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Promise 2: a paused listener keeps its port", .onThreads)
struct Pausing {
  @Test(
    "paused: queued clients are reset, new ones refused, the port stays bound; resumed: it serves again", .faults(41),
    arguments: [true, false])
  func pauseAndResume(isPortExplicit: Bool) throws {
    var listener = try Listener.bind(.loopback(port: 0))
    if isPortExplicit {
      let address = listener.localAddress
      listener.close()
      listener = try Listener.bind(address)
    }
    let port = listener.localAddress.port!
    let queued = try Visitor(port)
    try eventually("queued clients", equals: 1) { try listeningQueue(port) }
    try listener.pause(resettingQueue: true)
    #expect(listener.phase == .paused)
    #expect(queued.next == .reset)
    #expect(throws: RigError("connect", code: ECONNREFUSED)) { _ = try Visitor(port) }
    for verb in ["pause", "accept"] {
      var error: SocketError?
      do throws(SocketError) {
        if verb == "pause" { try listener.pause(resettingQueue: true) } else { try listener.accept().abort() }
      } catch let failure {
        error = failure
      }
      if verb == "accept" {
        #expect(error?.cause == .paused)
      } else if case .invalid? = error?.cause {
      } else {
        Issue.record("a second pause: \(String(describing: error))")
      }
    }
    // No other socket can take the port while the listener is paused.
    let other = try PlainSocket.listening()
    #expect(other.port != port)
    try listener.resume()
    #expect(listener.phase == .listening && listener.localAddress.port == port)
    let visitor = try Visitor(port)
    let served = try listener.accept(within: .seconds(10))
    #expect(served.remoteAddress?.port == visitor.socket.port)
    served.close(.abort)
    listener.close()
  }

  @Test("a pause during serve: running clients go on, new ones are refused; resumed, it serves again", .faults(41))
  func whileServing() throws {
    let server = try Running(threads: 2, echo)
    let running = try Visitor(server.port)
    try running.socket.send([10])
    #expect(running.next == .success(1))
    try server.handle.pause(resettingQueue: true)
    // Conversations already under way continue.
    try running.socket.send([10])
    #expect(running.next == .success(1))
    #expect(throws: RigError("connect", code: ECONNREFUSED)) { _ = try Visitor(server.port) }
    try server.handle.resume()
    let visitor = try Visitor(server.port)
    #expect(try visitor.ask("x") == "x\n")
    #expect(try running.ask("y") == "y\n")
    #expect(try server.stop().endings == [.peerFinished: 2])
  }

  @Test("stopped while paused: running handlers are drained, and serve returns")
  func stopWhilePaused() throws {
    let server = try Running(threads: 2, echo)
    let running = try Visitor(server.port)
    try running.socket.send([10])
    #expect(running.next == .success(1))
    try server.handle.pause(resettingQueue: true)
    server.handle.stop(within: .seconds(20))
    #expect(try running.ask("y") == "y\n")
    let report = try server.thread.join()
    #expect(report.endings == [.peerFinished: 1] && report.failure == nil, "\(report)")
    #expect(server.handle.phase == .closed)
  }

  @Test("a paused listener that is stopped does not listen again, and accept throws .closed")
  func stopPaused() throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let port = listener.localAddress.port!
    try listener.pause(resettingQueue: true)
    listener.stop()
    #expect(try Syscalls.integerOption(listener.handle.core.number(.blocking), SOL_SOCKET, SO_ACCEPTCONN) == 0)
    #expect(throws: RigError("connect", code: ECONNREFUSED)) { _ = try Visitor(port) }
    let error = try refusal { () throws(SocketError) in try listener.accept(within: .seconds(10)) }
    #expect(error.cause == .closed && listener.phase == .closed)
    listener.close()
  }

  @Test("a pause that is over before accept notices it is no failure of the listener")
  func briefPause() throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let handle = listener.handle
    let port = listener.localAddress.port!
    let visitor = Kept<Visitor>()
    // Makes `accept` answer as it does while paused. By the time Fin handles that answer, the listener is resumed.
    shutdown(handle.core.number(.blocking), CInt(SHUT_RD))
    let script = Script(
      .first(
        .accept,
        .after {
          listen(handle.core.number(.blocking), 1)
          try? handle.pause(resettingQueue: true)
          try? handle.resume()
          visitor.value = try? Visitor(port)
        }))
    var served: Connection?
    try Seam.$script.withValue(script) { served = try listener.accept(within: .seconds(10)) }
    #expect(served?.remoteAddress?.port == visitor.value?.socket.port)
    served.take()?.close(.abort)
    listener.close()
  }

  @Test("a stop during a resume leaves the listener stopped: it accepts no new clients")
  func stopInResumption() throws {
    let listener = try Listener.bind(.loopback(port: 0), backlog: 100)
    let handle = listener.handle
    try listener.pause(resettingQueue: true)
    let stopping = Kept<Joining<Void>>()
    let script = Script(.first(.listen, .after { stopping.value = onThread { handle.stop() } }))
    try Seam.$script.withValue(script) { try listener.resume() }
    try stopping.value?.join()
    #expect(listener.phase == .stopping)
    // A filter drops the first segment of each new handshake: the kernel has its instructions.
    var length: socklen_t = 0
    #expect(unsafe getsockopt(handle.core.number(.blocking), SOL_SOCKET, SO_ATTACH_FILTER, nil, &length) == 0)
    #expect(length > 0)
    listener.close()
  }

  @Test(
    "a concurrent pause and resume leave the listener in the state that its phase reports", arguments: [true, false])
  func meeting(isPauseFirst: Bool) throws {
    let listener = try Listener.bind(.loopback(port: 0), backlog: 100)
    let handle = listener.handle
    if !isPauseFirst { try listener.pause(resettingQueue: true) }
    let other = Kept<Joining<Void>>()
    // While the first call is under way, another thread makes the second.
    let script = Script(
      .first(
        isPauseFirst ? .shutdown : .listen,
        .before {
          other.value = onThread {
            if isPauseFirst { try handle.resume() } else { try handle.pause(resettingQueue: true) }
          }
          usleep(20_000)
        }))
    try Seam.$script.withValue(script) {
      if isPauseFirst { try listener.pause(resettingQueue: true) } else { try listener.resume() }
    }
    try other.value?.join()
    #expect(listener.phase == (isPauseFirst ? .listening : .paused))
    let number = handle.core.number(.blocking)
    #expect(try Syscalls.integerOption(number, SOL_SOCKET, SO_ACCEPTCONN) == (isPauseFirst ? 1 : 0))
    if isPauseFirst { #expect(try TCPInfo.read(number).segmentsSacked == 100) }
    listener.close()
  }

  @Test("two concurrent resumes: one succeeds, the other is refused, and the backlog is what it was")
  func twoResumptions() throws {
    let listener = try Listener.bind(.loopback(port: 0), backlog: 100)
    let handle = listener.handle
    try listener.pause(resettingQueue: true)
    let other = Kept<Joining<SocketError.Cause?>>()
    let script = Script(
      .first(
        .listen,
        .before {
          other.value = onThread {
            do throws(SocketError) { try handle.resume() } catch { return error.cause }
            return nil
          }
          usleep(20_000)
        }))
    try Seam.$script.withValue(script) { try listener.resume() }
    #expect(try other.value?.join() == .invalid("the listener is listening"))
    #expect(try TCPInfo.read(handle.core.number(.blocking)).segmentsSacked == 100)
    listener.close()
  }

  @Test("a stopping listener can be neither paused nor resumed")
  func afterStop() throws {
    let listener = try Listener.bind(.loopback(port: 0))
    listener.stop()
    let handle = listener.handle
    for isPause in [true, false] {
      let error = try refusal { () throws(SocketError) in
        if isPause { try handle.pause() } else { try handle.resume() }
      }
      #expect(error.cause == .invalid("the listener is stopping"))
    }
    listener.close()
  }

  @Test("a paused listener, detached, has SO_REUSEADDR again, does not listen, and listens after listen(2)")
  func detachPaused() throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let address = listener.localAddress
    try listener.pause(resettingQueue: true)
    let descriptor = try listener.detach()
    let number = descriptor.rawValue
    #expect(try Syscalls.integerOption(number, SOL_SOCKET, SO_REUSEADDR) == 1)
    let error = try refusal { () throws(SocketError) in try Listener.adopt(descriptor) }
    #expect(error.cause == .invalid("descriptor \(number) does not listen"))
    #expect(listen(number, 10) == 0)
    let again = try Listener.adopt(descriptor)
    #expect(again.localAddress == address)
    let visitor = try Visitor(address.port!)
    let served = try again.accept(within: .seconds(10))
    #expect(served.remoteAddress?.port == visitor.socket.port)
    served.abort()
    again.close()
  }

  @Test("a resume that the kernel refuses leaves the listener paused, and its port to no other program")
  func resumeRefused() throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let port = listener.localAddress.port!
    try listener.pause(resettingQueue: true)
    let error = try scripted(Script(.first(.listen, .fail(.addressInUse)))) { () throws in
      try refusal { () throws(SocketError) in try listener.resume() }
    }
    #expect(error.cause == .system(.addressInUse) && listener.phase == .paused)
    #expect(try listener.option(.reuseAddress) == false)
    #expect(throws: RigError("bind", code: EADDRINUSE)) { _ = try PlainSocket.listening(port: port) }
    try listener.resume()
    #expect(try listener.option(.reuseAddress))
    let visitor = try Visitor(port)
    let served = try listener.accept(within: .seconds(10))
    #expect(served.remoteAddress?.port == visitor.socket.port)
    served.abort()
    listener.close()
  }

  @Test("an adopted listener keeps the backlog that it has, and is resumed with the one of its adopter")
  func adoptedBacklog() throws {
    let number = try PlainSocket.listening(backlog: 100).detach()
    let listener = try Listener.adopt(.init(rawValue: number), backlog: 7)
    // On a listener this field is the backlog.
    #expect(try TCPInfo.read(number).segmentsSacked == 100)
    try listener.pause(resettingQueue: true)
    try listener.resume()
    #expect(try TCPInfo.read(number).segmentsSacked == 7)
    try listener.pause(resettingQueue: true)
    try listener.handle.resume()
    #expect(try TCPInfo.read(number).segmentsSacked == 7)
    listener.close()
  }

  @Test("stopping an adopted listener leaves it open for its other holders, with the same backlog")
  func stopAdopted() throws {
    let plain = try PlainSocket.listening(backlog: 100)
    let port = plain.port
    let descriptor = fcntl(plain.descriptor, F_DUPFD_CLOEXEC, 0)
    let listener = try Listener.adopt(.init(rawValue: descriptor))
    let visitor = try Visitor(port)
    listener.stop()
    let served = try listener.accept(within: .seconds(10))
    #expect(served.remoteAddress?.port == visitor.socket.port)
    let end = try refusal { () throws(SocketError) in try listener.accept(within: .seconds(10)) }
    #expect(end.cause == .closed)
    #expect(try TCPInfo.read(plain.descriptor).segmentsSacked == 100)
    let next = try Visitor(port)
    let taken = try plain.accept()
    try taken.send([1])
    #expect(next.next == .success(1))
    served.abort()
    listener.close()
  }

  @Test("pausing and resuming while clients come and go loses neither the server nor the port")
  func often() throws {
    let server = try Running(threads: 4, echo)
    let isOver = Tally()
    let clients = (0..<3).map { _ in
      onThread {
        var served = 0
        while isOver.value == 0 {
          if let visitor = try? Visitor(server.port), (try? visitor.ask("x")) == "x\n" { served += 1 }
        }
        return served
      }
    }
    for _ in 0..<100 {
      try server.handle.pause(resettingQueue: true)
      try server.handle.resume()
    }
    let visitor = try Visitor(server.port)
    #expect(try visitor.ask("x") == "x\n")
    isOver.add()
    let served = try clients.map { try $0.join() }.reduce(0, +)
    let report = try server.stop()
    #expect(report.failure == nil && report.served > served, "\(served), \(report)")
  }
}
