/// The claims about the holder of a socket without a descriptor, for L6 and E4.
extension Claim {
  /// A ring has the socket as a registered file.
  private static let keptByRing = Claim(
    "held by a ring", needs: [.rows, .keeper],
    .rare("a process that could not be read may hold it too", unless: .allProcesses))

  /// The kernel has the socket for a network interface, which is known by its port.
  private static let keptForInterface = Claim(
    "held for an interface", needs: [.rows, .keeper],
    .rare("a process that could not be read may hold another socket of that port", unless: .allProcesses))

  /// A message carries the descriptor.
  private static let keptByMessage = Claim(
    "held by a message", needs: [.rows, .keeper],
    .rare("the message may carry other files; the kernel tells only their number"),
    .common("a process that could not be read may hold the socket", unless: .allProcesses))

  /// The kernel has the socket for itself: nothing else is left.
  private static let keptByKernel = Claim(
    "held by the kernel", needs: [.rows, .allProcesses],
    .rare("a thread with a descriptor table of its own looks the same"))

  /// The kernel or a message has the socket: nothing else is left.
  private static let keptByEither = Claim(
    "held by the kernel or a message", needs: [.rows, .allProcesses],
    .rare("a thread with a descriptor table of its own looks the same"),
    .common("a process may have closed it, or received it, between the two readings", unless: .secondCensus))

  /// All of them.
  static let kept = [keptByRing, keptForInterface, keptByMessage, keptByKernel, keptByEither]

  /// The claim that this keeper holds a socket.
  static func kept(by keeper: Keeper) -> Claim {
    switch keeper {
    case .ring: keptByRing
    case .interface: keptForInterface
    case .message: keptByMessage
    case .kernel: keptByKernel
    case .unclear, .unseen: keptByEither
    }
  }
}

extension CensusIndex {
  /// The facts about the holder of sockets without a descriptor.
  /// - Parameters:
  ///   - keeper: The holder.
  ///   - rows: The rows of the sockets, in words.
  ///   - isConnections: Whether all of them are connections, which an earlier census had in the same condition.
  func facts(of keeper: Keeper, _ rows: String, isConnections: Bool) -> [Finding.Reading] {
    let isFound =
      switch keeper {
      case .ring, .interface, .message: true
      case .kernel, .unclear, .unseen: false
      }
    return [
      .read(.rows, rows),
      .read(.keeper, isFound ? census.words(keeper) : nil),
      .holds(.allProcesses, "read", census.gaps.unreadableProcessCount == 0 && !census.gaps.hidesProcesses),
      .holds(.secondCensus, "in the same condition", isConnections && options.passingBefore != nil),
    ]
  }
}
