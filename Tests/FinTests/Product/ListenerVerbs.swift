import Glibc
import Peers
import SystemPackage

@_spi(Fin) @testable import Fin

/// A verb of a listener, tried once, with or without a client in the queue.
struct ListenerVerb {
  let name: String

  func outcome(_ family: ProductFamily, _ phase: Phase, _ world: ServingWorld) throws -> String {
    let owner = Keeper(try listener(family))
    let address = owner.listener.localAddress
    let isVisited = name == "accept, a client queued" || name == "close, a client queued"
    let client = isVisited ? try family.plainConnection(to: address) : nil
    if let client, family != .unix {
      // The client is in the accept queue once the last segment of its TCP handshake has arrived.
      try eventually("a queued client") {
        try TCPInfo.read(owner.listener.reference.core.number(.blocking)).segmentsUnacknowledged == 1
      }
      _ = client.descriptor
    }
    switch phase {
    case .listening: break
    case .paused: try owner.listener.pause(resettingQueue: true)
    case .stopping: owner.listener.stop()
    case .closed: owner.listener.reference.core.end()
    default: throw RigError("a listener is never \(phase)")
    }
    let name = name
    let word: String
    switch world {
    case .threads: word = try onThread { inThread(name, owner) }.join(within: .seconds(30))
    case .tasks:
      word = try Working(on: Reactor.shared.executor) { await inTask(name, owner) }.join(within: .seconds(30))
    }
    owner.listener.reference.core.end()
    return word
  }

  private func listener(_ family: ProductFamily) throws -> Listener {
    guard family == .mptcp else { return try Listener.bind(family.freshAddress) }
    return try Listener.adopt(FileDescriptor(rawValue: try family.plainListener().detach()))
  }
}

private func inThread(_ name: String, _ owner: Keeper) -> String {
  do throws(SocketError) {
    switch name {
    case "accept": try owner.listener.accept(within: .milliseconds(20)).abort()
    case "accept, a client queued": try owner.listener.accept(within: .seconds(20)).abort()
    default: return try withoutWaiting(name, owner)
    }
  } catch { return error.cause.word }
  return "works"
}

private func inTask(_ name: String, _ owner: Keeper) async -> String {
  do throws(SocketError) {
    switch name {
    case "accept": try await owner.listener.accept(within: .milliseconds(20)).abort()
    case "accept, a client queued": try await owner.listener.accept(within: .seconds(20)).abort()
    default: return try withoutWaiting(name, owner)
    }
  } catch { return error.cause.word }
  return "works"
}

private func withoutWaiting(_ name: String, _ owner: Keeper) throws(SocketError) -> String {
  let core = owner.listener.reference.core
  let handle = owner.listener.handle
  switch name {
  case "pause": try handle.pause(resettingQueue: true)
  case "resume": try handle.resume()
  case "stop": handle.stop()
  case "localAddress": return owner.listener.localAddress == nil ? "nil" : "works"
  case "option": _ = try owner.listener.option(.receiveBuffer)
  case "detach": Glibc.close(try Listener(core: core, backlog: 1, timeouts: .default).detach().rawValue)
  case "close, a client queued":
    return "\(Listener(core: core, backlog: 1, timeouts: .default).close().clientsReset) reset"
  default: return "no such verb"
  }
  return "works"
}
