import Glibc
import Peers
import SystemPackage

@_spi(Fin) @testable import Fin

/// A verb of a datagram socket, tried once.
struct DatagramVerb {
  let name: String

  enum State: String { case fresh, bound, connected, closed }

  func outcome(_ family: ProductFamily, _ state: State, _ world: ServingWorld) throws -> String {
    let other = try DatagramSocket.bind(family.freshAddress)
    let target = other.localAddress!
    let socket =
      state == .fresh || name == "adopt"
      ? try DatagramSocket(family.family) : try DatagramSocket.bind(family.freshAddress)
    if state == .connected { try socket.connect(to: target) }
    let ours = socket.share()
    if name == "receive, one queued", let address = ours.localAddress { try other.send("x", to: address) }
    if state == .closed { ours.close() }
    let name = name
    let fresh = family.freshAddress
    let word: String
    switch world {
    case .threads: word = try onThread { inThread(name, ours, target, fresh) }.join(within: .seconds(30))
    case .tasks:
      word = try Working(on: Reactor.shared.executor) { await inTask(name, ours, target, fresh) }.join(
        within: .seconds(30))
    }
    ours.close()
    other.close()
    return word
  }
}

private func inThread(
  _ name: String, _ ours: SharedDatagramSocket, _ target: SocketAddress, _ fresh: SocketAddress
) -> String {
  do throws(SocketError) {
    switch name {
    case "send": try ours.send("x", within: .seconds(20))
    case "send(to:)": try ours.send("x", to: target, within: .seconds(20))
    case "receive": _ = try ours.receive(within: .milliseconds(20))
    case "receive, one queued": _ = try ours.receive(within: .seconds(20))
    case "send(batch:)": try ours.send(batch: [OutgoingDatagram([1], to: target)], within: .seconds(20))
    case "send(from:)": try ours.send([1], to: target, from: target.ip ?? .v4(.loopback), within: .seconds(20))
    case "receive(batch:)": _ = try ours.receive(batch: 2, upTo: 10, within: .milliseconds(20))
    case "receiveArrival": _ = try ours.receiveArrival(within: .milliseconds(20))
    default: return try withoutWaiting(name, ours, target, fresh)
    }
  } catch { return error.cause.word }
  return "works"
}

private func inTask(
  _ name: String, _ ours: SharedDatagramSocket, _ target: SocketAddress, _ fresh: SocketAddress
) async -> String {
  do throws(SocketError) {
    switch name {
    case "send": try await ours.send("x", within: .seconds(20))
    case "send(to:)": try await ours.send("x", to: target, within: .seconds(20))
    case "receive": _ = try await ours.receive(within: .milliseconds(20))
    case "receive, one queued": _ = try await ours.receive(within: .seconds(20))
    case "send(batch:)": try await ours.send(batch: [OutgoingDatagram([1], to: target)], within: .seconds(20))
    case "send(from:)": try await ours.send([1], to: target, from: target.ip ?? .v4(.loopback), within: .seconds(20))
    case "receive(batch:)": _ = try await ours.receive(batch: 2, upTo: 10, within: .milliseconds(20))
    case "receiveArrival": _ = try await ours.receiveArrival(within: .milliseconds(20))
    default: return try withoutWaiting(name, ours, target, fresh)
    }
  } catch { return error.cause.word }
  return "works"
}

private func withoutWaiting(
  _ name: String, _ ours: SharedDatagramSocket, _ target: SocketAddress, _ fresh: SocketAddress
) throws(SocketError) -> String {
  let core = ours.reference.core
  switch name {
  case "bind": try DatagramSocket(core: core, timeouts: .default).bind(to: fresh)
  case "connect": try ours.connect(to: target)
  case "report": try ours.report(.destination)
  case "takeReport": return try ours.takeReport() == nil ? "nil" : "works"
  case "join, leave":
    // The group is one of the loopback alone, so that no other machine hears of it.
    let group: IPAddress = target.family == .ipv6 ? IPAddress("ff01::7:7")! : IPAddress("239.7.7.7")!
    let loopback = try NetworkInterface.named("lo")
    try ours.join(group, on: loopback)
    try ours.leave(group, on: loopback)
  case "localAddress": return ours.localAddress == nil ? "nil" : "works"
  case "remoteAddress": return ours.remoteAddress == nil ? "nil" : "works"
  case "option": _ = try ours.option(.receiveBuffer)
  case "cookie": _ = try ours.cookie()
  case "withDescriptor": try ours.withDescriptor { _ in }
  case "detach": Glibc.close(DatagramSocket(core: core, timeouts: .default).detach().rawValue)
  default: return "no such verb"
  }
  return "works"
}
