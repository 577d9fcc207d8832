#if TLS
import COpenSSL
import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Secured: hostile messages are never an end of the stream", .needsProgram("openssl"), .onThreads)
struct SecuredHostileMessages {
  private let certificates: Certificates
  private let server: TLSServer
  private let client: TLSClient

  init() throws {
    certificates = try Certificates()
    server = try TLSServer(certificates.identity())
    client = try TLSClient(trust: .roots(path: certificates.root))
  }

  /// Everything that a side reads, and its verdict.
  private func readAll(_ side: MemorySide) -> (bytes: [UInt8], end: TLSSession.Verdict?) {
    var all: [UInt8] = []
    for _ in 0..<10_000 {
      let (bytes, outcome) = side.read()
      all += bytes
      switch outcome {
      case .done: continue
      case .blocked, .wireFailed: return (all, nil)
      case .over(let verdict): return (all, verdict)
      }
    }
    return (all, nil)
  }

  @Test("an end that an attacker writes in clear text is an error, and not the end", arguments: [1, 2] as [UInt8])
  func forgedEnd(_ level: UInt8) throws {
    let (ours, theirs) = try MemorySide.shaken(client, server)
    try theirs.write(Array("authentic".utf8))
    carry(theirs, ours)
    ours.wire.arrived += [0x15, 3, 3, 0, 2, level, 0]
    let (bytes, end) = readAll(ours)
    #expect(bytes == Array("authentic".utf8))
    guard case .failed? = end else {
      Issue.record("\(String(describing: end))")
      return
    }
  }

  @Test("an alert in the middle of the handshake is named, and is the verdict")
  func alert() throws {
    let side = try MemorySide(client.context, name: "localhost")
    _ = side.session.shakeHands()
    side.wire.arrived = [0x15, 3, 3, 0, 2, 2, 40]
    guard case .failed(let text)? = verdict(side.session.shakeHands()) else {
      Issue.record("no verdict")
      return
    }
    #expect(text.contains("handshake failure") && text.contains("no cipher in common"), "\(text)")
    // Warnings without end are not waited for.
    let other = try MemorySide(client.context, name: "localhost")
    _ = other.session.shakeHands()
    for _ in 0..<1000 { other.wire.arrived += [0x15, 3, 3, 0, 2, 1, 90] }
    guard case .failed? = verdict(other.session.shakeHands()) else {
      Issue.record("a thousand warnings were taken")
      return
    }
  }

  @Test("bytes behind close_notify are not returned, and the end stays the end")
  func afterTheEnd() throws {
    let (ours, theirs) = try MemorySide.shaken(client, server)
    try theirs.write(Array("before".utf8))
    theirs.session.sayClose()
    // Makes OpenSSL forget that it said so.
    unsafe SSL_set_shutdown(theirs.session.ssl, 0)
    try theirs.write(Array("behind".utf8))
    carry(theirs, ours)
    for _ in 0..<3 { #expect(readAll(ours).end == .ended) }
    let (again, other) = try MemorySide.shaken(client, server)
    try other.write(Array("before".utf8))
    other.session.sayClose()
    carry(other, again)
    #expect(readAll(again).bytes == Array("before".utf8))
  }

  @Test("a flood of empty records ends in an error, for a client and for a server", arguments: [0x16, 0x17] as [UInt8])
  func emptyRecords(_ type: UInt8) throws {
    for side in [try MemorySide(client.context, name: "localhost"), try MemorySide(server.context)] {
      _ = side.session.shakeHands()
      for _ in 0..<10_000 { side.wire.arrived += [type, 3, 3, 0, 0] }
      guard case .failed? = verdict(side.session.shakeHands()) else {
        Issue.record("no verdict after \(side.wire.arrived.count) bytes")
        continue
      }
      #expect(!side.session.hasShaken)
    }
  }

  @Test("a chain of certificates of 1 MiB is refused with its cause, before it is kept")
  func longChain() throws {
    let folder = try TemporaryFolder()
    let identity = try certificates.identity()
    let count = (1 << 20) / 400
    let script = "i=0; while [ $i -lt \(count) ]; do cat \"$1\"; i=$((i+1)); done > \"$2\""
    let chain = folder.path + "/chain.pem"
    try withChild("/bin/sh", ["-ec", script, "sh", identity.certificates, chain]) { child throws in
      #expect(try child.wait() == .exited(0))
    }
    let long = try TLSServer(TLSIdentity(certificates: chain, key: identity.key))
    let ours = try MemorySide(client.context, name: "localhost")
    let theirs = try MemorySide(long.context)
    // The hostile server allows itself what OpenSSL would not send.
    unsafe _ = SSL_ctrl(theirs.session.ssl, 51, 8 << 20, nil)
    _ = ours.session.shakeHands()
    carry(ours, theirs)
    _ = theirs.session.shakeHands()
    #expect(theirs.wire.sent.count > 1 << 20, "\(theirs.wire.sent.count)")
    carry(theirs, ours)
    #expect(
      verdict(ours.session.shakeHands())
        == .failed("a message of the handshake is too long, such as a chain above 100 KiB"))
    // The rest was left on the wire.
    #expect(ours.wire.arrived.count > 1 << 19, "\(ours.wire.arrived.count)")
  }

