import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("A file is sent as it is, or the error says how much of it", .onThreads, .timeLimit(.minutes(30)))
struct FileSendTests {
  /// Runs `body` with both ends, while a thread reads all that comes to the peer.
  private func sending(_ body: (SharedConnection) throws -> Void) throws -> [UInt8] {
    let pair = try Loopback()
    let ours = pair.ours.share()
    let reading = onThread(taking: pair.peer) { try $0.receiveAll() }
    try body(ours)
    synchronously { _ = ours.close() }
    return try reading.join()
  }

  @Test(
    "0 bytes, 1 byte, and more than all buffers hold; from a position, and a part", arguments: FileWorld.allCases)
  func whole(_ world: FileWorld) throws {
    for size in [0, 1, 9_000_001] {
      let bytes = filePattern(size)
      let file = try TestFile(bytes)
      let got = try sending { ours throws in #expect(try world.send(ours, file.descriptor) == size) }
      #expect(got == bytes)
      #expect(file.position == Int64(size), "the file's position is behind the last byte")
    }
    let bytes = filePattern(1000)
    let file = try TestFile(bytes)
    let got = try sending { ours throws in
      #expect(try world.send(ours, file.descriptor, from: 100, count: 50) == 50)
      #expect(file.position == 0, "a position of the call's own leaves the file's alone")
      #expect(try world.send(ours, file.descriptor, count: 10) == 10)
      #expect(file.position == 10)
      #expect(try world.send(ours, file.descriptor, count: 0) == 0)
      // Beyond the end: fewer bytes, and none.
      #expect(try world.send(ours, file.descriptor, from: 990, count: 1 << 40) == 10)
      #expect(try world.send(ours, file.descriptor, from: 5000) == 0)
    }
    #expect(got == Array(bytes[100..<150]) + Array(bytes[..<10]) + Array(bytes[990...]))
  }

  @Test("the kernel sends a regular file: no byte of it passes through this process")
  func inTheKernel() throws {
    let file = try TestFile(filePattern(300_000))
    let script = Script()
    let got = try scripted(script) { try sending { _ = try FileWorld.thread.send($0, file.descriptor) } }
    #expect(got.count == 300_000)
    #expect(script.count(.sendfile) > 0 && script.count(.read) == 0 && script.count(.send) == 0)
  }

  @Test(
    "where sendfile refuses the file, it is read and sent; each short count is gone on from",
    arguments: FileWorld.allCases)
  func fallback(_ world: FileWorld) throws {
    let bytes = filePattern(200_000)
    for lines in [
      [Script.Line.every(.sendfile, .fail(.invalidArgument))],
      [.every(.sendfile, .fail(.noFunction)), .every(.read, .limit(1000)), .every(.send, .limit(777))],
      [.nth(2, .sendfile, .fail(.invalidArgument)), .every(.sendfile, .limit(5000))],
    ] {
      let file = try TestFile(bytes)
      let got = try sending { ours throws in
        try scripted(Script(lines: lines)) {
          let sent: Int
          switch world {
          case .thread: sent = try ours.sendFile(file.descriptor)
          case .task:
            let script = Seam.script
            sent = try inTask { try await Seam.$script.withValue(script) { try await ours.sendFile(file.descriptor) } }
          }
          #expect(sent == bytes.count)
        }
      }
      #expect(got == bytes)
      #expect(file.position == Int64(bytes.count))
    }
  }

  @Test("a file that becomes shorter while it is sent: the count says how much was sent", arguments: FileWorld.allCases)
  func shrinks(_ world: FileWorld) throws {
    let bytes = filePattern(16 << 20)
    let file = try TestFile(bytes)
    let pair = try Loopback()
    let ours = pair.ours.share()
    let sending = onThread { try world.send(ours, file.descriptor, count: bytes.count) }
    // The peer does not read yet: the send waits in the middle.
    try eventually("bytes in the kernel") { try ours.bytesUnacknowledged() > 100_000 }
    #expect(truncateFile(file.path, 15 << 20))
    let got = try onThread(taking: pair.peer) { peer in
      var got: [UInt8] = []
      while got.count < 15 << 20 { got += try peer.receive(upTo: 1 << 20) }
      return got
    }.join()
    #expect(try sending.join() == 15 << 20)
    #expect(got == Array(bytes[..<(15 << 20)]))
    synchronously { _ = ours.abort() }
  }

  private func truncateFile(_ path: String, _ size: Int) -> Bool { unsafe truncate(path, off_t(size)) == 0 }

  @Test("a pipe is sent up to its end, however slowly it comes; a file of /proc too", arguments: FileWorld.allCases)
  func streams(_ world: FileWorld) throws {
    let pipe = try FileDescriptor.pipe()
    let writing = onThread {
      for _ in 0..<5 {
        _ = try pipe.writeEnd.writeAll("hello ".utf8)
        // The sender finds the pipe empty.
        usleep(7000)
      }
      try pipe.writeEnd.close()
      return true
    }
    let got = try sending { ours throws in #expect(try world.send(ours, pipe.readEnd) == 30) }
    #expect(String(decoding: got, as: UTF8.self) == String(repeating: "hello ", count: 5))
    _ = try writing.join()
    let positioned = try refusalOf { try world.send($0, pipe.readEnd, from: 3) }
    #expect(positioned.cause == .system(.illegalSeek), "\(positioned)")
    try pipe.readEnd.close()
    let status = try FileDescriptor.open(FilePath("/proc/self/limits"), .readOnly)
    let text = try sending { ours throws in #expect(try world.send(ours, status) > 100) }
    #expect(String(decoding: text, as: UTF8.self).contains("Max open files"))
    try status.close()
  }

  private func refusalOf(_ body: (SharedConnection) throws -> Int) throws -> SocketError {
    let pair = try Loopback()
    let ours = pair.ours.share()
    let peer = pair.peer
    defer {
      synchronously { _ = ours.abort() }
      #expect(peer.descriptor >= 0, "open until here")
    }
    do { _ = try body(ours) } catch let error as SocketError { return error }
    throw RigError("no error")
  }

  @Test("an empty pipe ends at the deadline, a folder and a closed file at once", arguments: FileWorld.allCases)
  func refusals(_ world: FileWorld) throws {
    let pipe = try FileDescriptor.pipe()
    let late = try refusalOf { try world.send($0, pipe.readEnd, within: .milliseconds(30)) }
    #expect(late.cause == .timedOut)
    try pipe.readEnd.close()
    try pipe.writeEnd.close()
    let folder = try FileDescriptor.open(FilePath("/proc/self"), .readOnly)
    let isFolder = try refusalOf { try world.send($0, folder) }
    #expect(isFolder.cause == .system(.isDirectory) && "\(isFolder)".contains("the file could not be read"))
    try folder.close()
    let file = try TestFile([1])
    #expect(try refusalOf { try world.send($0, file.descriptor, count: -1) }.cause != .timedOut)
    let closed = FileDescriptor(rawValue: 1 << 20)
    #expect(try refusalOf { try world.send($0, closed) }.cause == .system(.badFileDescriptor))
  }

  @Test(
    "a peer that does not read: the deadline, and the bytes and the file's position up to there",
    arguments: FileWorld.allCases, [false, true])
  func deadline(_ world: FileWorld, copying: Bool) throws {
    let bytes = filePattern(24 << 20)
    let file = try TestFile(bytes)
    let pair = try Loopback()
    let ours = pair.ours.share()
    let script = copying ? Script(.every(.sendfile, .fail(.invalidArgument))) : Script()
    let error = try refusal {
      switch world {
      case .thread:
        try scripted(script) { _ = try ours.sendFile(file.descriptor, within: .milliseconds(200)) }
      case .task:
        try inTask {
          try await Seam.$script.withValue(script) {
            _ = try await ours.sendFile(file.descriptor, within: .milliseconds(200))
          }
        }
      }
    }
    #expect(error.cause == .timedOut)
    #expect(error.bytesAccepted > 100_000 && error.bytesAccepted < bytes.count)
    #expect(file.position == Int64(error.bytesAccepted), "what was not sent can be sent from here on")
    let accepted = error.bytesAccepted
    let got = try onThread(taking: pair.peer) { peer in
      var got: [UInt8] = []
      while got.count < accepted { got += try peer.receive(upTo: min(1 << 20, accepted - got.count)) }
      return got
    }.join()
    #expect(got == Array(bytes[..<accepted]))
    synchronously { _ = ours.abort() }
  }

  private func refusal(_ body: () throws -> Void) throws -> SocketError {
    do { try body() } catch let error as SocketError { return error }
    throw RigError("no error")
  }

  enum Ending: CaseIterable { case reset, closed, cancelled }

  @Test(
    "reset by the peer, closed from elsewhere, or cancelled in the middle: the error, and no SIGPIPE",
    arguments: Ending.allCases)
  func middle(_ ending: Ending) throws {
    let file = try TestFile(filePattern(24 << 20))
    let pair = try Loopback()
    let ours = pair.ours.share()
    let peer = pair.peer
    let sending = errand { try await ours.sendFile(file.descriptor) }
    try eventually("bytes in the kernel") { try ours.bytesUnacknowledged() > 100_000 }
    let expected: SocketError.Cause
    switch ending {
    case .reset:
      peer.abort()
      expected = .reset
    case .closed:
      synchronously { _ = ours.abort() }
      expected = .closed
    case .cancelled:
      sending.cancel()
      expected = .cancelled
    }
    let error = try sending.refusal()
    #expect(error.cause == expected && error.bytesAccepted > 0, "\(error)")
    // After a reset every further one fails too. `sendfile` would raise SIGPIPE.
    if ending == .reset {
      #expect(try refusal { _ = try ours.sendFile(file.descriptor, from: 0) }.cause == .reset)
    }
    synchronously { _ = ours.abort() }
  }

  @Test("the first send after the peer's reset, in a thread: an error, and no SIGPIPE")
  func noSignal() throws {
    let file = try TestFile(filePattern(1000))
    let pair = try Loopback()
    let ours = pair.ours.share()
    let port = pair.peer.port
    pair.peer.abort()
    try eventually("the reset") { try KernelView.tcp(localPort: port).filter { $0.state != .timeWait }.isEmpty }
    #expect(try refusal { _ = try ours.sendFile(file.descriptor) }.cause == .reset)
    let unix = try Connection.pair()
    let first = unix.first.share()
    unix.second.close(.background)
    #expect(try refusal { _ = try first.sendFile(file.descriptor) }.cause == .peerClosed)
    synchronously {
      _ = ours.abort()
      _ = first.abort()
    }
  }

  @Test("a connection that another holder makes blocking in the middle still keeps the deadline")
  func madeBlocking() throws {
    let file = try TestFile(filePattern(24 << 20))
    let pair = try Loopback()
    let ours = pair.ours.share()
    let peer = pair.peer
    let descriptor = file.descriptor
    let sending = onThread { () throws -> SocketError in
      try refusal { _ = try ours.sendFile(descriptor, within: .seconds(2)) }
    }
    var count = 0
    while count < 4 << 20 { count += try peer.receive(upTo: 1 << 18).count }
    _ = try ours.withDescriptor { descriptor in
      fcntl(descriptor.rawValue, F_SETFL, fcntl(descriptor.rawValue, F_GETFL) & ~O_NONBLOCK)
    }
    // Room for the next call.
    while count < 6 << 20 { count += try peer.receive(upTo: 1 << 18).count }
    #expect(try sending.join(within: .seconds(60)).cause == .timedOut)
    synchronously { _ = ours.abort() }
    #expect(peer.descriptor >= 0, "open until here")
  }

  @Test("a connection that another holder has made blocking still keeps the deadline")
  func blocking() throws {
    let file = try TestFile(filePattern(24 << 20))
    let pair = try Loopback()
    let ours = pair.ours.share()
    let peer = pair.peer
    _ = try ours.withDescriptor { descriptor in
      fcntl(descriptor.rawValue, F_SETFL, fcntl(descriptor.rawValue, F_GETFL) & ~O_NONBLOCK)
    }
    #expect(
      try refusal { _ = try ours.sendFile(file.descriptor, within: .milliseconds(100)) }.cause == .timedOut)
    synchronously { _ = ours.abort() }
    #expect(peer.descriptor >= 0, "open until here")
  }
}
