#if TLS
import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Secured: hostile peers end in an error, in time", .needsProgram("openssl"), .onThreads)
struct SecuredAgainstHostile {
  private let certificates: Certificates
  private let server: TLSServer

  init() throws {
    certificates = try Certificates()
    server = try TLSServer(certificates.identity())
  }

  /// A hello of a client that offers TLS 1.2, as its record begins, and no more of it.
  private static let half: [UInt8] = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]

  @Test(
    "bytes that are no TLS: the server's error says so, and the peer gets an alert",
    arguments: ["GET / HTTP/1.0\r\n\r\n", String(repeating: "\u{0}", count: 70_000), "SSH-2.0-x\r\n"])
  func garbage(_ text: String) throws {
    let strangers = try Strangers.connected()
    let ours = strangers.ours
    let plain = strangers.plain
    let server = server
    let serving = onThread(taking: ours) { connection throws in
      failure(securing: connection, as: .server(server))
    }
    try? plain.send(Array(text.utf8))
    let error = try #require(try serving.join(within: .seconds(20)))
    guard case .tls = error.cause else {
      Issue.record("\(error)")
      return
    }
    // An alert where OpenSSL has one, and then a reset: FIN alone would look like an end to a peer without TLS.
    let end = #expect(throws: RigError.self) { _ = try plain.receiveAll() }
    #expect(end?.code == ECONNRESET, "\(String(describing: end))")
  }

  @Test("a server that speaks no TLS: the client's error asks for the right port")
  func plainServer() throws {
    let strangers = try Strangers.connected()
    let root = certificates.root
    let securing = onThread(taking: strangers.ours) { connection throws in
      failure(securing: connection, as: .client(for: "localhost", try TLSClient(trust: .roots(path: root))))
    }
    try strangers.plain.send(Array("HTTP/1.0 400 Bad Request\r\n\r\n".utf8))
    let error = try #require(try securing.join(within: .seconds(20)))
    #expect("\(error)".contains("is the port right?"), "\(error)")
  }

  @Test("half a record, then FIN, inside the handshake")
  func halfRecord() throws {
    let strangers = try Strangers.connected()
    let server = server
    let serving = onThread(taking: strangers.ours) { connection throws in
      failure(securing: connection, as: .server(server))
    }
    try strangers.plain.send(Self.half)
    try strangers.plain.finishSending()
    let error = try #require(try serving.join(within: .seconds(20)))
    #expect("\(error)".contains("inside the handshake"), "\(error)")
  }

  @Test("a stalled handshake ends with its deadline, and the peer gets a reset")
  func stalled() throws {
    let strangers = try Strangers.connected(timeouts: Timeouts(handshake: .milliseconds(200)))
    let ours = strangers.ours
    let plain = strangers.plain
    try plain.send(Self.half)
    var error: SocketError?
    do throws(SocketError) { _ = try ours.secured(as: .server(server)) } catch let late { error = late }
    #expect(error?.cause == .timedOut)
    #expect(error?.operation == .secure)
    #expect(throws: RigError.self) { _ = try plain.receiveAll() }
  }

  @Test("a changed record is an error of both directions, and the peer hears an alert")
  func changedRecord() throws {
    let client = try TLSClient(trust: .roots(path: certificates.root))
    let pair = try securedPair(server, client)
    let ours = pair.first
    let theirs = pair.second
    try ours.send("before")
    // The peer's own descriptor sends a record that its session did not seal.
    let forged: [UInt8] = [0x17, 3, 3, 0, 32] + [UInt8](repeating: 0xaa, count: 32)
    try ours.withDescriptor { descriptor in
      _ = try? descriptor.writeAll(forged)
    }
    #expect(try theirs.receive(exactly: 6) == Array("before".utf8))
    for _ in 0..<2 {
      let error = try refusal { () throws(SocketError) in try theirs.receive(upTo: 10, within: .seconds(20)) }
      #expect("\(error)".contains("a record was changed on its way"), "\(error)")
    }
    let sending = try refusal { () throws(SocketError) in try theirs.send("x") }
    #expect("\(sending)".contains("a record was changed on its way"), "\(sending)")
    #expect(theirs.phase == .failed)
    let alert = try refusal { () throws(SocketError) in try ours.receive(upTo: 10, within: .seconds(20)) }
    #expect("\(alert)".contains("bad record mac"), "\(alert)")
    #expect(theirs.close().ending == .aborted)
    #expect(ours.close().ending == .aborted)
  }

  @Test("bytes after close_notify are not returned: the end stays the end")
  func afterTheEnd() throws {
    let client = try TLSClient(trust: .roots(path: certificates.root))
    let pair = try securedPair(server, client)
    let ours = pair.first
    let theirs = pair.second
    try ours.send("last")
    let finished = ours.finishSending()
    #expect(try theirs.receive(exactly: 4) == Array("last".utf8))
    for _ in 0..<3 { #expect(try theirs.receive(upTo: 10) == nil) }
    try theirs.send("answer")
    #expect(try finished.receive(exactly: 6) == Array("answer".utf8))
    #expect(theirs.close().ending == .peerFinished)
    #expect(finished.close().ending == .peerFinished)
  }

  @Test("an abort says no close_notify: the peer reads a reset, and no end")
  func aborted() throws {
    let client = try TLSClient(trust: .roots(path: certificates.root))
    let pair = try securedPair(server, client)
    let theirs = pair.second
    let report = pair.first.abort()
    #expect(report.closeNotify == .init(sent: false, received: false))
    let error = try refusal { () throws(SocketError) in try theirs.receive(upTo: 10, within: .seconds(20)) }
    #expect(error.cause == .reset)
    theirs.close()
  }
}
#endif
