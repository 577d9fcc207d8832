#if TLS
import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite(
  "Secured: a file is sent and received as on a plain connection, by way of this process", .needsProgram("openssl"),
  .onThreads, .timeLimit(.minutes(30)))
struct SecuredFiles {
  private let server: TLSServer
  private let client: TLSClient
  private let certificates: Certificates

  init() throws {
    certificates = try Certificates()
    server = try TLSServer(certificates.identity())
    client = try TLSClient(trust: .roots(path: certificates.root))
  }

  /// Two ends of a secured connection, each of which others may close.
  private func link() throws -> (ours: SharedConnection, theirs: SharedConnection) {
    let pair = try securedPair(server, client)
    return (pair.first.share(), pair.second.share())
  }

  private func drain(_ connection: SharedConnection) -> Joining<[UInt8]> {
    onThread { () throws in
      var bytes: [UInt8] = []
      while let more = try connection.receive(upTo: 1 << 20, within: .seconds(60)) { bytes += more }
      return bytes
    }
  }

  /// Runs a verb in a thread or in a task with scripted system calls.
  private func run(
    _ world: FileWorld, _ script: Script, _ thread: () throws -> Int,
    _ task: @escaping @Sendable () async throws -> Int
  ) throws -> Int {
    switch world {
    case .thread: try scripted(script) { try thread() }
    case .task: try inTask(within: .seconds(120)) { try await Seam.$script.withValue(script) { try await task() } }
    }
  }

  // MARK: Sending

  @Test(
    "files of 0 bytes, 1 byte and megabytes arrive, a part too, and the kernel's sendfile never sees them",
    arguments: FileWorld.allCases)
  func sent(_ world: FileWorld) throws {
    for size in [0, 1, 3_000_001] {
      let bytes = filePattern(size)
      let file = try TestFile(bytes)
      let script = Script()
      let (ours, theirs) = try link()
      let reading = drain(theirs)
      let count = try run(world, script) {
        try ours.sendFile(file.descriptor, within: .seconds(60))
      } _: {
        try await ours.sendFile(file.descriptor, within: .seconds(60))
      }
      try synchronously { try ours.finishSending() }
      #expect(try count == size && reading.join(within: .seconds(60)) == bytes && file.position == Int64(size))
      #expect(script.count(.sendfile) == 0 && script.count(.read) > 0)
      synchronously {
        #expect(theirs.close().ending == .peerFinished)
        #expect(ours.close().ending == .peerFinished)
      }
    }
    let bytes = filePattern(100_000)
    let file = try TestFile(bytes)
    let (ours, theirs) = try link()
    let reading = drain(theirs)
    #expect(try world.send(ours, file.descriptor, from: 70_000, count: 20_000) == 20_000)
    #expect(file.position == 0, "a position of the call's own leaves the file's alone")
    #expect(try world.send(ours, file.descriptor, count: 10) == 10)
    #expect(file.position == 10)
    try synchronously { try ours.finishSending() }
    #expect(try reading.join(within: .seconds(60)) == Array(bytes[70_000..<90_000]) + Array(bytes[..<10]))
    synchronously {
      theirs.close()
      ours.close()
    }
  }

