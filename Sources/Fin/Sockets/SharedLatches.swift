internal import Synchronization
internal import SystemPackage

/// The latches of connections that have several descriptors of ours, by the kernel's own name of the connection
/// (`SO_COOKIE`): a descriptor that was given away and is adopted again finds the latch that its duplicates have.
///
/// Only connections that were duplicated by ``Connection/duplicate(file:line:)`` are here. A number that the program made
/// with `dup(2)` is another holder's to Fin, as one in another process would be.
enum SharedLatches {
  private struct Entry {
    weak var latch: Latch?
    /// Descriptors given away, and still counted among the latch's owners.
    var away = 0
  }

  private struct Book {
    var entries: [UInt64: Entry] = [:]
    /// With so many entries those whose connections are gone are taken out.
    var sweep = 64
  }

  private static let book = Mutex(Book())

  /// Keeps the latch of a connection that gets a second descriptor.
  static func keep(_ latch: Latch, of number: CInt) {
    guard let cookie = try? Syscalls.cookie(number) else { return }
    book.withLock { book in
      if book.entries[cookie]?.latch === latch { return }
      if book.entries.count >= book.sweep {
        book.entries = book.entries.filter { $0.value.latch != nil }
        book.sweep = max(64, book.entries.count * 2)
      }
      book.entries[cookie] = Entry(latch: latch)
    }
  }

  /// A descriptor of a duplicated connection is given away. It stays among the owners, so that no duplicate counts itself the
  /// last.
  static func leave(_ number: CInt) {
    guard let cookie = try? Syscalls.cookie(number) else { return }
    book.withLock { $0.entries[cookie]?.away += 1 }
  }

  /// The latch that a descriptor's connection has already, with one owner more; `nil` when it has none.
  static func join(_ number: CInt) -> Latch? {
    if book.withLock({ $0.entries.isEmpty }) { return nil }
    guard let cookie = try? Syscalls.cookie(number) else { return nil }
    let found: (latch: Latch, isBack: Bool)? = book.withLock { book in
      guard let latch = book.entries[cookie]?.latch else { return nil }
      let isBack = book.entries[cookie]!.away > 0
      if isBack { book.entries[cookie]!.away -= 1 }
      return (latch, isBack)
    }
    guard let found else { return nil }
    if !found.isBack { found.latch.update { $0.owners += 1 } }
    return found.latch
  }
}
