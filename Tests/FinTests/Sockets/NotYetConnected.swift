import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("A stream that is not connected yet: only its connect learns how the attempt ends", .onThreads)
struct NotYetConnected {
  /// An operation by another holder while the connect attempt is under way.
  enum Meddling: String, CaseIterable, Sendable {
    case failure, send, gather, receive, readLine, finishSending, plainError, errorOfDuplicate

    /// Whether it reads the kernel's error directly, so that Fin cannot see it.
    var isPastTheLibrary: Bool { self == .plainError || self == .errorOfDuplicate }

    func happens(to shared: SharedConnection) throws {
      func isRefused(_ verb: () throws(SocketError) -> Void) throws {
        #expect(try refusal(verb).cause == .system(.socketNotConnected))
      }
      switch self {
      case .failure: #expect(try shared.failure() == nil)
      case .send: try isRefused { () throws(SocketError) in try shared.send("x", within: .zero) }
      case .gather: try isRefused { () throws(SocketError) in try shared.send(gathering: [[1], [2]], within: .zero) }
      case .receive: try isRefused { () throws(SocketError) in _ = try shared.receive(upTo: 1, within: .zero) }
      case .readLine: try isRefused { () throws(SocketError) in _ = try shared.receiveLine(within: .zero) }
      case .finishSending: try isRefused { () throws(SocketError) in try shared.finishSending() }
      case .plainError: #expect(OtherHolder.takeError(try shared.lent()) == ECONNREFUSED)
      case .errorOfDuplicate:
        let duplicate = dup(try shared.lent())
        #expect(OtherHolder.takeError(duplicate) == ECONNREFUSED)
        close(duplicate)
      }
    }
  }

  /// Runs the operation after the attempt has failed and before the connect attempt has read the result.
  private func meddling(_ meddling: Meddling, _ shared: SharedConnection) -> Script {
    Script(
      .first(
        .connect,
        .after {
          do {
            try eventually("the attempt's end", equals: .closed) { try shared.tcpState() }
            try meddling.happens(to: shared)
          } catch { Issue.record(error) }
        }))
  }

  private func check(_ error: SocketError, _ meddling: Meddling, _ shared: SharedConnection) {
    #expect(error.operation == .connect)
    #expect(error.cause == .system(meddling.isPastTheLibrary ? .connectionAbort : .connectionRefused), "\(error)")
    #expect(shared.phase == .closed)
  }

  private func gone(_ kind: StreamKind) throws -> SocketAddress {
    let listener = try Listener.bind(try kind.freshAddress)
    let address = listener.localAddress
    listener.close()
    return address
  }

  @Test(
    "a refused connect never succeeds, whatever another holder calls meanwhile, in a thread",
    arguments: StreamKind.tcp, Meddling.allCases)
  func inThread(kind: StreamKind, verb: Meddling) throws {
    let address = try gone(kind)
    let shared = try SharedConnection(unconnected: address.family)
    let error = try scripted(meddling(verb, shared)) { () throws in
      try refusal { () throws(SocketError) in try shared.connect(to: address, within: .seconds(10)) }
    }
    check(error, verb, shared)
  }

  @Test(
    "a refused connect never succeeds, whatever another holder calls meanwhile, in a task",
    arguments: Place.allCases, Meddling.allCases)
  func inATask(place: Place, verb: Meddling) throws {
    let address = try gone(.ipv4)
    let shared = try SharedConnection(unconnected: .ipv4)
    let script = meddling(verb, shared)
    let attempt = errand(on: place) {
      try await Seam.$script.withValue(script) { try await shared.connect(to: address, within: .seconds(10)) }
    }
    check(try attempt.refusal(), verb, shared)
  }

  /// A verb that a caller may try before the connection is established.
  enum Early: String, CaseIterable, Sendable {
    case send, some, gather, receive, exactly, readLine, peek, finishSending

    func refused(by shared: SharedConnection) throws -> SocketError {
      try refusal { () throws(SocketError) in
        switch self {
        case .send: try shared.send("early")
        case .some: _ = try unsafe shared.sendSome([1, 2].span.bytes)
        case .gather: try shared.send(gathering: [[1], [2]])
        case .receive: _ = try shared.receive(upTo: 1)
        case .exactly: _ = try shared.receive(exactly: 1)
        case .readLine: _ = try shared.receiveLine()
        case .peek: _ = try shared.peek(upTo: 1)
        case .finishSending: try shared.finishSending()
        }
      }
    }

