import CPeers
import Glibc

/// Makes a hand-made TCP peer, runs `body`, and removes the peer.
///
/// ```swift
/// try withRawPeer(.acknowledgesAllButLastByte) { peer in
///   let socket = try peer.connectedSocket()
///   …
///   #expect(peer.log.count(.fin) == 1, "\(peer.log)")
/// }
/// ```
@discardableResult
public func withRawPeer<R: ~Copyable>(
  _ behaviour: Behaviour = .good, _ body: (RawPeer) throws -> R
) throws -> R {
  let peer = try RawPeer(behaviour)
  let result: R
  do {
    result = try body(peer)
  } catch {
    try? peer.stop()
    throw error
  }
  try peer.stop()
  return result
}

/// A hand-made TCP peer on the other side of a TUN device in its own network namespace.
///
/// The kernel is 10.8.0.1, the peer 10.8.0.2. Every port of the peer accepts, and `connect(toPort:)` reaches listeners
/// of the kernel. Make sockets inside `namespace.run`. The kernel does not answer for 10.8.0.2, so the peer can break
/// every rule of TCP. All segments, sent and received, are in the `log`.
public final class RawPeer: Sendable {
  public static let kernelAddress = "10.8.0.1"
  public static let peerAddress = "10.8.0.2"
  public static let link = "tun0"

  public let namespace: NetworkNamespace

  private struct Key: Hashable { let kernelPort, peerPort: UInt16 }

  private struct State {
    var behaviour: Behaviour
    var conversations: [Key: Conversation] = [:]
    var latest: Key?
    var nextPort: UInt16 = 40000
    var log = SegmentLog()
  }

  /// The TUN device, used by the pump thread and by tests; written only under the state's lock, so that segments keep
  /// their order.
  private final class Wire: Sendable {
    let tun: TunDevice
    let stop: OwnedDescriptor
    init(_ tun: consuming TunDevice, _ stop: consuming OwnedDescriptor) {
      self.tun = tun
      self.stop = stop
    }
  }

  private let wire: Wire
  private let state: Monitor<State>
  private let start = Deadline.now
  private let pump: Monitor<Joining<Bool>?>

  fileprivate init(_ behaviour: Behaviour) throws {
    namespace = try NetworkNamespace()
    wire = Wire(try TunDevice(Self.link, in: namespace), try OwnedDescriptor(peers_eventfd(), from: "eventfd"))
    state = Monitor(State(behaviour: behaviour))
    pump = Monitor(nil)
    try namespace.addAddress(Self.kernelAddress, prefix: 24, to: Self.link)
    try namespace.linkUp(Self.link)
    let thread = onThread { [wire, state, start] () -> Bool in
      while !waitReadable([wire.tun.number, wire.stop.number], until: nil)[1] {
        while let packet = wire.tun.read() {
          guard let segment = Segment(packet: packet) else { continue }
          state.change { Self.handle(segment, &$0, wire, start) }
        }
      }
      return true
    }
    pump.change { $0 = thread }
  }

  /// Stops the pump thread. The device and the namespace are removed with the last reference.
  fileprivate func stop() throws {
    try wire.stop.write([1, 0, 0, 0, 0, 0, 0, 0])
    _ = try pump.change { $0.take() }?.join()
  }
}

/// Operations for tests.
extension RawPeer {
  /// The segments so far, in both directions.
  public var log: SegmentLog { state.change { $0.log } }

  /// Changes the behaviour from the next segment on, also for open connections.
  public func behave(_ behaviour: Behaviour) {
    state.change { $0.behaviour = behaviour }
  }

  /// Answers nothing from now on.
  public func vanish() { behave(.vanishes()) }

