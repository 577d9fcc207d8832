import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Descriptors over a Unix stream: they arrive with owners, or are closed", .onThreads)
struct Passing {
  @Test(
    "a passed descriptor is the same open file, under a number of its own, CLOEXEC", arguments: ServingWorld.allCases)
  func arrives(_ world: ServingWorld) throws {
    let pair = try UnixPair()
    let pipe = try PassedPipe()
    try pair.theirs.pass(Array("a pipe".utf8), [pipe.writing], in: world)
    let arrived = try #require(try pair.ours.arrival(descriptors: 1, in: world))
    #expect(arrived.bytes == Array("a pipe".utf8) && arrived.sender == nil)
    let number = try #require(arrived.numbers.first)
    #expect(arrived.numbers.count == 1 && number != pipe.writing)
    #expect(fcntl(number, F_GETFD) & FD_CLOEXEC != 0)
    #expect(unsafe write(number, "x", 1) == 1)
    #expect(pipe.isHeldElsewhere())
    arrived.close()
    pair.abort()
  }

  @Test("descriptors that are not taken are closed with their message", arguments: ServingWorld.allCases)
  func dropped(_ world: ServingWorld) throws {
    let pair = try UnixPair()
    let pipe = try PassedPipe()
    try pair.theirs.pass([1], [pipe.writing, pipe.writing, pipe.writing], in: world)
    switch world {
    case .threads:
      guard var message = try pair.ours.receive(upTo: 9, descriptors: 3, within: .seconds(10)) else {
        throw RigError("the end came")
      }
      if let first = message.descriptors.takeFirst() { first.close() }
      let left = message.descriptors.count
      #expect(left == 2)
    case .tasks:
      try inTask {
        guard let message = try await pair.ours.receive(upTo: 9, descriptors: 3, within: .seconds(10)) else {
          throw RigError("the end came")
        }
        let count = message.descriptors.count
        #expect(count == 3)
      }
    }
    #expect(pipe.hasEnded())
    pair.abort()
  }

  @Test(
    "the descriptors of two messages stay apart; bytes without descriptors have none", arguments: ServingWorld.allCases)
  func bounds(_ world: ServingWorld) throws {
    let pair = try UnixPair()
    let pipe = try PassedPipe()
    try pair.theirs.send("plain ")
    try pair.theirs.pass([65], [pipe.writing], in: world)
    try pair.theirs.pass([66], [pipe.writing, pipe.writing], in: world)
    try pair.theirs.finishSending()
    var seen: [(String, Int)] = []
    while let arrived = try pair.ours.arrival(descriptors: 2, in: world) {
      seen.append((String(decoding: arrived.bytes, as: UTF8.self), arrived.numbers.count))
      arrived.close()
    }
    #expect(seen.map(\.0).joined() == "plain AB" && seen.map(\.1).filter { $0 > 0 } == [1, 2], "\(seen)")
    #expect(seen.last?.0 == "B", "the second message is not glued to the first: \(seen)")
    #expect(pipe.hasEnded())
    pair.abort()
  }

  @Test("bytes that a line left in the buffer come first; the descriptors come with their own byte")
  func buffered() throws {
    let pair = try UnixPair()
    let pipe = try PassedPipe()
    try pair.theirs.send("line\nrest")
    #expect(try pair.ours.receiveLine(within: .seconds(10)) == "line")
    try pair.theirs.pass([66], [pipe.writing], in: .threads)
    let rest = try #require(try pair.ours.arrival(descriptors: 1, in: .threads))
    #expect(rest.bytes == Array("rest".utf8) && rest.numbers.isEmpty)
    let message = try #require(try pair.ours.arrival(descriptors: 1, in: .threads))
    #expect(message.bytes == [66] && message.numbers.count == 1)
    message.close()
    pair.abort()
  }

