import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Promise 8: born safe", .onThreads)
struct BornSafe {
  private static let safe = DescriptorFlags(closesOnExec: true, isNonBlocking: true)

  private func flags(_ end: borrowing some SocketProtocol & ~Copyable) throws -> DescriptorFlags? {
    try end.withDescriptor { KernelView.descriptorFlags($0.rawValue) }
  }

  @Test("a new socket is close-on-exec and non-blocking", .faults(11), arguments: [AddressFamily.ipv4, .ipv6, .unix])
  func socket(family: AddressFamily) throws {
    let socket = try Socket(family)
    #expect(try flags(socket) == Self.safe)
    if family == .ipv4 {
      try socket.bind(to: .loopback(port: 0))
      #expect(try flags(socket) == Self.safe)
    }
    socket.close()
  }

  @Test(
    "a listener, a connecting and an accepted connection are close-on-exec and non-blocking", .faults(11),
    arguments: StreamKind.all.filter { $0 != .pair })
  func acceptedAndConnected(kind: StreamKind) throws {
    let listener = try Listener.bind(try kind.freshAddress)
    let client = try Connection.connect(to: listener.localAddress)
    let server = try listener.accept(within: .seconds(10))
    #expect(try flags(listener) == Self.safe)
    #expect(try flags(client) == Self.safe)
    #expect(try flags(server) == Self.safe)
    client.abort()
    server.abort()
    listener.close()
  }

  @Test("a listener made of a bound socket is close-on-exec and non-blocking", .faults(11))
  func twoSteps() throws {
    let socket = try Socket(.ipv4)
    try socket.bind(to: .loopback(port: 0))
    let listener = try socket.listen()
    #expect(try flags(listener) == Self.safe)
    listener.close()
  }

  @Test("both ends of a pair, and a duplicate, are close-on-exec and non-blocking", .faults(11))
  func pairAndDuplicate() throws {
    let pair = try Connection.pair()
    let duplicate = try pair.first.duplicate()
    #expect(try flags(pair.first) == Self.safe)
    #expect(try flags(pair.second) == Self.safe)
    #expect(try flags(duplicate) == Self.safe)
    duplicate.close()
    pair.first.abort()
    pair.second.abort()
  }

  @Test("an adopted descriptor becomes close-on-exec and non-blocking", .faults(11))
  func adopted() throws {
    let (ours, theirs) = try rawPair()
    #expect(KernelView.descriptorFlags(ours) == DescriptorFlags(closesOnExec: false, isNonBlocking: false))
    let connection = try Connection.adopt(FileDescriptor(rawValue: ours))
    #expect(try flags(connection) == Self.safe)
    connection.abort()
    _ = close(theirs)
  }

  @Test("the descriptors of wakers and pollers are close-on-exec", .faults(11))
  func wakers() throws {
    let waker = try Waker()
    #expect(KernelView.descriptorFlags(waker.descriptor) == Self.safe)
    let poller = try Syscalls.makePoller()
    #expect(KernelView.descriptorFlags(poller)?.closesOnExec == true)
    Syscalls.close(poller)
  }

  @Test("a detached descriptor is still close-on-exec and non-blocking", .faults(11))
  func detached() throws {
    let pair = try Connection.pair()
    let given = try pair.first.detach()
    #expect(KernelView.descriptorFlags(given.descriptor.rawValue) == Self.safe)
    try given.descriptor.close()
    pair.second.abort()
  }

  @Test("a program that is started inherits no descriptor", .faults(11), .needsProgram("ls"))
  func exec() async {
    await #expect(processExitsWith: .success) { try BornSafe.startAProgram() }
  }

