internal import Glibc
internal import SystemPackage

/// The progress of a send of a file's bytes: `sendfile(2)` where the kernel can, otherwise reading and sending.
struct FileSend: OperationState {
  /// The largest part of one system call, in bytes, so that no connection keeps a loop for long.
  private static let part = 1 << 20
  /// The buffer of the copying way: a record of TLS has 16 KiB.
  private static let buffer = 64 << 10
  /// How long a file is left alone that says that it has bytes, and then has none: another reader took them.
  private static let pause = Pause.time(.milliseconds(5))

  private enum Way {
    case undecided
    /// `sendfile(2)`.
    case sending
    case copying
  }

  private let file: CInt
  private let given: Int64?
  private let count: Int?
  private var way = Way.undecided
  /// The next byte of the file; `nil` for a file without positions.
  private var position: Int64?
  /// Bytes that were read and not yet sent.
  private var pending: ArraySlice<UInt8> = []
  private var isAtEnd = false
  private var accepted: SendState

  init(_ file: CInt, from position: Int64?, _ count: Int?, _ timeout: LazyDeadline) {
    self.file = file
    given = position
    self.count = count
    accepted = SendState(timeout)
  }

  mutating func waitFailed(_ core: Core, _ operation: SocketError.Operation, _ cause: SocketError.Cause) -> SocketError
  {
    leavePosition()
    return accepted.waitFailed(core, operation, cause)
  }

  /// Sets the file's own position behind the last byte that was sent, if the caller gave no position.
  private mutating func leavePosition() {
    guard given == nil, let position, way != .undecided else { return }
    try? Syscalls.seek(file, position - Int64(pending.count))
  }

  mutating func attempt(on core: Core, _ access: Access) throws(SocketError) -> Attempt<Int> {
    do throws(SocketError) {
      let attempt = try step(core, access)
      if case .done = attempt { leavePosition() }
      return attempt
    } catch {
      leavePosition()
      throw error
    }
  }

  private mutating func step(_ core: Core, _ access: Access) throws(SocketError) -> Attempt<Int> {
    try core.checkSending(accepted.count)
    if case .undecided = way { try begin(core, access) }
    let left = count.map { $0 - accepted.count } ?? .max
    if left == 0 { return try finish(core, access) }
    if way == .sending {
      if let attempt = try send(core, min(left, FileSend.part), access) { return attempt }
      way = .copying
    }
    return try copy(core, left, access)
  }

  private mutating func begin(_ core: Core, _ access: Access) throws(SocketError) {
    if let count, count < 0 { throw core.error(.send, .invalid("cannot send \(count) bytes of a file")) }
    if let given, given < 0 { throw core.error(.send, .invalid("cannot send a file from position \(given)")) }
    let kind: Syscalls.FileKind
    do throws(Errno) {
      kind = try Syscalls.fileKind(file)
      position = given
      if given == nil, kind == .regular { position = try Syscalls.position(file) }
    } catch { throw fileError(core, error) }
    way = kind == .regular ? .sending : .copying
    #if TLS
    if core.isSecured { way = .copying }
    #endif
  }

  private func fileError(_ core: Core, _ code: Errno) -> SocketError {
    core.error(.send, .system(code), bytesAccepted: accepted.count, note: "the file could not be read")
  }

  /// - Returns: `nil` when the kernel cannot send this file, or the call could wait.
  private mutating func send(_ core: Core, _ most: Int, _ access: Access) throws(SocketError) -> Attempt<Int>? {
    let cached = CachedReadiness(of: core, access)
    do throws(Errno) {
      // `sendfile` knows no MSG_DONTWAIT, and another holder of the descriptor may have made it blocking.
      if try Syscalls.isBlocking(core.number(access)) { return nil }
      let sent = try Syscalls.sendFile(core.number(access), file, from: position!, most)
      if sent == 0 { return .done(end(on: core)) }
      accepted.count += sent
      position! += Int64(sent)
      core.noteSent(sent)
      return .more
    } catch {
      switch error {
      case .invalidArgument, .noFunction, .notSupportedOnSocket, .illegalSeek: return nil
      case .ioError, .isDirectory, .badFileDescriptor: throw fileError(core, error)
      default: break
      }
      try core.check(error, &accepted, cached, access)
      return .blocked(.output)
    }
  }

  private mutating func copy(_ core: Core, _ left: Int, _ access: Access) throws(SocketError) -> Attempt<Int> {
    if pending.isEmpty, !isAtEnd {
      do throws(Errno) {
        // A position of its own: it does not wait for another end.
        if position == nil, try !Syscalls.isReady(file, POLLIN) { return .pause(.file(file, .input)) }
        try read(min(left, FileSend.buffer))
      } catch {
        if error == .resourceTemporarilyUnavailable { return .pause(FileSend.pause) }
        throw fileError(core, error)
      }
    }
    if pending.isEmpty { return try finish(core, access) }
    let before = accepted.count
    // The count of one call's bytes, which the attempt expects, begins with these.
    var part = accepted
    part.count = 0
    defer {
      accepted = part
      accepted.count += before
      pending = pending.dropFirst(part.count)
    }
    let bytes = pending
    do throws(SocketError) {
      let outcome = unsafe bytes.withUnsafeBytes { bytes in
        Result { () throws(SocketError) in try unsafe core.send(bytes, &part, some: true, access) }
      }
      switch try outcome.get() {
      case .done, .more: return .more
      case .blocked(let direction): return .blocked(direction)
      case .pause(let pause): return .pause(pause)
      }
    } catch {
      throw core.error(.send, error.cause, bytesAccepted: before + part.count, note: error.note)
    }
  }

  /// Ends the call, once the kernel has all that was sealed.
  private mutating func finish(_ core: Core, _ access: Access) throws(SocketError) -> Attempt<Int> {
    #if TLS
    if core.isSecured {
      var nothing = accepted
      nothing.count = 0
      let none = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
      switch try unsafe core.send(none, &nothing, some: true, access) {
      case .done: break
      case .more: return .more
      case .blocked(let direction): return .blocked(direction)
      case .pause(let pause): return .pause(pause)
      }
    }
    #endif
    return .done(end(on: core))
  }

  private mutating func end(on core: Core) -> Int {
    accepted.time.isOver(on: core)
    return accepted.count
  }

  private mutating func read(_ most: Int) throws(Errno) {
    var failure: Errno?
    let from = position
    let bytes = [UInt8](capacity: most) { output in
      unsafe output.withUnsafeMutableBufferPointer { buffer, count in
        do throws(Errno) {
          count = try unsafe Syscalls.readFile(file, from: from, into: UnsafeMutableRawBufferPointer(buffer))
        } catch { failure = error }
      }
    }
    if let failure { throw failure }
    isAtEnd = bytes.isEmpty
    pending = bytes[...]
    position = from.map { $0 + Int64(bytes.count) }
  }
}
