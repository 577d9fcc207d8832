import CPeers
import Glibc

/// Joins two network namespaces by a link with the given `weather`, runs `body`, and removes the link.
///
/// ```swift
/// try withLossyLink(Weather(seed: 7, loss: 0.1, delay: .milliseconds(10))) { link in
///   let listener = try link.right.run { try PlainSocket.listening(on: LossyLink.rightAddress) }
///   let port = listener.port
///   let client = try link.left.run { try PlainSocket.connected(to: LossyLink.rightAddress, port: port) }
/// ```
@discardableResult
public func withLossyLink<R: ~Copyable>(
  _ weather: LinkFaults = LinkFaults(), _ body: (LossyLink) throws -> R
) throws -> R {
  let link = try LossyLink(weather)
  let result: R
  do {
    result = try body(link)
  } catch {
    try? link.stop()
    throw error
  }
  try link.stop()
  return result
}

/// Two network namespaces joined by a link that loses, delays, duplicates and reorders packets on its own thread.
///
/// It replaces netem, which many kernels lack. Left is 10.7.0.1, right is 10.7.0.2.
public final class LossyLink: Sendable {
  public enum Side: String, Sendable { case left, right }

  /// The packets so far, in both directions.
  public struct Counts: Hashable, Sendable {
    public var sent = 0
    public var lost = 0
    public var doubled = 0
    public var delivered = 0
  }

  public static let leftAddress = "10.7.0.1"
  public static let rightAddress = "10.7.0.2"
  public static let link = "tun0"

  public let left: NetworkNamespace
  public let right: NetworkNamespace

  private struct State {
    var weather: LinkFaults
    var isCut = false
    var counts = Counts()
  }

  private final class Wires: Sendable {
    let left, right: TunDevice
    let stop: OwnedDescriptor
    init(_ left: consuming TunDevice, _ right: consuming TunDevice, _ stop: consuming OwnedDescriptor) {
      self.left = left
      self.right = right
      self.stop = stop
    }
  }

  private let wires: Wires
  private let state: Monitor<State>
  private let pump: Monitor<Joining<Bool>?>

  fileprivate init(_ weather: LinkFaults) throws {
    left = try NetworkNamespace()
    right = try NetworkNamespace()
    wires = Wires(
      try TunDevice(Self.link, in: left), try TunDevice(Self.link, in: right),
      try OwnedDescriptor(peers_eventfd(), from: "eventfd"))
    state = Monitor(State(weather: weather))
    pump = Monitor(nil)
    for (namespace, address) in [(left, Self.leftAddress), (right, Self.rightAddress)] {
      try namespace.addAddress(address, prefix: 24, to: Self.link)
      try namespace.linkUp(Self.link)
    }
    let thread = onThread { [wires, state] () -> Bool in
      Self.carry(wires, state)
      return true
    }
    pump.change { $0 = thread }
  }

  fileprivate func stop() throws {
    try wires.stop.write([1, 0, 0, 0, 0, 0, 0, 0])
    _ = try pump.change { $0.take() }?.join()
  }

  public var counts: Counts { state.change { $0.counts } }

  /// Changes the faults for packets from now on; the random sequence continues.
  public func change(_ weather: LinkFaults) { state.change { $0.weather = weather } }

  /// Silently drops every packet, in both directions.
  public func cut() { state.change { $0.isCut = true } }

  public func heal() { state.change { $0.isCut = false } }

  private static func carry(_ wires: Wires, _ state: Monitor<State>) {
    var queue = DueQueue<(to: Side, packet: [UInt8])>()
    // Each direction has its own random numbers, so that its faults do not depend on the other direction's timing.
    let seed = state.change { $0.weather.seed }
    var leftRandom = SeededRandom(seed: seed)
    var rightRandom = SeededRandom(seed: ~seed)
    while true {
      let ready = waitReadable([wires.left.number, wires.right.number, wires.stop.number], until: queue.nextDue)
      if ready[2] { return }
      while let packet = wires.left.read() { take(packet, from: .left, &leftRandom, &queue, state) }
      while let packet = wires.right.read() { take(packet, from: .right, &rightRandom, &queue, state) }
      let now = Deadline.now
      while let (side, packet) = queue.take(at: now) {
        state.change { $0.counts.delivered += 1 }
        switch side {
        case .left: wires.left.write(packet)
        case .right: wires.right.write(packet)
        }
      }
    }
  }

  private static func take(
    _ packet: [UInt8], from side: Side, _ random: inout SeededRandom,
    _ queue: inout DueQueue<(to: Side, packet: [UInt8])>, _ state: Monitor<State>
  ) {
    // IPv6 packets are dropped: neighbour discovery would shift the random decisions from run to run.
    guard packet[0] >> 4 == 4 else { return }
    let weather = state.change { $0.isCut ? nil : $0.weather }
    let arrivals = weather?.arrivals(of: Segment(packet: packet), from: side, &random) ?? []
    state.change {
      $0.counts.sent += 1
      $0.counts.lost += arrivals.isEmpty ? 1 : 0
      $0.counts.doubled += arrivals.count > 1 ? 1 : 0
    }
    let now = Deadline.now
    for time in arrivals { queue.add((side == .left ? .right : .left, packet), due: now + time) }
  }
}
