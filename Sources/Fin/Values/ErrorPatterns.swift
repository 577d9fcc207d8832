public import SystemPackage

extension SocketError {
  /// A pattern for `catch`, which matches the errors with one cause: `catch SocketError.timedOut`.
  ///
  /// A ``Cause`` is no such pattern: in a `do` whose error has another static type, `catch SocketError.Cause.timedOut`
  /// compiles, and matches no ``SocketError``.
  public struct Pattern: Sendable {
    private let matches: @Sendable (Cause) -> Bool

    init(_ matches: @escaping @Sendable (Cause) -> Bool) { self.matches = matches }

    /// Whether the error is a ``SocketError`` with such a cause.
    public static func ~= (pattern: Pattern, error: any Error) -> Bool {
      (error as? SocketError).map { pattern.matches($0.cause) } ?? false
    }
  }

  /// This program's own close, abort or stop: ``Cause/closed``.
  public static var closed: Pattern { Pattern { $0 == .closed } }
  /// The listener is paused: ``Cause/paused``.
  public static var paused: Pattern { Pattern { $0 == .paused } }
  /// The connection was reset: ``Cause/reset``.
  public static var reset: Pattern { Pattern { $0 == .reset } }
  /// The operation's own deadline passed: ``Cause/timedOut``.
  public static var timedOut: Pattern { Pattern { $0 == .timedOut } }
  /// The task was cancelled: ``Cause/cancelled``.
  public static var cancelled: Pattern { Pattern { $0 == .cancelled } }
  /// The reactor was stopped: ``Cause/reactorStopped``.
  public static var reactorStopped: Pattern { Pattern { $0 == .reactorStopped } }
  /// This side had finished sending: ``Cause/finished``.
  public static var finished: Pattern { Pattern { $0 == .finished } }
  /// The peer accepts no more bytes: ``Cause/peerClosed``.
  public static var peerClosed: Pattern { Pattern { $0 == .peerClosed } }
  /// The line is not UTF-8: ``Cause/notText``.
  public static var notText: Pattern { Pattern { $0 == .notText } }
  /// Another receive is in progress: ``Cause/busy``.
  public static var busy: Pattern { Pattern { $0 == .busy } }
  /// Too many operations at once, or too much work for ``BlockingThreads``: ``Cause/tooManyOperations``.
  public static var tooManyOperations: Pattern { Pattern { $0 == .tooManyOperations } }
  /// The kernel gave the connection up, for whatever reason: ``Cause/lost(_:)``.
  public static var lost: Pattern {
    Pattern {
      if case .lost = $0 { true } else { false }
    }
  }
  /// The stream ended before the request was complete: ``Cause/endOfStream(received:)``.
  public static var endOfStream: Pattern {
    Pattern {
      if case .endOfStream = $0 { true } else { false }
    }
  }
  /// More bytes arrived than a limit allows: ``Cause/limit(_:_:)``.
  public static var limit: Pattern {
    Pattern {
      if case .limit = $0 { true } else { false }
    }
  }
  /// The name could not be resolved: ``Cause/unresolved(_:)``.
  public static var unresolved: Pattern {
    Pattern {
      if case .unresolved = $0 { true } else { false }
    }
  }
  /// Another error of the kernel, with this code: `catch SocketError.system(.connectionRefused)`.
  public static func system(_ code: Errno) -> Pattern { Pattern { $0 == .system(code) } }
}
