extension Census {
  /// The former holder of a socket that no descriptor holds any more.
  package struct FormerHolder: Hashable, Sendable {
    /// The process and the descriptor, as they were.
    package var holder: Holder
    /// The program of the process; nil if it could not be read.
    package var program: Program?

    /// A former holder and its program.
    package init(_ holder: Holder, _ program: Program?) {
      self.holder = holder
      self.program = program
    }
  }

  /// Takes the holders of sockets that no descriptor holds now from an earlier census: connections that finish after
  /// their program has closed them, and those in TIME-WAIT.
  ///
  /// The kernel forgets the holder with the descriptor, and keeps the cookie. An equal cookie means the same socket,
  /// even if another one has its ports.
  package mutating func recall(from earlier: Census) {
    var left = NumberSet()
    for socket in sockets where socket.inode == 0 && !socket.isWaitingForAccept { left.insert(socket.identity) }
    for socket in earlier.sockets where socket.inode != 0 && left.contains(socket.identity) {
      guard let holder = earlier.holders.first(of: socket.inode) else { continue }
      formerHolders[socket.identity] = FormerHolder(holder, earlier.programs[holder.pid])
    }
  }

  /// The holder of this socket in the census that was given to ``recall(from:)``.
  package func formerHolder(of socket: InetSocket) -> FormerHolder? { formerHolders[socket.identity] }
}
