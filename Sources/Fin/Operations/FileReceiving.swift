internal import Glibc
internal import SystemPackage

/// The progress of a receive into a file: `splice(2)` where the kernel can, otherwise receiving and writing.
struct FileReceive: OperationState {
  /// The largest part of one system call: the room of a pipe, in bytes.
  private static let part = 64 << 10
  /// The bytes that a pipe takes without waiting once it is ready: `PIPE_BUF`.
  private static let smallPart = 4096
  /// How long a file is left alone that says that it takes bytes, and then takes none: another writer filled it.
  private static let pause = Pause.time(.milliseconds(5))

  /// The kernel's buffer between the socket and the file, which is empty between two attempts.
  private final class Buffer: Sendable {
    let reading: CInt
    let writing: CInt

    init() throws(Errno) { (reading, writing) = try Syscalls.makePipe() }

    deinit {
      Syscalls.close(reading)
      Syscalls.close(writing)
    }
  }

  private let file: CInt
  private let count: Int?
  private var isDecided = false
  private var isStream = false
  /// `nil` for the copying way.
  private var buffer: Buffer?
  /// The bytes that are in the file.
  private var written = 0

  init(_ file: CInt, _ count: Int?) {
    self.file = file
    self.count = count
  }

  mutating func waitFailed(_ core: Core, _ operation: SocketError.Operation, _ cause: SocketError.Cause) -> SocketError
  {
    error(core, cause)
  }

  private func error(_ core: Core, _ cause: SocketError.Cause, _ note: String? = nil) -> SocketError {
    let text = note ?? (written > 0 ? "after \(written) bytes were written to the file" : nil)
    return core.error(.receive, cause, note: text)
  }

  mutating func attempt(on core: Core, _ access: Access) throws(SocketError) -> Attempt<Int> {
    if !isDecided { try begin(core) }
    let left = count.map { $0 - written } ?? .max
    if left == 0 { return .done(written) }
    if core.buffered > 0 { return try writeBuffered(core, left) }
    if let buffer {
      if let attempt = try splice(core, buffer, min(left, FileReceive.part), access) { return attempt }
      self.buffer = nil
      if core.buffered > 0 { return .more }
    }
    let filled: Int?
    do throws(SocketError) { filled = try core.fill(access) } catch { throw self.error(core, error.cause) }
    switch filled {
    case nil: return core.awaitInput()
    case 0?: return .done(written)
    default: return .more
    }
  }

  private mutating func begin(_ core: Core) throws(SocketError) {
    isDecided = true
    if let count, count < 0 { throw core.error(.receive, .invalid("cannot receive \(count) bytes into a file")) }
    do throws(Errno) { isStream = try Syscalls.fileKind(file) == .stream } catch { throw fileError(core, error) }
    var canSplice = !isStream && core.kind == .stream
    #if TLS
    if core.isSecured { canSplice = false }
    #endif
    // A pipe costs two descriptors: a few bytes are copied, and so are all where there are no more descriptors.
    if canSplice, (count ?? .max) > FileReceive.part { buffer = try? Buffer() }
  }

  private func fileError(_ core: Core, _ code: Errno) -> SocketError {
    error(core, .system(code), "the file could not be written, after \(written) bytes; the next ones stay readable")
  }

  /// Writes what is buffered. What the file does not take stays readable.
  private mutating func writeBuffered(_ core: Core, _ left: Int) throws(SocketError) -> Attempt<Int> {
    do throws(Errno) {
      if isStream, try !Syscalls.isReady(file, POLLOUT) { return .pause(.file(file, .output)) }
      let most = min(left, isStream ? FileReceive.smallPart : .max)
      let bytes = core.withBuffer { $0.bytes.prefix(most) }
      let taken = try unsafe bytes.withUnsafeBytes { bytes in
        Result { () throws(Errno) in try unsafe Syscalls.writeFile(file, bytes) }
      }.get()
      core.withBuffer { $0.drop(taken) }
      written += taken
    } catch {
      if error == .resourceTemporarilyUnavailable { return .pause(FileReceive.pause) }
      throw fileError(core, error)
    }
    return .more
  }

  /// - Returns: `nil` when the kernel cannot splice here; what it had taken from the socket is buffered.
  private mutating func splice(
    _ core: Core, _ buffer: Buffer, _ most: Int, _ access: Access
  ) throws(SocketError) -> Attempt<Int>? {
    let taken: Int?
    do throws(Errno) {
      taken = try core.splice(into: buffer.writing, most, access)
    } catch {
      switch error {
      case .invalidArgument, .noFunction, .notSupportedOnSocket: return nil
      default: break
      }
      let cause = core.connectionState.value.failure ?? core.fail(error)
      if core.connectionState.value.sawEnd { return .done(written) }
      throw self.error(core, cause)
    }
    guard let taken else { return .blocked(.input) }
    if taken == 0 {
      do throws(SocketError) { try core.checkEnd(access) } catch { throw self.error(core, error.cause) }
      return .done(written)
    }
    var inside = taken
    while inside > 0 {
      do throws(Errno) {
        let moved = try Syscalls.spliceFile(from: buffer.reading, to: file, inside)
        if moved == 0 { throw Errno.invalidArgument }
        inside -= moved
        written += moved
      } catch {
        // No byte is lost: what the file did not take stays readable.
        core.takeBack(inside, from: buffer.reading)
        if error == .invalidArgument { return nil }
        throw fileError(core, error)
      }
    }
    return .more
  }
}

extension Core {
  /// Moves received bytes into a pipe.
  ///
  /// - Returns: 0 at the end of the stream; `nil` when nothing is available.
  /// - Throws: `EINVAL` when the kernel cannot splice here, or the call could wait.
  fileprivate func splice(into pipe: CInt, _ most: Int, _ access: Access) throws(Errno) -> Int? {
    let cached = CachedReadiness(of: self, access)
    if !cached.mayBeReady(.input) { return nil }
    do throws(Errno) {
      // `splice` knows no MSG_DONTWAIT, and another holder of the descriptor may have made it blocking.
      if try Syscalls.isBlocking(number(access)) { throw Errno.invalidArgument }
      let taken = try Syscalls.spliceFile(from: number(access), to: pipe, most)
      if taken > 0 { noteReceived(taken) }
      return taken
    } catch {
      guard error == .resourceTemporarilyUnavailable else { throw error }
      // The pipe is empty: it is the socket that has nothing.
      cached.clear([.input, .inputIsPartial])
      return nil
    }
  }

  /// Reads bytes back from a pipe into the read buffer.
  fileprivate func takeBack(_ count: Int, from pipe: CInt) {
    var left = count
    unsafe withUnsafeTemporaryAllocation(byteCount: max(1, count), alignment: 1) { room in
      while left > 0 {
        let part = unsafe UnsafeMutableRawBufferPointer(rebasing: room[..<left])
        guard let read = try? unsafe Syscalls.readFile(pipe, from: nil, into: part), read > 0 else { return }
        withBuffer { unsafe $0.append(UnsafeRawBufferPointer(rebasing: part[..<read])) }
        left -= read
      }
    }
  }
}