  @Test("a FIN at every place of the handshake is an error on both sides")
  func cutHandshake() throws {
    let ours = try MemorySide(client.context, name: "localhost")
    _ = ours.session.shakeHands()
    let hello = ours.wire.sent
    let whole = try MemorySide(server.context)
    whole.wire.arrived = hello
    _ = whole.session.shakeHands()
    for count in 0..<hello.count {
      let side = try MemorySide(server.context)
      side.wire.arrived = Array(hello.prefix(count))
      side.wire.hasEnded = true
      #expect(verdict(side.session.shakeHands()) == .truncated, "\(count) of \(hello.count)")
    }
    for count in stride(from: 0, to: whole.wire.sent.count, by: 7) {
      let side = try MemorySide(client.context, name: "localhost")
      _ = side.session.shakeHands()
      // The answer to another hello: cut off, or refused, and never accepted.
      side.wire.arrived = Array(whole.wire.sent.prefix(count))
      side.wire.hasEnded = true
      #expect(verdict(side.session.shakeHands()) != nil, "\(count)")
      #expect(!side.session.hasShaken)
    }
  }

  @Test("a FIN at every place of a record: truncated, after whole records alone")
  func cutRecord() throws {
    let (_, sample) = try MemorySide.shaken(client, server)
    try sample.write([UInt8](repeating: 1, count: 40))
    let length = sample.wire.sent.count
    for count in 0..<length {
      let (ours, theirs) = try MemorySide.shaken(client, server)
      _ = readAll(ours)
      try theirs.write(Array("whole".utf8))
      carry(theirs, ours)
      try theirs.write([UInt8](repeating: 1, count: 40))
      ours.wire.arrived += theirs.wire.sent.prefix(count)
      ours.wire.hasEnded = true
      let (bytes, end) = readAll(ours)
      #expect(bytes == Array("whole".utf8) && end == .truncated, "\(count) of \(length)")
    }
  }

  @Test("a truncation is read as the end where a connection tolerates it, and its report still says truncated")
  func tolerated() throws {
    let pair = try securedPair(server, client)
    let ours = pair.first
    let theirs = pair.second
    try theirs.send("Content-Length: 0\n")
    // A FIN that the session does not know of, as an attacker's, or a careless peer's.
    try theirs.withDescriptor { descriptor in _ = shutdown(descriptor.rawValue, CInt(SHUT_WR)) }
    #expect(try ours.receiveLine(within: .seconds(20)) == "Content-Length: 0")
    let error = try refusal { () throws(SocketError) in try ours.receive(upTo: 1, within: .seconds(20)) }
    #expect(error.cause == .truncated)
    ours.tolerateTruncation(because: "a test: the message said its length")
    for _ in 0..<2 { #expect(try ours.receive(upTo: 1, within: .seconds(20)) == nil) }
    let report = ours.close()
    #expect(report.ending == .truncated, "\(report)")
    #expect(report.closeNotify?.received == false)
    theirs.abort()
  }

  @Test("keys are logged when the program asks for it, for its owner alone, and never otherwise")
  func keyLog() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/keys"
    let logging = try TLSClient(trust: .roots(path: certificates.root), keyLog: path)
    _ = try MemorySide.shaken(client, server)
    #expect(unsafe access(path, F_OK) == 0)
    #expect(try lines(path).isEmpty)
    _ = try MemorySide.shaken(logging, server)
    let first = try lines(path)
    #expect(first.contains { $0.hasPrefix("CLIENT_TRAFFIC_SECRET_0 ") }, "\(first.count) lines")
    var status = stat()
    #expect(unsafe stat(path, &status) == 0)
    #expect(status.st_mode & 0o777 == 0o600)
    let both = try TLSServer(certificates.identity(), keyLog: path)
    _ = try MemorySide.shaken(logging, both)
    // Appended by each side: nothing is lost, and no line is broken.
    let all = try lines(path)
    #expect(all.starts(with: first) && all.count >= 3 * first.count - 2, "\(all.count) of \(first.count)")
    #expect(all.allSatisfy { $0.split(separator: " ").count == 3 })
    let nowhere = #expect(throws: SocketError.self) { _ = try TLSClient(keyLog: "/nowhere/keys") }
    #expect(says(nowhere, "cannot be opened for writing"))
  }

  private func lines(_ path: String) throws -> [String] {
    try withChild("/bin/cat", [path]) { try $0.readToEnd().split(separator: "\n").map(String.init) }
  }
}
#endif
