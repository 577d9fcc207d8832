/// Listeners, their owners, and the clients in their queues, for A1 to A4.
extension CensusIndex {
  /// The listeners in whose queue clients wait.
  var crowdedListeners: [Int] { listeners.filter { sockets[$0].receiveQueue > 0 } }

  /// The listener in words.
  func words(_ listener: InetSocket) -> String {
    "the listener on \(listener.localAddress.with(port: listener.localPort))"
  }

  /// The link by which other findings name this listener.
  func links(to listener: InetSocket) -> Finding.Links {
    var links = Finding.Links()
    links.listeners = [Finding.Endpoint(address: listener.localBits, port: listener.localPort)]
    return links
  }

  func who(ofListener index: Int) -> ProcessOwner {
    let owner = owner(of: sockets[index])
    let descriptors = census.holders[sockets[index].inode].filter { $0.pid == owner.pid }.map(\.descriptor)
    let others = Set(census.holders[sockets[index].inode].map(\.pid)).subtracting([owner.pid])
    return who(owner, descriptors: descriptors.sorted(), others: others.sorted())
  }

  /// A sentence about who accepts on a listener: a thread blocked in accept, an epoll loop, or neither.
  func acceptor(_ index: Int) -> String {
    switch watch(sockets[index], owner(of: sockets[index])) {
    case .unknown: "The epoll sets and threads that may accept could not be read."
    case .unattended:
      "No epoll set has the listener, and no thread waits in accept: the program does something else."
    case .blocked(let thread, let call): "Thread \(thread) is in \(call)."
    case .epoll(let descriptor, _):
      "An epoll set (descriptor \(descriptor)) watches the listener, but its event loop does not get to it."
    }
  }

  /// The listener in whose accept queue a connection waits: the one on its address, or else one on every address.
  func listener(accepting socket: InetSocket) -> Int? {
    guard isServerSide(socket) else { return nil }
    let all = listeners.filter {
      sockets[$0].namespace == socket.namespace && sockets[$0].localPort == socket.localPort
    }
    return all.first { sockets[$0].localBits == socket.localBits && sockets[$0].isIPv6 == socket.isIPv6 }
      ?? all.first { sockets[$0].localAddress.isUnspecified && sockets[$0].isIPv6 == socket.isIPv6 }
      ?? all.first { sockets[$0].localAddress.isUnspecified }
  }
}