    func refused(byInATask shared: SharedConnection) async throws -> SocketError {
      do throws(SocketError) {
        switch self {
        case .send: try await shared.send("early")
        case .some: _ = try unsafe await shared.sendSome([1, 2].span.bytes)
        case .gather: try await shared.send(gathering: [[1], [2]])
        case .receive: _ = try await shared.receive(upTo: 1)
        case .exactly: _ = try await shared.receive(exactly: 1)
        case .readLine: _ = try await shared.receiveLine()
        case .peek: _ = try await shared.peek(upTo: 1)
        case .finishSending: try await shared.finishSending()
        }
      } catch { return error }
      throw RigError("\(self) was not refused")
    }
  }

  @Test("a Unix connect that a signal interrupts is called again, and not taken for an established connection")
  func interruptedInAQueue() throws {
    let listener = try Listener.bind(try StreamKind.unix.freshAddress)
    let address = listener.localAddress
    for isInTask in [false, true] {
      let shared = try SharedConnection(unconnected: .unix)
      let script = Script(.first(.connect, .fail(.interrupted)))
      if isInTask {
        try inTask { try await Seam.$script.withValue(script) { try await shared.connect(to: address) } }
      } else {
        try scripted(script) { try shared.connect(to: address) }
      }
      #expect(script.count(.connect) == 2)
      try converse(shared, listener)
    }
    listener.close()
  }

  private static let kinds = StreamKind.all.filter { $0 != .pair }

  private func converse(_ shared: SharedConnection, _ listener: borrowing Listener) throws {
    #expect(try shared.failure() == nil)
    let server = try listener.accept(within: .seconds(10))
    try shared.send("hello")
    #expect(try server.receive(exactly: 5) == Array("hello".utf8))
    try server.send("world")
    #expect(try shared.receive(exactly: 5) == Array("world".utf8))
    server.close(.background)
    let report = shared.close()
    #expect(report.isDelivered, "\(report)")
  }

  @Test(
    "a verb before the connection is refused, without a system call and without a change, in a thread",
    arguments: kinds, Early.allCases)
  func early(kind: StreamKind, verb: Early) throws {
    let listener = try Listener.bind(try kind.freshAddress)
    let shared = try SharedConnection(unconnected: listener.localAddress.family)
    let script = Script()
    let error = try scripted(script) { try verb.refused(by: shared) }
    #expect(error.cause == .system(.socketNotConnected), "\(error)")
    #expect([SystemCall.send, .sendmsg, .recv, .shutdown, .poll].allSatisfy { script.count($0) == 0 })
    try shared.connect(to: listener.localAddress, within: .seconds(10))
    try converse(shared, listener)
    listener.close()
  }

  @Test(
    "a verb before the connection is refused, without a system call and without a change, in a task",
    arguments: kinds, Early.allCases)
  func earlyInATask(kind: StreamKind, verb: Early) throws {
    let listener = try Listener.bind(try kind.freshAddress)
    let address = listener.localAddress
    let shared = try SharedConnection(unconnected: address.family)
    let error = try inTask { try await verb.refused(byInATask: shared) }
    #expect(error.cause == .system(.socketNotConnected), "\(error)")
    try inTask { try await shared.connect(to: address, within: .seconds(10)) }
    try converse(shared, listener)
    listener.close()
  }

  @Test(
    "sending a datagram without a destination is refused, and a later connect works",
    arguments: [AddressFamily.ipv4, .unix])
  func datagrams(family: AddressFamily) throws {
    let home: SocketAddress = family == .unix ? try StreamKind.unix.freshAddress : .loopback(port: 0)
    let server = try DatagramSocket.bind(home)
    let client = try DatagramSocket(family)
    let error = try refusal { () throws(SocketError) in try client.send("early") }
    #expect(error.cause == .system(family == .unix ? .socketNotConnected : .addressRequired))
    try client.connect(to: server.localAddress!)
    try client.send("hello")
    #expect(try server.receive(within: .seconds(10)).bytes == Array("hello".utf8))
    client.close()
    server.close()
  }
}
