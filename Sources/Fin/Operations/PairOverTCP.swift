internal import SystemPackage

extension Core {
  /// Makes both ends of a TCP connection over the loopback device. The first is the one that connected.
  static func pairOverTCP(_ timeouts: Timeouts, _ site: Ledger.Site) throws(SocketError) -> (Core, Core) {
    let listener = try listening(
      at: .loopback(port: 0),
      Listening(backlog: 16, reusePort: false, ipv6Only: nil, pathPermissions: 0, timeouts: timeouts, site: site))
    defer { listener.end() }
    guard let address = listener.local else { throw listener.error(.open, .closed) }
    var timeout = LazyDeadline(.seconds(10))
    let client = try connected(to: address, DialOptions(), timeouts, &timeout, site: site)
    do {
      while true {
        let served = try listener.accept(&timeout, site: site)
        if served.peer == client.local { return (client, served) }
        // A program that connects to ports at random.
        _ = served.close(.abort)
      }
    } catch {
      _ = client.close(.abort)
      throw error
    }
  }
}
