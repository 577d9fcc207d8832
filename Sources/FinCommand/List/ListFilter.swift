import ArgumentParser
import FinDoctor

/// The criteria for the sockets to show. An empty criterion matches every socket.
struct ListFilter {
  var states: [StateName] = []
  var programs: [ProgramName] = []
  var addresses: [AddressRange] = []
  var ports: [UInt16] = []
  /// The namespaces, as indices in the census; nil for all. A detached socket is in none.
  var namespaces: Set<Int>?

  var isEmpty: Bool { states.isEmpty && programs.isEmpty && addresses.isEmpty && ports.isEmpty && namespaces == nil }

  func allows(_ row: ListedSocket, in listing: Listing) -> Bool {
    if let namespaces, listing.namespace(row).map(namespaces.contains) != true { return false }
    if !states.isEmpty, !states.contains(where: { $0.matches(row, listing) }) { return false }
    if !programs.isEmpty {
      let holders = listing.census.holders[listing.inode(row)]
      let isNamed = holders.contains { holder in
        programs.contains { $0.matches(holder.pid, listing.census.programs[holder.pid]) }
      }
      let wasNamed = listing.formerHolder(row).map { former in
        programs.contains { $0.matches(former.holder.pid, former.program) }
      }
      if !isNamed, wasNamed != true { return false }
    }
    if addresses.isEmpty, ports.isEmpty { return true }
    guard case .inet(let index) = row else { return false }
    let socket = listing.census.sockets[index]
    if !ports.isEmpty, !ports.contains(socket.localPort), socket.remotePort == 0 || !ports.contains(socket.remotePort) {
      return false
    }
    return addresses.isEmpty
      || addresses.contains { range in
        range.contains(socket.localAddress, in: listing.census.namespace(of: socket))
          || range.contains(socket.remoteAddress, in: listing.census.namespace(of: socket))
      }
  }
}

/// A state, or a word for several states.
struct StateName: Sendable {
  private enum Meaning {
    case state(SocketState)
    case connected, detached, waiting, peerGone
  }

  private let meaning: Meaning

  /// Every state, and every word for several.
  static var all: [String] {
    let names = SocketState.named.map { $0.description.lowercased() }
    return names.enumerated().filter { names.firstIndex(of: $1) == $0 }.map(\.1)
      + ["connected", "waiting", "detached", "peer-gone"]
  }

  static let words = "connected, waiting (for accept), detached, peer-gone"

  /// Accepts `CLOSE-WAIT`, `close_wait`, `closewait`, and the spellings of `ss`: `estab`, `syn-recv`, `unconn`.
  /// - Throws: `ValidationError` with the nearest word and all of them.
  init(parsing argument: String) throws {
    let word = argument.lowercased().filter { $0 != "-" && $0 != "_" }
    let others = ["estab": "established", "synrecv": "synreceived", "unconn": "unconnected", "listening": "listen"]
    switch word {
    case "connected": meaning = .connected
    case "detached": meaning = .detached
    case "waiting": meaning = .waiting
    case "peergone": meaning = .peerGone
    default:
      let name = others[word] ?? word
      let state = SocketState.named.first { $0.description.lowercased().filter { $0 != "-" } == name }
      guard let state else { throw unknownWord(argument, among: Self.all, "state") }
      meaning = .state(state)
    }
  }

  func matches(_ row: ListedSocket, _ listing: Listing) -> Bool {
    switch (meaning, row) {
    case (.state(let state), .inet(let index)):
      let actual = listing.census.sockets[index].state
      return actual == state || state == .synReceived && actual == .newSynReceived
    case (.state(let state), .unix(let index)): return listing.census.unixSockets[index].state == state
    case (.connected, .inet(let index)):
      let state = listing.census.sockets[index].state
      return state != .listen && state != .closed && state != .bound
    case (.connected, .unix(let index)): return listing.census.unixSockets[index].state == .established
    case (.detached, .detached(let index)): return listing.census.detached[index].transport != .udp
    case (.waiting, .inet(let index)): return listing.census.sockets[index].isWaitingForAccept
    case (.peerGone, .unix(let index)): return listing.census.unixSockets[index].hasLostItsPeer
    case (.state, .detached), (.connected, .detached), (.state, .other), (.connected, .other): return false
    case (.detached, _), (.waiting, _), (.peerGone, _): return false
    }
  }
}
