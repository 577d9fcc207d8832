import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("A stream is received into a file as it is, and an error loses nothing", .onThreads, .timeLimit(.minutes(30)))
struct FileReceiveTests {
  private func sender(_ bytes: [UInt8], _ peer: consuming PlainSocket) -> Joining<Bool> {
    onThread(taking: peer) { peer in
      try peer.send(bytes)
      return true
    }
  }

  @Test("0 bytes, 1 byte, and megabytes, up to the peer's end", arguments: FileWorld.allCases)
  func whole(_ world: FileWorld) throws {
    for size in [0, 1, 5_000_001] {
      let bytes = filePattern(size)
      let file = try TestFile()
      let pair = try Loopback()
      let ours = pair.ours.share()
      let sending = sender(bytes, pair.peer)
      #expect(try world.receive(ours, file.descriptor) == size)
      #expect(file.position == Int64(size))
      #expect(file.content == bytes)
      #expect(ours.phase == .peerFinished)
      _ = try sending.join()
      synchronously { _ = ours.close() }
    }
  }

  @Test("a part, after what was buffered; the bytes behind it stay readable", arguments: FileWorld.allCases)
  func part(_ world: FileWorld) throws {
    let bytes = filePattern(500_000)
    let file = try TestFile()
    let pair = try Loopback()
    let ours = pair.ours.share()
    let sending = sender(Array("head\n".utf8) + bytes + Array("tail\n".utf8), pair.peer)
    try synchronously { () throws in
      #expect(try ours.receiveLine() == "head")
      #expect(try ours.receive(to: file.descriptor, count: 0) == 0)
    }
    #expect(try world.receive(ours, file.descriptor, count: bytes.count) == bytes.count)
    #expect(file.content == bytes)
    #expect(try synchronously { try ours.receiveLine() } == "tail")
    // The peer has finished: fewer than the count, and none.
    #expect(try world.receive(ours, file.descriptor, count: 100) == 0)
    _ = try sending.join()
    synchronously { _ = ours.close() }
  }

  @Test("the kernel moves the bytes, unless it cannot: then they are received and written, none twice and none lost")
  func ways() throws {
    let bytes = filePattern(400_000)
    func received(_ lines: [Script.Line], appending: Bool = false) throws -> (content: [UInt8], script: Script) {
      let file = try TestFile(appending: appending)
      let pair = try Loopback()
      let ours = pair.ours.share()
      let sending = sender(bytes, pair.peer)
      let script = Script(lines: lines)
      try scripted(script) { () throws in #expect(try ours.receive(to: file.descriptor) == bytes.count) }
      _ = try sending.join()
      synchronously { _ = ours.close() }
      return (file.content, script)
    }
    let moved = try received([])
    #expect(moved.content == bytes && moved.script.count(.splice) > 2 && moved.script.count(.write) == 0)
    // A file for appending refuses what is in the pipe already.
    let appended = try received([], appending: true)
    #expect(appended.content == bytes && appended.script.count(.write) > 0)
    #expect(try received([.every(.pipe, .fail(.tooManyOpenFiles))]).content == bytes)
    #expect(try received([.every(.splice, .fail(.invalidArgument))]).content == bytes)
    #expect(try received([.nth(4, .splice, .fail(.invalidArgument)), .every(.splice, .limit(3001))]).content == bytes)
  }

  @Test("a file that takes no more bytes: the error of the file, and the bytes it did not take stay readable")
  func fullFile() throws {
    let bytes = filePattern(100_000)
    let pair = try Loopback()
    let ours = pair.ours.share()
    let sending = sender(bytes, pair.peer)
    let file = try TestFile()
    try eventually("bytes to receive") { try ours.tcpInfo()?.bytesReceived ?? 0 > 10_000 }
    // The second move into the file fails.
    let script = Script(.nth(4, .splice, .fail(.noSpace)), .every(.splice, .limit(1000)))
    let error = try #require(
      throws: SocketError.self,
      performing: { try scripted(script) { _ = try ours.receive(to: file.descriptor) } })
    #expect(error.cause == .system(.noSpace) && "\(error)".contains("stay readable"), "\(error)")
    let written = file.content
    let rest = try synchronously { try ours.receiveAll(limit: 1 << 20) }
    #expect(!written.isEmpty && written + rest == bytes)
    let full = try FileDescriptor.open(FilePath("/dev/full"), .readWrite)
    let other = try Loopback()
    let second = other.ours.share()
    let otherPeer = other.peer
    try otherPeer.send([1, 2, 3])
    #expect(throws: SocketError.self) { try synchronously { _ = try second.receive(to: full, count: 3) } }
    #expect(try synchronously { try second.receive(exactly: 3) } == [1, 2, 3])
    try full.close()
    _ = try sending.join()
    synchronously {
      _ = ours.abort()
      _ = second.abort()
    }
  }

