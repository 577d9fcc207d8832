internal import Glibc
internal import Synchronization
internal import SystemPackage

/// The publication of a ledger to other processes.
extension Ledger {
  /// Publishes this ledger from now on, so that `fin check` names the line that opened a socket and knows the intent
  /// that the program declared for it (see <doc:Publishing>).
  ///
  /// The sockets that are open already are published too. A second call changes nothing. Publication takes one
  /// descriptor, and 128 bytes for each socket.
  ///
  /// A ledger created for a part of the program (`Ledger.$current.withValue`) is published separately, in a file of its
  /// own; `FIN_LEDGER=1` applies to the process's ledger.
  /// - Throws: `.system(EMFILE)` or a similar error when no descriptor is available; `.system(ENOSYS)` where the kernel
  ///   has no `memfd_create`, or a filter hides it; `.system(ENOMEM)`. The ledger is unchanged then.
  public func publish() throws(SocketError) {
    try book.withLock { book throws(SocketError) in
      if published != nil { return }
      do throws(Errno) { try publish(&book) } catch { throw SocketError(.publish, .system(error)) }
    }
  }

  /// Whether other processes can read this ledger.
  @inline(__always)
  public var isPublished: Bool { publication.load(ordering: .relaxed) != 0 }

  /// Creates the process's ledger, and publishes it if the environment asks for that.
  static func ofProcess() -> Ledger {
    let ledger = Ledger()
    switch unsafe getenv("FIN_LEDGER").map({ unsafe String(cString: $0) }) {
    case nil, "", "0": break
    case "1":
      // The program itself did not ask for publication, and goes on without it.
      do { try ledger.publish() } catch { complain("\(error)") }
    case .some: complain("FIN_LEDGER has an unknown value: 1 publishes the ledger, 0 does not")
    }
    return ledger
  }

  private static func complain(_ reason: String) {
    StandardError.write(reason)
  }

  // MARK: The published file

  /// The published ledger that this process created; `nil` also in a child of a process that published.
  var published: PublishedLedger? {
    guard let published = latest, published.isOurs else { return nil }
    return published
  }

  /// The published ledger, be it this process's or its parent's. It lives as long as the ledger does, or until a child
  /// replaces it with its own.
  private var latest: PublishedLedger? {
    let address = publication.load(ordering: .sequentiallyConsistent)
    guard let pointer = unsafe UnsafeRawPointer(bitPattern: address) else { return nil }
    return unsafe Unmanaged<PublishedLedger>.fromOpaque(pointer).takeUnretainedValue()
  }

  /// Publishes the record of a new socket. Called with the lock of `book` held.
  func publish(_ record: Record, cookie: UInt64?, in book: inout Book) {
    guard let latest else { return }
    if latest.isOurs {
      return latest.enter(record, cookie: cookie ?? (try? Syscalls.cookie(record.descriptor)) ?? 0, nil)
    }
    // This process was forked from one that published. A child that was forked after the first socket has to exec, and
    // publishes nothing; any other child begins a published ledger of its own.
    if !Fork.isChild.load(ordering: .relaxed) { try? publish(&book) }
  }

  private func publish(_ book: inout Book) throws(Errno) {
    let new = try PublishedLedger()
    // Before the phases are read: a phase that changes from here on is written by the operation that changes it.
    replacePublication(with: new)
    for case let record? in book.records {
      let cookie = (try? Syscalls.cookie(record.descriptor)) ?? 0
      new.enter(record, cookie: cookie, book.declarations[record.slot])
    }
  }

  func replacePublication(with new: PublishedLedger?) {
    let address = new.map { unsafe UInt(bitPattern: Unmanaged.passRetained($0).toOpaque()) } ?? 0
    let old = publication.exchange(address, ordering: .sequentiallyConsistent)
    if let old = unsafe UnsafeRawPointer(bitPattern: old) {
      unsafe Unmanaged<PublishedLedger>.fromOpaque(old).release()
    }
  }

  /// Records the intent that the program declares for a socket of its own.
  func declare(_ intent: SocketIntent, until: Deadline, of record: Record) {
    book.withLock { book in
      guard book.records[Int(record.slot)] === record else { return }
      let declaration = Declaration(intent: intent, until: until)
      book.declarations[record.slot] = intent.isEmpty ? nil : declaration
      published?.declare(declaration, of: record)
    }
  }
}