  @Test("a long message passes its descriptors once, with its first byte", arguments: ServingWorld.allCases)
  func long(_ world: ServingWorld) throws {
    let pair = try UnixPair()
    let pipe = try PassedPipe()
    let bytes = [UInt8](repeating: 7, count: 3 << 20)
    let sending = onThread { try pair.theirs.pass(bytes, [pipe.writing], within: .seconds(20), in: world) }
    var count = 0
    var numbers: [Int] = []
    while count < bytes.count {
      let arrived = try #require(try pair.ours.arrival(upTo: 65_536, descriptors: 1, in: world))
      count += arrived.bytes.count
      numbers.append(arrived.numbers.count)
      arrived.close()
    }
    _ = try sending.join(within: .seconds(20))
    #expect(numbers.first == 1 && numbers.dropFirst().allSatisfy { $0 == 0 })
    #expect(pipe.hasEnded())
    pair.abort()
  }

  @Test("a cancelled send passed nothing, and a cancelled receive loses no descriptor")
  func cancelled() throws {
    let pair = try UnixPair()
    let pipe = try PassedPipe()
    let receiving = errand { _ = try await pair.ours.receive(upTo: 9, descriptors: 1) }
    try pair.ours.awaitParked()
    receiving.cancel()
    #expect(try receiving.refusal().cause == .cancelled)
    // Fill the buffer, so that a send has to wait.
    let filling = [UInt8](repeating: 0, count: 65_536)
    while (try? pair.theirs.sendSome(unsafe filling.span.bytes, within: .zero)) != nil {}
    let sending = errand { try await pair.theirs.send([1], passing: [FileDescriptor(rawValue: pipe.writing)]) }
    try pair.theirs.awaitParked()
    sending.cancel()
    let error = try sending.refusal()
    #expect(error.cause == .cancelled && error.bytesAccepted == 0)
    #expect(pipe.hasEnded())
    // The receive that was cancelled ended nothing: a later one gets the bytes.
    #expect(try pair.ours.arrival(descriptors: 1, in: .tasks)?.bytes.isEmpty == false)
    pair.abort()
  }

  @Test("a receiver that waits gets the descriptors when they come; a close wakes it", arguments: ServingWorld.allCases)
  func waits(_ world: ServingWorld) throws {
    let pair = try UnixPair()
    let pipe = try PassedPipe()
    let receiving = onThread { try pair.ours.arrival(descriptors: 1, in: world) }
    try pair.theirs.pass([1], [pipe.writing], in: world)
    let arrived = try #require(try receiving.join(within: .seconds(20)))
    #expect(arrived.numbers.count == 1)
    arrived.close()
    let second = onThread { try socketError { _ = try pair.ours.arrival(descriptors: 1, in: world) }.cause }
    pair.ours.abort()
    #expect(try second.join(within: .seconds(20)) == .closed)
    pair.abort()
  }

  @Test("the sender's credentials come with the message where the receiver asked for them")
  func credentials() throws {
    let pair = try UnixPair()
    // SO_PASSCRED.
    try pair.ours.set(.integer("SO_PASSCRED", level: SOL_SOCKET, name: SO_PASSCRED), to: 1)
    let pipe = try PassedPipe()
    try pair.theirs.pass([1], [pipe.writing], in: .threads)
    let arrived = try #require(try pair.ours.arrival(descriptors: 1, in: .threads))
    #expect(arrived.sender == PeerCredentials(pid: getpid(), uid: geteuid(), gid: getegid()))
    #expect(arrived.numbers.count == 1, "the credentials come before the descriptors")
    arrived.close()
    pair.abort()
  }

  @Test("a peer's process has a descriptor that means it, and no other process", .needsPeerProcess)
  func process() throws {
    let pair = try UnixPair()
    guard let process = try pair.ours.peerProcess() else { throw RigError("no process") }
    let text = process.withDescriptor { descriptor in
      let file = unsafe open("/proc/self/fdinfo/\(descriptor.rawValue)", O_RDONLY | O_CLOEXEC)
      defer { close(file) }
      var bytes = [UInt8](repeating: 0, count: 4096)
      let count = unsafe read(file, &bytes, bytes.count)
      return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
    }
    #expect(text.contains("\nPid:\t\(getpid())\n"), "\(text)")
    let flags = process.withDescriptor { fcntl($0.rawValue, F_GETFD) }
    #expect(flags & FD_CLOEXEC != 0)
    process.close()
    pair.abort()
    #expect(try socketError { _ = try pair.ours.peerProcess() }.cause == .closed)
  }
}
