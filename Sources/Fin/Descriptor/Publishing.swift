internal import Glibc
internal import Synchronization
internal import SystemPackage

/// A ledger that other processes may read.
extension Ledger {
  /// Publishes this ledger from now on: `fin check` then names the line that opened a socket, and knows what the program
  /// declared of it (see <doc:Publishing>).
  ///
  /// The sockets that are open already are published as well. A second time it changes nothing. It takes one descriptor, and
  /// 128 bytes for each socket.
  ///
  /// A ledger that was made for a part of the program (`Ledger.$current.withValue`) is published by itself, in a file of its
  /// own; `FIN_LEDGER=1` means the process's.
  /// - Throws: `.system(EMFILE)` and its like when there is no descriptor to be had; `.system(ENOSYS)` where the kernel has no
  ///   `memfd_create`, or a filter hides it; `.system(ENOMEM)`. Nothing has changed then.
  public func publish() throws(SocketError) {
    try book.withLock { book throws(SocketError) in
      if published != nil { return }
      do throws(Errno) { try publish(&book) } catch { throw SocketError(.publish, .system(error)) }
    }
  }

  /// Whether other processes can read it.
  @inline(__always)
  public var isPublished: Bool { publication.load(ordering: .relaxed) != 0 }

  /// The process's ledger.
  static func ofProcess() -> Ledger {
    let ledger = Ledger()
    switch unsafe getenv("FIN_LEDGER").map({ unsafe String(cString: $0) }) {
    case nil, "", "0": break
    case "1":
      // The program did not ask for it, and goes on without.
      do { try ledger.publish() } catch { complain("\(error)") }
    case .some: complain("FIN_LEDGER has a value that means nothing: 1 publishes the ledger, 0 does not")
    }
    return ledger
  }

  private static func complain(_ reason: String) {
    StandardError.write(reason)
  }

  // MARK: What is written when

  /// What this process publishes; `nil` also in the child of one that did.
  var published: PublishedLedger? {
    guard let published = latest, published.isOurs else { return nil }
    return published
  }

  /// It lives as long as the ledger does, or until a child makes its own.
  private var latest: PublishedLedger? {
    let address = publication.load(ordering: .sequentiallyConsistent)
    guard let pointer = unsafe UnsafeRawPointer(bitPattern: address) else { return nil }
    return unsafe Unmanaged<PublishedLedger>.fromOpaque(pointer).takeUnretainedValue()
  }

  /// Under the lock.
  func publish(_ record: Record, cookie: UInt64?, in book: inout Book) {
    guard let latest else { return }
    if latest.isOurs {
      return latest.enter(record, cookie: cookie ?? (try? Syscalls.cookie(record.descriptor)) ?? 0, nil)
    }
    // Forked from a process that published. Who forks with sockets open has to exec; any other begins one of its own.
    if !Fork.isChild.load(ordering: .relaxed) { try? publish(&book) }
  }

  private func publish(_ book: inout Book) throws(Errno) {
    let new = try PublishedLedger()
    // Before the phases are read: one that changes from here on is written by whoever changes it.
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

  /// What the program says of a socket of its own.
  func declare(_ purpose: Purpose, until: Deadline, of record: Record) {
    book.withLock { book in
      guard book.records[Int(record.slot)] === record else { return }
      let declaration = Declaration(purpose: purpose, until: until)
      book.declarations[record.slot] = purpose.isEmpty ? nil : declaration
      published?.declare(declaration, of: record)
    }
  }
}

extension Core {
  /// A wait of this socket begins, or is over: `nil`. For those who read the ledger from outside.
  // Apart, and called only if there may be any: else a wait costs nothing more.
  @inline(never)
  func publish(waitFor direction: Direction, until deadline: Deadline?) {
    ledger.published?.wait(record, for: direction, until: deadline)
  }
}
