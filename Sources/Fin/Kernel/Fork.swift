internal import Glibc
internal import Synchronization

/// The detection of a fork without exec, which is not supported: a child has one thread, other threads' locks in the
/// state they had, and descriptors that it shares with its parent. The first operation in such a child stops the
/// process with a message, because it could otherwise hang or end the parent's connections.
///
/// A process may fork before its first socket, and may fork and exec at any time.
enum Fork {
  static let isChild = Atomic<Bool>(false)

  private static let registration: CInt = pthread_atfork(nil, nil, { Fork.isChild.store(true, ordering: .relaxed) })

  /// The id of the process that made the first socket.
  private static let home = getpid()

  /// Starts the detection. Called with the first socket.
  static func watch() {
    _ = registration
    _ = home
  }

  /// Whether this process is not the one that made the first socket, regardless of the call that forked it.
  static var hasHappened: Bool { isChild.load(ordering: .relaxed) || getpid() != home }

  /// The number of forks since ``count()`` that led to this process. An object that stored a smaller number belongs to
  /// a parent process.
  static let times = Atomic<UInt64>(0)

  private static let counting: CInt = pthread_atfork(nil, nil, { Fork.times.wrappingAdd(1, ordering: .relaxed) })

  static func count() { _ = counting }

  @inline(__always)
  static func check() {
    if isChild.load(ordering: .relaxed) {
      fatalError("Fin: this process was forked without exec, and a socket of its parent was used in it")
    }
  }
}