  @Test(
    "a peer that does not read: the deadline, and what was not sent is sent from the file's position on",
    arguments: FileWorld.allCases)
  func deadline(_ world: FileWorld) throws {
    let bytes = filePattern(24 << 20)
    let file = try TestFile(bytes)
    let (ours, theirs) = try link()
    let error = #expect(throws: SocketError.self) {
      _ = try world.send(ours, file.descriptor, within: .milliseconds(300))
    }
    let accepted = try #require(error).bytesAccepted
    #expect(error?.cause == .timedOut && accepted > 100_000 && accepted < bytes.count, "\(String(describing: error))")
    #expect(file.position == Int64(accepted))
    // No byte is lost, and none is sent twice: the rest of a record that was cut goes out first.
    let reading = drain(theirs)
    #expect(try world.send(ours, file.descriptor, within: .seconds(60)) == bytes.count - accepted)
    try synchronously { try ours.finishSending() }
    #expect(try reading.join(within: .seconds(60)) == bytes)
    synchronously {
      theirs.close()
      ours.close()
    }
  }

  @Test("a pipe is sent up to its end, with each part when it comes", arguments: FileWorld.allCases)
  func pipe(_ world: FileWorld) throws {
    let pipe = try FileDescriptor.pipe()
    let (ours, theirs) = try link()
    let sending = onThread { try world.send(ours, pipe.readEnd, within: .seconds(60)) }
    for part in ["one ", "two ", "three"] {
      _ = try pipe.writeEnd.writeAll(part.utf8)
      let seen = try synchronously { try theirs.receive(exactly: part.utf8.count, within: .seconds(60)) }
      #expect(String(decoding: seen ?? [], as: UTF8.self) == part)
    }
    try pipe.writeEnd.close()
    #expect(try sending.join(within: .seconds(60)) == 13)
    try pipe.readEnd.close()
    synchronously {
      ours.abort()
      theirs.abort()
    }
  }

  // MARK: Receiving

  @Test(
    "a stream of 0 bytes, 1 byte and megabytes, and a part of it after a line, is in the file; no splice takes part",
    arguments: FileWorld.allCases)
  func received(_ world: FileWorld) throws {
    for size in [0, 1, 3_000_001] {
      let bytes = filePattern(size)
      let file = try TestFile()
      let script = Script()
      let (ours, theirs) = try link()
      let sending = onThread { () throws -> Bool in
        try theirs.send(bytes, within: .seconds(60))
        try theirs.finishSending()
        return true
      }
      let count = try run(world, script) {
        try ours.receive(to: file.descriptor, within: .seconds(60))
      } _: {
        try await ours.receive(to: file.descriptor, within: .seconds(60))
      }
      #expect(try count == size && file.content == bytes && sending.join(within: .seconds(60)))
      #expect(script.count(.splice) == 0 && (size == 0 || script.count(.write) > 0))
      #expect(ours.phase == .peerFinished)
      synchronously {
        ours.close()
        theirs.close()
      }
    }
    let bytes = filePattern(200_000)
    let file = try TestFile()
    let (ours, theirs) = try link()
    let sending = onThread { () throws -> Bool in
      try theirs.send(Array("head\n".utf8) + bytes + Array("tail\n".utf8), within: .seconds(60))
      return true
    }
    #expect(try synchronously { try ours.receiveLine() } == "head")
    #expect(try world.receive(ours, file.descriptor, count: bytes.count) == bytes.count && file.content == bytes)
    #expect(try synchronously { try ours.receiveLine() } == "tail")
    _ = try sending.join(within: .seconds(60))
    synchronously {
      ours.abort()
      theirs.abort()
    }
  }

  @Test(
    "a stream that is cut off without close_notify: .truncated, and what came is in the file",
    arguments: FileWorld.allCases)
  func truncated(_ world: FileWorld) throws {
    let bytes = filePattern(50_000)
    let file = try TestFile()
    let (ours, theirs) = try link()
    try synchronously { () throws in
      try theirs.send(bytes)
      try theirs.withDescriptor { _ = shutdown($0.rawValue, CInt(SHUT_WR)) }
    }
    let error = #expect(throws: SocketError.self) { _ = try world.receive(ours, file.descriptor) }
    #expect(error?.cause == .truncated && "\(error as Any)".contains("50000 bytes were written"))
    #expect(file.content == bytes)
    synchronously {
      ours.abort()
      theirs.abort()
    }
  }

  @Test("a file that takes no more: the error of the file, and the bytes that it did not take stay readable")
  func fullFile() throws {
    let bytes = filePattern(40_000)
    let file = try TestFile()
    let (ours, theirs) = try link()
    try synchronously { () throws in
      try theirs.send(bytes)
      try theirs.finishSending()
    }
    let script = Script(lines: [.nth(3, .write, .fail(.noSpace)), .every(.write, .limit(1000))])
    let error = #expect(throws: SocketError.self) {
      try scripted(script) { _ = try ours.receive(to: file.descriptor) }
    }
    #expect(error?.cause == .system(.noSpace) && "\(error as Any)".contains("stay readable"), "\(error as Any)")
    let rest = try synchronously { try ours.receiveAll(limit: 1 << 20) }
    #expect(file.content.count == 2000 && file.content + rest == bytes)
    synchronously {
      ours.abort()
      theirs.abort()
    }
  }
}
#endif
