#if TLS
import Glibc
import Peers
import Synchronization
import SystemPackage
import TestTraits
import Testing

@_spi(Fin) @testable import Fin

@Suite("Secured: every verb works as on a plain connection", .needsProgram("openssl"), .onThreads)
struct SecuredVerbs {
  private let certificates: Certificates
  private let server: TLSServer
  private let client: TLSClient

  init() throws {
    certificates = try Certificates()
    server = try TLSServer(certificates.identity())
    client = try TLSClient(trust: .roots(path: certificates.root))
  }

  @Test("bytes, lines and a million bytes arrive; both ends know who and how")
  func verbs() throws {
    let pair = try securedPair(server, client)
    let ours = pair.first
    let theirs = pair.second
    try ours.send("hello\nworld\r\n")
    #expect(try theirs.receiveLine() == "hello")
    #expect(try theirs.receiveLine() == "world")
    let bytes = pattern(1 << 20)
    let receiving = onThread(taking: theirs) { theirs throws in
      let all = try theirs.receive(exactly: 1 << 20, within: .seconds(20))
      try theirs.send("done\n")
      #expect(theirs.close().ending == .peerFinished)
      return all
    }
    try ours.send(bytes)
    #expect(try ours.receiveLine(within: .seconds(20)) == "done")
    let information = ours.tls
    let tls = try #require(information)
    #expect(tls.version == "TLSv1.3")
    #expect(tls.serverName == "localhost")
    #expect(tls.peerCertificate?.names == ["localhost", "127.0.0.1"])
    #expect(tls.peerCertificate?.issuer == "/CN=Fin test root")
    let report = ours.close()
    #expect(report.ending == .peerFinished)
    #expect(report.closeNotify == CloseReport.CloseNotify(sent: true, received: true))
    #expect(report.bytesDiscarded == 0)
    #expect(try receiving.join(within: .seconds(20)) == bytes)
  }

  @Test("the bytes on the wire are not the bytes that are sent")
  func sealed() throws {
    let pair = try StreamKind.ipv4.connected()
    let watched = pair.second
    let hello = onThread(taking: pair.first) { [client] connection -> String? in
      do { _ = try connection.secured(as: .client(for: "localhost", client), within: .seconds(20)) } catch {
        return "\(error)"
      }
      return nil
    }
    // The first record of a client: a handshake of TLS.
    #expect(try watched.receive(exactly: 3) == [0x16, 3, 1])
    watched.abort()
    #expect(try hello.join(within: .seconds(20)) != nil)
  }

  @Test("pieces that are sent as one arrive in order, small and large", arguments: [1, 7, 300])
  func gathered(_ count: Int) throws {
    let pair = try securedPair(server, client)
    let pieces = (0..<count).map { pattern($0 % 7 == 3 ? 40_000 : $0) }
    let receiving = onThread(taking: pair.second) { connection throws in
      var all: [UInt8] = []
      while let more = try connection.receive(upTo: 1 << 16, within: .seconds(20)) { all += more }
      connection.close()
      return all
    }
    try pair.first.send(gathering: pieces)
    pair.first.close()
    #expect(try receiving.join(within: .seconds(20)) == pieces.flatMap { $0 })
  }

  @Test("a half-close says close_notify, and the answer comes back whole")
  func halfClose() throws {
    let pair = try securedPair(server, client)
    let serving = onThread(taking: pair.second) { connection throws -> CloseReport in
      var count = 0
      while let more = try connection.receive(upTo: 1 << 16, within: .seconds(20)) { count += more.count }
      #expect(connection.phase == .peerFinished)
      try connection.send(String(repeating: "a", count: count))
      return connection.close()
    }
    let ours = pair.first
    try ours.send([UInt8](repeating: 1, count: 300_000))
    let half = ours.finishSending()
    var count = 0
    while let more = try half.receive(upTo: 1 << 16, within: .seconds(20)) { count += more.count }
    #expect(count == 300_000)
    #expect(half.close().ending == .peerFinished)
    #expect(try serving.join(within: .seconds(20)).ending == .peerFinished)
  }