  private static func startAProgram() throws {
    let ls = try #require(Programs.find("ls"))
    func inherited() throws -> Int {
      let child = try Child.spawn(ls, ["-l", "/proc/self/fd"], heirloom: .whatExecLeaves)
      let lines = try child.readToEnd().split(separator: "\n")
      _ = try child.wait()
      return lines.count { $0.contains("socket:[") || $0.contains("anon_inode:") }
    }
    // Descriptors that the test runner passes on are not counted.
    let before = try inherited()

    let listener = try Listener.bind(.loopback(port: 0))
    let client = try Connection.connect(to: listener.localAddress)
    let server = try listener.accept(within: .seconds(10))
    let path = try Listener.bind(try StreamKind.unix.freshAddress)
    let pair = try Connection.pair()
    let duplicate = try pair.first.duplicate()
    let (number, other) = try rawPair()
    let adopted = try Connection.adopt(FileDescriptor(rawValue: number))
    close(other)
    let fresh = try Socket(.ipv6)
    let waker = try Waker()
    _ = EdgeWatch.pool.reserve()
    let open = try KernelView.openDescriptors().count { $0.target.hasPrefix("socket:[") }
    #expect(open >= 9)

    #expect(try inherited() == before)

    // The control: without close-on-exec, the child inherits the descriptor.
    _ = fcntl(number, F_SETFD, 0)
    #expect(try inherited() == before + 1)
    _ = waker.descriptor
    fresh.close()
    adopted.abort()
    duplicate.close()
    pair.first.abort()
    pair.second.abort()
    path.close()
    server.abort()
    client.abort()
    listener.close()
  }

  @Test("writing to a dead peer raises no SIGPIPE, whatever the verb", .faults(57))
  func noSIGPIPE() async {
    await #expect(processExitsWith: .success) { try BornSafe.writeToTheDead() }
  }

  @Test("the control: the same write with write(2) ends the process", .faults(57))
  func controlSIGPIPE() async {
    await #expect(processExitsWith: .signal(SIGPIPE)) {
      signal(SIGPIPE, SIG_DFL)
      try BornSafe.writeWithoutUs()
    }
  }

  private static func writeWithoutUs() throws {
    let pair = try Connection.pair()
    pair.second.abort()
    try pair.first.withDescriptor { descriptor in
      _ = unsafe write(descriptor.rawValue, "x", 1)
    }
    pair.first.abort()
  }

  private static func writeToTheDead() throws {
    signal(SIGPIPE, SIG_DFL)
    for kind in StreamKind.all {
      for verb in 0..<4 {
        let pair = try kind.connected()
        pair.second.abort()
        try writeToTheDead(pair.first, verb, kind)
      }
    }
    // On a stream that was never connected, `send` fails with EPIPE.
    let fresh = try Socket(.ipv4)
    let code = try fresh.withDescriptor { descriptor -> Errno? in
      do {
        let byte: [UInt8] = [1]
        _ = try unsafe byte.withUnsafeBytes { unsafe try Syscalls.send(descriptor.rawValue, $0) }
      } catch { return error as? Errno }
      return nil
    }
    #expect(code == .brokenPipe)
    fresh.close()
  }

  private static func writeToTheDead(_ connection: consuming Connection, _ verb: Int, _ kind: StreamKind) throws {
    let three: [UInt8] = [1, 2, 3]
    let error = try refusal { () throws(SocketError) in
      // The first send may still be accepted: the reset has to arrive first.
      for _ in 0..<1_000_000 {
        switch verb {
        case 0: try connection.send(three)
        case 1: try connection.send("text")
        case 2: try connection.send(gathering: [[1], [2], [3]])
        default: _ = try unsafe connection.sendSome(three.span.bytes)
        }
      }
    }
    #expect([.reset, .peerClosed].contains(error.cause), "\(kind.rawValue): \(error)")
    connection.abort()
  }

  /// A pair without flags, as a naive program creates it.
  private static func rawPair() throws -> (CInt, CInt) {
    var numbers: [CInt] = [-1, -1]
    guard unsafe socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0, &numbers) == 0 else { throw RigError("socketpair") }
    return (numbers[0], numbers[1])
  }

  private func rawPair() throws -> (CInt, CInt) { try Self.rawPair() }
}
