import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Descriptors over a Unix stream: hostile peers and full tables leave no descriptor behind", .onThreads)
struct HostilePassing {
  @Test(
    "1,000 descriptors in one message: refused by name, and the kernel refuses them too",
    arguments: ServingWorld.allCases)
  func thousand(_ world: ServingWorld) throws {
    let pair = try UnixPair()
    let pipe = try PassedPipe()
    let all = [CInt](repeating: pipe.writing, count: 1000)
    let error = try socketError { try pair.theirs.pass([1], all, in: world) }
    #expect(error.cause == .invalid("1000 descriptors in one message; Linux accepts 253"))
    let kernel = try pair.theirs.withDescriptor { descriptor in
      do throws(Errno) {
        return try unsafe [UInt8(1)].span.bytes.withUnsafeBytes { bytes throws(Errno) in
          try unsafe Syscalls.send(descriptor.rawValue, bytes, passing: all)
        }
      } catch { return -Int(error.rawValue) }
    }
    #expect(kernel == -Int(EINVAL))
    // 1,000 in four messages: each arrives whole.
    for count in [253, 253, 253, 241] {
      try pair.theirs.pass([1], Array(all.prefix(count)), in: world)
      let arrived = try #require(try pair.ours.arrival(descriptors: 253, in: world))
      #expect(arrived.numbers.count == count)
      arrived.close()
    }
    #expect(pipe.hasEnded())
    pair.abort()
  }

  @Test("more descriptors than the caller allows: all are closed, and the bytes stay", arguments: ServingWorld.allCases)
  func tooMany(_ world: ServingWorld) throws {
    let pair = try UnixPair()
    let pipe = try PassedPipe()
    for (sent, allowed) in [(253, 3), (2, 1), (1, 0)] {
      try pair.theirs.pass(Array("kept".utf8), [CInt](repeating: pipe.writing, count: sent), in: world)
      let error = try socketError { _ = try pair.ours.arrival(descriptors: allowed, in: world) }
      #expect(error.cause == .limit("number of descriptors", allowed))
      #expect(try pair.ours.receive(exactly: 4, within: .seconds(10)) == Array("kept".utf8))
    }
    #expect(pipe.hasEnded())
    pair.abort()
  }

  @Test(
    "control messages that the kernel cut off: an error that closes those that came", arguments: ServingWorld.allCases)
  func cutOff(_ world: ServingWorld) throws {
    let pair = try UnixPair()
    let pipe = try PassedPipe()
    try pair.theirs.pass(Array("kept".utf8), [pipe.writing, pipe.writing], in: world)
    let script = Script(.first(.flagsOfMessage, .value(8)))
    let error = try Seam.$script.withValue(script) {
      try socketError { _ = try pair.ours.arrival(descriptors: 2, in: world) }
    }
    #expect(error.cause == .descriptorsLost && "\(error)".contains("ulimit -n"))
    #expect(try pair.ours.receive(exactly: 4, within: .seconds(10)) == Array("kept".utf8))
    #expect(pipe.hasEnded())
    pair.abort()
  }