  @Test("into a pipe, which is full for a while and then gone", arguments: FileWorld.allCases)
  func pipe(_ world: FileWorld) throws {
    let bytes = filePattern(300_000)
    let pair = try Loopback()
    let ours = pair.ours.share()
    let sending = sender(bytes, pair.peer)
    let pipe = try FileDescriptor.pipe()
    let receiving = onThread { try world.receive(ours, pipe.writeEnd, count: 200_000) }
    var got: [UInt8] = []
    while got.count < 200_000 {
      var room = [UInt8](repeating: 0, count: 1 << 16)
      let count = try unsafe room.withUnsafeMutableBytes { try unsafe pipe.readEnd.read(into: $0) }
      got += room[..<count]
    }
    #expect(try receiving.join() == 200_000 && got == Array(bytes[..<200_000]))
    try pipe.readEnd.close()
    // No SIGPIPE.
    #expect(throws: SocketError.self) { _ = try world.receive(ours, pipe.writeEnd) }
    #expect(try synchronously { try ours.receiveAll(limit: 1 << 20) } == Array(bytes[200_000...]))
    try pipe.writeEnd.close()
    _ = try sending.join()
    synchronously { _ = ours.close() }
  }

  enum Ending: CaseIterable { case reset, deadline, closed, cancelled }

  @Test(
    "reset, late, closed from elsewhere, cancelled: the error, and what came before is in the file",
    arguments: Ending.allCases)
  func middle(_ ending: Ending) throws {
    let bytes = filePattern(200_000)
    let file = try TestFile()
    let pair = try Loopback()
    let ours = pair.ours.share()
    let peer = pair.peer
    let receiving = errand {
      try await ours.receive(to: file.descriptor, within: ending == .deadline ? .milliseconds(200) : .seconds(60))
    }
    try peer.send(bytes)
    try eventually("bytes in the file", equals: bytes.count) { fileSize(file.path) }
    let expected: SocketError.Cause
    // Kept until the end: a peer that closes would finish the stream.
    var silent: PlainSocket?
    switch ending {
    case .reset:
      peer.abort()
      expected = .reset
    case .deadline:
      silent = consume peer
      expected = .timedOut
    case .closed:
      silent = consume peer
      synchronously { _ = ours.abort() }
      expected = .closed
    case .cancelled:
      silent = consume peer
      receiving.cancel()
      expected = .cancelled
    }
    let error = try receiving.refusal()
    silent?.close()
    #expect(error.cause == expected && "\(error)".contains("200000 bytes were written"), "\(error)")
    #expect(file.content == bytes)
    synchronously { _ = ours.abort() }
  }

  @Test("a connection that another holder has made blocking still keeps the deadline")
  func blocking() throws {
    let file = try TestFile()
    let pair = try Loopback()
    let ours = pair.ours.share()
    let peer = pair.peer
    _ = try ours.withDescriptor { descriptor in
      fcntl(descriptor.rawValue, F_SETFL, fcntl(descriptor.rawValue, F_GETFL) & ~O_NONBLOCK)
    }
    try peer.send(filePattern(100_000))
    let descriptor = file.descriptor
    let receiving = onThread { () -> SocketError.Cause? in
      do throws(SocketError) {
        _ = try ours.receive(to: descriptor, within: .seconds(1))
        return nil
      } catch { return error.cause }
    }
    #expect(try receiving.join(within: .seconds(60)) == .timedOut)
    #expect(file.content == filePattern(100_000))
    synchronously { _ = ours.abort() }
    #expect(peer.descriptor >= 0, "open until here")
  }

  private func fileSize(_ path: String) -> Int {
    var value = stat()
    return unsafe stat(path, &value) == 0 ? Int(value.st_size) : -1
  }
}
