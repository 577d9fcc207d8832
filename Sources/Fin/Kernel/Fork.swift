internal import Glibc
internal import Synchronization

/// Fork without exec is not supported: a child has one thread, other threads' locks as they stood, and descriptors that it
/// shares with its parent. Rather than hang, or end the parent's connections, the first operation in such a child stops it
/// and says so.
///
/// A process may fork before its first socket, and may fork and exec at any time.
enum Fork {
  static let isChild = Atomic<Bool>(false)

  private static let registration: CInt = pthread_atfork(nil, nil, { Fork.isChild.store(true, ordering: .relaxed) })

  /// The process that made the first socket.
  private static let home = getpid()

  /// With the first socket.
  static func watch() {
    _ = registration
    _ = home
  }

  /// Whether this process is another than the one that made the first socket, whichever call forked it.
  static var hasHappened: Bool { isChild.load(ordering: .relaxed) || getpid() != home }

  /// How often this process, or one before it, was forked since ``count()``: what belongs to the parent is told by it.
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