  @Test("a process at its descriptor limit: what the kernel drops is an error, and the rest is closed")
  func fullTable() async {
    await #expect(processExitsWith: .success) {
      try synchronously {
        try DescriptorTable.apart { table in
          let pair = try UnixPair()
          let pipe = try PassedPipe()
          try pair.theirs.send(
            "kept", passing: [FileDescriptor](repeating: FileDescriptor(rawValue: pipe.writing), count: 5))
          let error = try table.leaving(2) {
            try socketError { _ = try pair.ours.receive(upTo: 9, descriptors: 5, within: .seconds(10)) }
          }
          check(error.cause == .descriptorsLost, "\(error)")
          let bytes = try pair.ours.receive(exactly: 4, within: .seconds(10))
          check(bytes == Array("kept".utf8), "\(String(describing: bytes))")
          check(pipe.hasEnded(), "a descriptor was kept")
          pair.abort()
        }
      }
    }
  }

  @Test("descriptors with 0 bytes: refused, because a stream would pass none", arguments: ServingWorld.allCases)
  func noBytes(_ world: ServingWorld) throws {
    let pair = try UnixPair()
    let pipe = try PassedPipe()
    let error = try socketError { try pair.theirs.pass([], [pipe.writing], in: world) }
    #expect(error.cause == .invalid("descriptors travel with at least one byte of a stream"))
    try pair.theirs.pass([], [], in: world)
    #expect(try socketError { try pair.theirs.pass([1], [-1], in: world) }.cause == .system(.badFileDescriptor))
    // Neither call sent anything, or ended the connection.
    try pair.theirs.pass([9], [pipe.writing], in: world)
    let arrived = try #require(try pair.ours.arrival(descriptors: 1, in: world))
    #expect(arrived.bytes == [9] && arrived.numbers.count == 1)
    arrived.close()
    pair.abort()
  }

  @Test("a plain receive of bytes with descriptors: the kernel closes them")
  func plain() throws {
    let pair = try UnixPair()
    let pipe = try PassedPipe()
    try pair.theirs.pass([1, 2], [pipe.writing], in: .threads)
    #expect(try pair.ours.receive(upTo: 9, within: .seconds(10)) == [1, 2])
    #expect(pipe.hasEnded())
    pair.abort()
  }

  @Test(
    "an interrupted, a short and a refused system call: each message arrives once", arguments: ServingWorld.allCases)
  func interrupted(_ world: ServingWorld) throws {
    let pair = try UnixPair()
    let pipe = try PassedPipe()
    let script = Script(
      .first(.sendmsg, .fail(.interrupted)), .nth(2, .sendmsg, .limit(1)), .first(.recvmsg, .fail(.interrupted)))
    try Seam.$script.withValue(script) {
      try pair.theirs.pass([1, 2, 3], [pipe.writing], in: world)
      var numbers = 0
      var bytes: [UInt8] = []
      while bytes.count < 3 {
        let arrived = try #require(try pair.ours.arrival(descriptors: 1, in: world))
        bytes += arrived.bytes
        numbers += arrived.numbers.count
        arrived.close()
      }
      #expect(bytes == [1, 2, 3] && numbers == 1)
    }
    #expect(pipe.hasEnded())
    pair.abort()
  }

  @Test("a peer that passes a descriptor and dies: the message arrives, then the end", arguments: ServingWorld.allCases)
  func dies(_ world: ServingWorld) throws {
    let pair = try UnixPair()
    let pipe = try PassedPipe()
    try pair.theirs.pass([1], [pipe.writing], in: world)
    pair.theirs.abort()
    let arrived = try #require(try pair.ours.arrival(descriptors: 1, in: world))
    #expect(arrived.numbers.count == 1)
    arrived.close()
    #expect(try pair.ours.arrival(descriptors: 1, in: world) == nil)
    #expect(try pair.ours.arrival(descriptors: 1, in: world) == nil)
    pair.abort()
  }

  @Test("a connection that is closed with descriptors in its queue: the kernel closes them")
  func unread() throws {
    let pair = try UnixPair()
    let pipe = try PassedPipe()
    try pair.theirs.pass([1], [pipe.writing], in: .threads)
    pair.ours.close(.lingering(within: .seconds(5), idle: .milliseconds(1), discarding: 100))
    #expect(pipe.hasEnded())
    pair.abort()
  }

  @Test("control messages cut off at any byte are read as far as they go, in any order and number")
  func parsing() {
    let two = ControlMessages.passing([100, 101])
    let whole = credentials + two + ControlMessages.passing([102])
    for length in 0...whole.count {
      let contents = unsafe whole.prefix(length).withUnsafeBytes { unsafe ControlMessages.contents($0) }
      #expect([100, 101, 102].starts(with: contents.descriptors), "\(length): \(contents.descriptors)")
    }
    let all = unsafe whole.withUnsafeBytes { unsafe ControlMessages.contents($0) }
    #expect(all.descriptors == [100, 101, 102] && all.credentials?.uid == 8 && !all.isEmpty)
    // A length that no kernel writes ends the reading.
    for length in [0, 15, Int.max, Int.min, -1] {
      let bytes = unsafe withUnsafeBytes(of: length) { unsafe Array($0) } + two.dropFirst(8)
      let contents = unsafe bytes.withUnsafeBytes { unsafe ControlMessages.contents($0) }
      #expect(length == .max ? contents.descriptors.starts(with: [100, 101]) : contents.descriptors.isEmpty)
    }
  }

  /// `SCM_CREDENTIALS` of process 7, user 8, group 9, as the kernel writes it.
  private var credentials: [UInt8] {
    let words: [CInt] = [1, 2, 7, 8, 9]
    var bytes = unsafe withUnsafeBytes(of: 28) { unsafe Array($0) }
    for word in words { unsafe bytes += withUnsafeBytes(of: word) { unsafe Array($0) } }
    return bytes + [0, 0, 0, 0]
  }
}