  @Test("both halves run at once, in tasks")
  func duplex() async throws {
    let pair = try securedPair(server, client)
    let bytes = pattern(2 << 20)
    let echoing = onThread(taking: pair.second) { connection throws -> CloseReport in
      while let more = try connection.receive(upTo: 1 << 16, within: .seconds(30)) {
        try connection.send(more, within: .seconds(30))
      }
      return connection.close()
    }
    let ours = pair.first
    let (received, _) = try await ours.duplex { receiver in
      var all: [UInt8] = []
      while let more = try await receiver.receive(upTo: 1 << 16, within: .seconds(30)) { all += more }
      return all
    } send: { sender in
      try await sender.send(bytes, within: .seconds(30))
      sender.finishSending()
    }
    #expect(received == bytes)
    #expect(await ours.close().ending == .peerFinished)
    #expect(try echoing.join(within: .seconds(30)).ending == .peerFinished)
  }

  @Test("a server secures in its handlers, in tasks, a hundred clients at once")
  func served() async throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let address = listener.localAddress
    let serving = Task { [server] in
      await listener.serve { connection in
        let connection = try await connection.secured(as: .server(server))
        while let line = try await connection.receiveLine() { try await connection.send(line + "!\n") }
        await connection.close()
      }
    }
    try await withThrowingTaskGroup(of: Void.self) { group in
      for number in 0..<100 {
        group.addTask { [client] in
          let ours = try await Connection.connect(to: address).secured(as: .client(for: "localhost", client))
          try await ours.send("\(number)\n")
          #expect(try await ours.receiveLine() == "\(number)!")
          #expect(await ours.close().ending == .peerFinished)
        }
      }
      try await group.waitForAll()
    }
    serving.cancel()
    _ = await serving.value
  }

  @Test("the kernel that takes 7 bytes at a time, or none, changes nothing")
  func shortCalls() throws {
    let pair = try securedPair(server, client)
    let receiving = onThread(taking: pair.second) { connection throws in
      var all: [UInt8] = []
      while let more = try connection.receive(upTo: 1000, within: .seconds(20)) { all += more }
      connection.close()
      return all
    }
    let bytes = pattern(50_000)
    let script = Script(
      .nth(2, .send, .fail(.resourceTemporarilyUnavailable)), .nth(3, .send, .limit(1)), .every(.send, .limit(700)))
    let ours = pair.first
    try Seam.$script.withValue(script) { try ours.send(bytes) }
    #expect(script.count(.send) > 70)
    #expect(ours.close().ending == .peerFinished)
    #expect(try receiving.join(within: .seconds(20)) == bytes)
  }

  @Test("a send that ran out of time leaves a stream that is whole")
  func lateSend() throws {
    let pair = try securedPair(server, client)
    let ours = pair.first
    let bytes = pattern(32 << 20)
    // The peer does not read: the kernel's buffers fill, in the middle of a record.
    let late = try refusal { () throws(SocketError) in try ours.send(bytes, within: .milliseconds(300)) }
    #expect(late.cause == .timedOut)
    #expect(late.bytesAccepted > 0 && late.bytesAccepted < bytes.count)
    let receiving = onThread(taking: pair.second) { connection throws in
      var all: [UInt8] = []
      while let more = try connection.receive(upTo: 1 << 16, within: .seconds(20)) { all += more }
      connection.close()
      return all
    }
    let report = ours.close()
    #expect(report.ending == .peerFinished)
    #expect(report.bytesUnacknowledged == 0)
    #expect(try receiving.join(within: .seconds(30)) == Array(bytes.prefix(late.bytesAccepted)))
  }

  @Test(
    "a close_notify for which the kernel has no room follows later, and the FIN after it", arguments: [true, false])
  func lateEnd(_ isHalfClose: Bool) throws {
    let pair = try securedPair(server, client)
    let answering = onThread(taking: pair.second) { connection throws in
      let end = try connection.receive(upTo: 1, within: .seconds(20))
      try connection.send("after the end\n")
      #expect(connection.close().ending == .peerFinished)
      return end
    }
    let ours = pair.first
    let full = ScriptedResult.fail(.resourceTemporarilyUnavailable)
    let script = Script(.first(.send, full), .nth(2, .send, full))
    let core = ours.reference.core
    if isHalfClose {
      Seam.$script.withValue(script) { core.finishSending() }
      #expect(core.unsentRecords > 0 && !core.connectionState.value.isFINQueued)
      #expect(try ours.receiveLine(within: .seconds(20)) == "after the end")
      #expect(ours.close().ending == .peerFinished)
    } else {
      let report = Seam.$script.withValue(script) { core.close(.confirmed) }
      #expect(report.ending == .peerFinished)
      #expect(report.closeNotify == .init(sent: true, received: true))
    }
    #expect(script.count(.send) >= 2)
    #expect(try answering.join(within: .seconds(20)) == nil)
  }

  @Test("a close from elsewhere wakes a receiver, and both ends see a clean end")
  func closedElsewhere() throws {
    let pair = try securedPair(server, client)
    let shared = pair.first.share()
    let waiting = onThread { () -> SocketError.Cause? in
      do throws(SocketError) { _ = try shared.receive(upTo: 1, within: .seconds(20)) } catch { return error.cause }
      return nil
    }
    let reading = onThread(taking: pair.second) { connection throws in
      let end = try connection.receive(upTo: 1, within: .seconds(20))
      connection.close()
      return end
    }
    #expect(shared.close().ending == .peerFinished)
    #expect(try waiting.join(within: .seconds(20)) == .closed)
    #expect(try reading.join(within: .seconds(20)) == nil)
  }

  @Test("close_notify and the FIN leave in one segment")
  func oneSegment() throws {
    // The least of five: an acknowledgement may leave on its own meanwhile.
    let segments = try (0..<5).map { _ in
      let pair = try securedPair(server, client)
      let ours = pair.first
      let theirs = pair.second
      let before = try ours.tcpInfo()?.segmentsSent ?? 0
      let half = ours.finishSending()
      let after = try half.tcpInfo()?.segmentsSent ?? 0
      theirs.abort()
      half.abort()
      return after - before
    }
    #expect(segments.min() == 1)
  }

  @Test("a secured connection is not given away, not duplicated, and not secured twice")
  func refused() throws {
    let pair = try securedPair(server, client)
    #expect(pair.first.tls != nil)
    let twice = try refusal { () throws(SocketError) in try pair.first.duplicate() }
    #expect("\(twice)".contains("share()"))
    let theirs = pair.second
    var away: SocketError?
    do { _ = try pair.first.detach() } catch { away = error }
    #expect(says(away, "cannot be given away"))
    // The refusal aborted it: the keys would be lost, and the descriptor with them.
    let reset = try refusal { () throws(SocketError) in try theirs.receive(upTo: 1) }
    #expect(reset.cause == .reset)
    theirs.abort()
    let more = try securedPair(server, client)
    let again = failure(securing: more.first, as: .client(for: "localhost", client))
    #expect(says(again, "secured already"))
    more.second.abort()
  }

  @Test("bytes that were buffered in clear text are not taken for secured ones")
  func injected() throws {
    let pair = try StreamKind.ipv4.connected()
    let ours = pair.first
    let theirs = pair.second
    try theirs.send("go ahead\nDELETE FROM users\n")
    #expect(try ours.receiveLine() == "go ahead")
    let refused = failure(securing: ours, as: .client(for: "localhost", client))
    #expect(says(refused, "18 bytes"))
    theirs.abort()
  }

  @Test("the application protocol is agreed on, the name chooses the identity, a client's certificate is seen")
  func agreed() throws {
    let other = try certificates.identity(name: "other.example")
    let server = try TLSServer(
      certificates.identity(), named: ["other.example": other], clients: .required(roots: certificates.root),
      protocols: ["h2", "http/1.1"])
    let client = try TLSClient(
      trust: .roots(path: certificates.root), identity: certificates.identity(.forClients, name: "me"),
      protocols: ["http/1.1"])
    let pair = try securedPair(server, client, name: "OTHER.example")
    #expect(pair.first.tls?.applicationProtocol == "http/1.1")
    #expect(pair.first.tls?.peerCertificate?.names.first == "other.example")
    #expect(pair.second.tls?.serverName?.lowercased() == "other.example")
    #expect(pair.second.tls?.peerCertificate?.subject == "/CN=me")
    pair.first.abort()
    pair.second.abort()
  }
}
#endif