  /// Runs `body` with the latest connection, or the one with this port of the kernel, and sends the queued segments.
  ///
  /// - Throws: `RigError` when there is no such connection.
  @discardableResult
  public func converse<R>(kernelPort: UInt16? = nil, _ body: (inout Conversation) -> R) throws(RigError) -> R {
    try state.change { state throws(RigError) in
      let port = kernelPort ?? state.latest?.kernelPort
      let keys = state.conversations.keys.filter { $0.kernelPort == port }
      // Several conversations may share a listener's port; prefer the latest connection if it is among them.
      guard let key = keys.first(where: { $0 == state.latest }) ?? keys.first else {
        throw RigError("the peer has no connection\(port.map { " with the kernel's port \($0)" } ?? "")")
      }
      let result = body(&state.conversations[key]!)
      Self.flush(key, &state, wire, start)
      return result
    }
  }

  public func send(_ bytes: [UInt8]) throws(RigError) { try converse { $0.send(bytes) } }
  public func finish() throws(RigError) { try converse { $0.finish() } }
  public func reset() throws(RigError) { try converse { $0.reset() } }

  /// The kernel's bytes that the latest connection took.
  public var received: [UInt8] { (try? converse { $0.received }) ?? [] }

  /// Connects to a listener of the kernel from a fresh port of the peer.
  ///
  /// - Throws: `RigError` when the kernel refuses; `TimedOut`.
  public func connect(toPort kernelPort: UInt16, within limit: Duration = .seconds(5)) throws {
    let key = state.change { open(toPort: kernelPort, &$0) }
    let isOpen = state.wait(until: .after(limit)) { state -> Bool? in
      guard let conversation = state.conversations[key] else { return false }
      return conversation.isOpen ? true : conversation.isReset ? false : nil
    }
    guard let isOpen else { throw TimedOut("the kernel's answer to the peer's SYN", after: limit) }
    guard isOpen else { throw RigError("the kernel refused the peer's connection to port \(kernelPort)") }
  }

  /// Sends SYNs from many ports and never answers the kernel's SYN+ACKs.
  public func flood(port: UInt16, count: Int) {
    state.change { state in
      state.behaviour = .neverAcknowledges
      for index in 0..<count {
        let key = Key(kernelPort: port, peerPort: 20000 + UInt16(index))
        // Not stored, so that the SYN+ACK gets no answer.
        var conversation = Conversation(kernelPort: port, peerPort: key.peerPort, expected: 0, window: 65535)
        conversation.send(.syn, acknowledgement: 0)
        Self.put(conversation.outgoing, &state, wire, start)
      }
    }
  }

  /// Waits until the log meets a condition, which is checked after every segment.
  public func awaitLog(
    within limit: Duration = .seconds(5), _ awaited: String, _ condition: (SegmentLog) -> Bool
  ) throws(TimedOut) {
    let found: Bool? = state.wait(until: .after(limit)) { condition($0.log) ? true : nil }
    if found == nil { throw TimedOut("\(awaited); the log is:\n\(log)", after: limit) }
  }

  /// Connects a plain socket of the kernel to the peer.
  public func connectedSocket(port: UInt16 = 7) throws -> PlainSocket {
    try namespace.run { try PlainSocket.connected(to: Self.peerAddress, port: port) }
  }

  private func open(toPort kernelPort: UInt16, _ state: inout State) -> Key {
    let key = Key(kernelPort: kernelPort, peerPort: state.nextPort)
    state.nextPort += 1
    var conversation = Conversation(
      kernelPort: kernelPort, peerPort: key.peerPort, expected: 0, window: state.behaviour.window)
    conversation.send(.syn)
    state.conversations[key] = conversation
    state.latest = key
    Self.flush(key, &state, wire, start)
    return key
  }
}

/// Handling of the kernel's segments.
extension RawPeer {
  private static func handle(_ segment: Segment, _ state: inout State, _ wire: Wire, _ start: Deadline) {
    state.log.add(segment, from: .kernel, at: .now - start)
    let key = Key(kernelPort: segment.sourcePort, peerPort: segment.destinationPort)
    if segment.flags.contains(.rst) {
      state.conversations[key]?.isReset = true
    } else if segment.flags.contains(.syn), !segment.flags.contains(.ack) {
      answerSYN(segment, key, &state, wire, start)
    } else if state.conversations[key] != nil {
      answer(segment, in: &state.conversations[key]!, state.behaviour)
    }
    flush(key, &state, wire, start)
  }

  private static func answerSYN(
    _ segment: Segment, _ key: Key, _ state: inout State, _ wire: Wire, _ start: Deadline
  ) {
    var conversation = Conversation(
      kernelPort: key.kernelPort, peerPort: key.peerPort, expected: segment.sequence &+ 1,
      window: state.behaviour.window)
    switch state.behaviour.answerToSYN {
    case .accept:
      conversation.send([.syn, .ack])
      state.conversations[key] = conversation
      state.latest = key
    case .reset:
      conversation.send([.rst, .ack], sequence: 0)
      put(conversation.outgoing, &state, wire, start)
    case .silence: break
    }
  }

  private static func answer(_ segment: Segment, in conversation: inout Conversation, _ behaviour: Behaviour) {
    if segment.flags.contains(.syn) {
      conversation.begin(at: segment.sequence)
      conversation.acknowledge()
    }
    if !conversation.isOpen {
      conversation.isOpen = true
      behaviour.opened(&conversation)
    }
    if !segment.flags.contains(.syn) {
      conversation.note(segment)
      behaviour.answer(&conversation, segment)
    }
  }

  /// Sends the segments that a conversation has queued.
  private static func flush(_ key: Key, _ state: inout State, _ wire: Wire, _ start: Deadline) {
    guard let outgoing = state.conversations[key]?.outgoing, !outgoing.isEmpty else { return }
    state.conversations[key]?.outgoing = []
    put(outgoing, &state, wire, start)
  }

  private static func put(_ segments: [Segment], _ state: inout State, _ wire: Wire, _ start: Deadline) {
    for segment in segments {
      // Logged first: the kernel may answer before `write` returns.
      state.log.add(segment, from: .peer, at: .now - start)
      wire.tun.write(segment.packet(from: [10, 8, 0, 2], to: [10, 8, 0, 1]))
    }
  }
}
