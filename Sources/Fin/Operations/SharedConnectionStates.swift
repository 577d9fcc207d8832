internal import Synchronization
internal import SystemPackage

/// The terminal states of connections that have several descriptors of Fin's, by the kernel's identifier of the
/// connection (`SO_COOKIE`). A descriptor that was given away and is adopted again gets the terminal state that its
/// duplicates share.
///
/// Only connections that were duplicated by ``Connection/duplicate(file:line:)`` are listed here. A descriptor that the
/// program made with `dup(2)` is another holder's to Fin, as one in another process would be.
enum SharedConnectionStates {
  private struct Entry {
    weak var connectionState: ConnectionState?
    /// The number of descriptors that were given away and still count among the owners of the terminal state.
    var away = 0
  }

  private struct Book {
    var entries: [UInt64: Entry] = [:]
    /// The number of entries at which the entries of ended connections are removed.
    var sweep = 64
  }

  private static let book = Mutex(Book())

  /// Keeps the terminal state of a connection that gets a second descriptor.
  static func keep(_ connectionState: ConnectionState, of number: CInt) {
    guard let cookie = try? Syscalls.cookie(number) else { return }
    book.withLock { book in
      if book.entries[cookie]?.connectionState === connectionState { return }
      if book.entries.count >= book.sweep {
        book.entries = book.entries.filter { $0.value.connectionState != nil }
        book.sweep = max(64, book.entries.count * 2)
      }
      book.entries[cookie] = Entry(connectionState: connectionState)
    }
  }

  /// Records that a descriptor of a duplicated connection is given away. It stays among the owners, so that no
  /// duplicate takes itself for the last one.
  static func leave(_ number: CInt) {
    if book.withLock({ $0.entries.isEmpty }) { return }
    guard let cookie = try? Syscalls.cookie(number) else { return }
    book.withLock { $0.entries[cookie]?.away += 1 }
  }

  /// Returns the existing terminal state of a descriptor's connection, and counts the descriptor among its owners;
  /// `nil` when there is none.
  static func join(_ number: CInt) -> ConnectionState? {
    if book.withLock({ $0.entries.isEmpty }) { return nil }
    guard let cookie = try? Syscalls.cookie(number) else { return nil }
    let found: (connectionState: ConnectionState, isBack: Bool)? = book.withLock { book in
      guard let connectionState = book.entries[cookie]?.connectionState else { return nil }
      let isBack = book.entries[cookie]!.away > 0
      if isBack { book.entries[cookie]!.away -= 1 }
      return (connectionState, isBack)
    }
    guard let found else { return nil }
    if !found.isBack { found.connectionState.update { $0.owners += 1 } }
    return found.connectionState
  }
}
