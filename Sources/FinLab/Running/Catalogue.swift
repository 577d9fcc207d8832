import FinTerminal

/// Every experiment, in the order in which a reader would raise the questions.
package enum Catalogue {
  package static let all = onPlainConnections + onSecuredConnections

  private static let onPlainConnections: [Experiment] = [
    Closing.twoStep, Delivery.flush, Delivery.confirmed, States.timeWait, Ports.reuseAddress, Ports.portExhaustion,
    Handles.references, Handles.useAfterClose, Handles.closeTwice, Delivery.closeError, Resets.shutdownError,
    Closing.scope, Threads.lock, Threads.blockedAccept, Handles.descriptorReuse, States.states, Attempts.failedConnect,
    Waiting.idle, Waiting.acceptTimeout, Serving.limits, Closing.timeouts, Resets.reset, Leaks.leak,
    Waiting.unreadWindow, Waiting.peerSendTimeout, Resets.bypass, Handles.dupFile,
  ]

  #if TLS
  private static let onSecuredConnections = [Secured.truncation, Secured.tickets]
  #else
  private static let onSecuredConnections: [Experiment] = []
  #endif

  package static func experiment(_ id: String) -> Experiment? { all.first { $0.id == id } }

  /// The three ids nearest to a misspelt one.
  package static func nearest(to typed: String) -> [String] { NearestWords.nearest(to: typed, among: all.map(\.id)) }
}
