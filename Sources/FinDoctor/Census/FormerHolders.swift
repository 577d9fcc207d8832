extension Census {
  /// Who held a socket that no descriptor holds any more.
  public struct FormerHolder: Hashable, Sendable {
    /// The process and the number, as they were.
    public var holder: Holder
    /// What the process ran; nil if it could not be read.
    public var program: Program?

    /// From both.
    public init(_ holder: Holder, _ program: Program?) {
      self.holder = holder
      self.program = program
    }
  }

  /// Takes from an earlier picture who held the sockets that nobody holds in this one: what finishes after its program has
  /// closed it, and what rests in TIME-WAIT.
  ///
  /// The kernel forgets the holder with the descriptor, and keeps the cookie: it is the same socket, whoever has its ports.
  public mutating func recall(from earlier: Census) {
    var left = NumberSet()
    for socket in sockets where socket.inode == 0 && !socket.isWaitingForAccept { left.insert(socket.identity) }
    for socket in earlier.sockets where socket.inode != 0 && left.contains(socket.identity) {
      guard let holder = earlier.holders.first(of: socket.inode) else { continue }
      formerHolders[socket.identity] = FormerHolder(holder, earlier.programs[holder.pid])
    }
  }

  /// Who held it in the picture that was recalled.
  public func formerHolder(of socket: InetSocket) -> FormerHolder? { formerHolders[socket.identity] }
}
