internal import Glibc
internal import SystemPackage

/// One direction of a pump: its bytes on their way, and the attempts that move them. Every method runs inside the gates
/// of both connections.
///
/// The source is read only when nothing is held, so that its end is seen after all its bytes have left.
///
/// Each attempt has the access of a thread, also in a task, and so asks the kernel: the pump waits with a poller of its
/// own, and readiness that an event loop had cached for one of the sockets would be out of date.
struct PumpStream {
  /// The result of one attempt.
  enum Motion {
    case moved
    /// The source has nothing at the moment.
    case starved
    /// The destination takes nothing at the moment.
    case stalled
    case ended(PumpCourse.SourceEnd)
    /// The destination has failed.
    case destinationFailed
  }

  let source: Core
  let destination: Core
  private let meter: PumpMeter?
  private let side: PumpCourse.Side
  /// Bytes that were received and not yet accepted: from `start` on.
  private var held: [UInt8] = []
  private var start = 0
  private var pipe: SplicePipe?
  private var inPipe = 0
  private var maySplice: Bool
  /// Whether this step may use the pipe.
  private var mayUsePipe = false
  private var sending: SendState
  /// The bytes that the destination's kernel has accepted.
  private(set) var moved = 0

  /// The bytes after which a stream is long enough for a pipe.
  static let bytesBeforeSplice = 64 << 10
  private static let room = 64 << 10

  init(
    from source: Core, to destination: Core, _ side: PumpCourse.Side, idle: Timeout, _ meter: PumpMeter?
  ) {
    self.source = source
    self.destination = destination
    self.side = side
    self.meter = meter
    sending = SendState(LazyDeadline(idle))
    maySplice = source.isPlainTCP && destination.isPlainTCP
  }

  /// The bytes that were received and not yet accepted.
  var bytesHeld: Int { held.count - start + inPipe }

  /// Takes what buffered reading had received before, and has the kernel keep the destination's bytes as long as
  /// the pump waits.
  mutating func begin(_ access: Access) {
    let count = source.buffered
    if count > 0 { held = source.withBuffer { $0.take(count) } }
    sending.time.waits(on: destination, access)
  }

  /// Gives the destination its own time limits back.
  mutating func end() { sending.time.isOver(on: destination) }

  // MARK: One attempt

  /// Whether the next bytes are to go through a pipe.
  var wantsPipe: Bool { inPipe > 0 || maySplice && moved >= PumpStream.bytesBeforeSplice }

  /// Begins a step, which is some attempts without a wait between them.
  ///
  /// - Parameter isWithoutSignal: whether `SIGPIPE` is blocked, which `splice` may raise.
  mutating func beginStep(isWithoutSignal: Bool) {
    mayUsePipe = isWithoutSignal
  }

  /// Moves some bytes.
  mutating func move(_ access: Access) -> Motion {
    if inPipe > 0 { return emptyPipe(access) }
    if start < held.count { return sendHeld(access) }
    if mayUsePipe, wantsPipe { return fillPipe(access) }
    return copy(access)
  }

  /// Receives and sends at once. What the destination does not take is kept.
  private mutating func copy(_ access: Access) -> Motion {
    unsafe withUnsafeTemporaryAllocation(byteCount: PumpStream.room, alignment: 16) { room in
      let count: Int
      do throws(SocketError) {
        guard let received = try unsafe source.receiveSome(into: room, access) else { return .starved }
        count = received
      } catch { return .ended(error.cause == .truncated ? .truncation : .reset) }
      if count == 0 { return .ended(.finish) }
      let (accepted, isAlive) = unsafe send(UnsafeRawBufferPointer(rebasing: room[..<count]), access)
      if accepted < count { unsafe held = Array(room[accepted..<count]) }
      return isAlive ? .moved : .destinationFailed
    }
  }

  private mutating func sendHeld(_ access: Access) -> Motion {
    let (bytes, start) = (held, start)
    let (accepted, isAlive) = unsafe bytes.withUnsafeBytes { bytes in
      unsafe send(UnsafeRawBufferPointer(rebasing: bytes[start...]), access)
    }
    self.start += accepted
    if self.start == held.count {
      held = []
      self.start = 0
    }
    if !isAlive { return .destinationFailed }
    return accepted > 0 ? .moved : .stalled
  }

  /// - Returns: the number of bytes that were accepted, and whether the destination lives.
  private mutating func send(_ bytes: UnsafeRawBufferPointer, _ access: Access) -> (accepted: Int, isAlive: Bool) {
    sending.count = 0
    var isAlive = true
    do throws(SocketError) {
      _ = try unsafe destination.send(bytes, &sending, some: true, access)
    } catch { isAlive = false }
    count(sending.count)
    return (sending.count, isAlive)
  }

  private mutating func count(_ accepted: Int) {
    moved += accepted
    meter?.add(accepted, side)
  }

  // MARK: Through a pipe

  private mutating func fillPipe(_ access: Access) -> Motion {
    guard let pipe = pipe ?? SplicePipe() else {
      maySplice = false
      return copy(access)
    }
    self.pipe = pipe
    keepNonBlocking(source, access)
    do throws(SocketError) {
      switch try source.splice(into: pipe, access) {
      case .bytes(let count)?:
        if count == 0 { return .ended(.finish) }
        inPipe = count
        return emptyPipe(access)
      case .refused?:
        maySplice = false
        self.pipe = nil
        return copy(access)
      case nil: return .starved
      }
    } catch { return .ended(.reset) }
  }

  /// Looks before each `splice`: another holder of the socket may have made it blocking, and the call would wait then.
  private func keepNonBlocking(_ core: Core, _ access: Access) {
    try? Syscalls.keepNonBlocking(core.number(access))
  }

  private mutating func emptyPipe(_ access: Access) -> Motion {
    keepNonBlocking(destination, access)
    do throws(SocketError) {
      guard let count = try destination.splice(from: pipe!, inPipe, &sending, access) else {
        return .stalled
      }
      inPipe -= count
      self.count(count)
      return .moved
    } catch { return .destinationFailed }
  }
}

extension Core {
  /// Whether the bytes of this connection are the same on the wire as in the program.
  var isPlain: Bool {
    #if TLS
    !isSecured
    #else
    true
    #endif
  }

  /// Whether `splice` may carry this socket's bytes.
  var isPlainTCP: Bool { isTCP && isPlain }

  /// The result of moving bytes into a pipe.
  enum Spliced {
    /// The number of bytes; 0 only when the peer has finished.
    case bytes(Int)
    /// The kernel does not splice this kind of socket.
    case refused
  }

  /// Moves the available bytes into an empty pipe.
  ///
  /// - Returns: `nil` when nothing is available yet.
  func splice(into pipe: SplicePipe, _ access: Access) throws(SocketError) -> Spliced? {
    let count: Int
    do throws(Errno) { count = try pipe.fill(from: number(access)) } catch {
      switch error {
      case .resourceTemporarilyUnavailable: return nil
      case .invalidArgument, .noFunction, .notSupported: return .refused
      default: break
      }
      let cause = connectionState.value.failure ?? fail(error)
      if connectionState.value.sawEnd { return .bytes(0) }
      throw self.error(.receive, cause)
    }
    if count == 0 { try checkEnd(access) } else { noteReceived(count) }
    return .bytes(count)
  }

  /// Moves bytes out of a pipe, as many as the kernel accepts.
  ///
  /// - Returns: `nil` when it accepts none at the moment.
  func splice(
    from pipe: SplicePipe, _ count: Int, _ progress: inout SendState, _ access: Access
  ) throws(SocketError) -> Int? {
    try checkSending(0)
    do throws(Errno) {
      let accepted = try pipe.empty(into: number(access), count)
      noteSent(accepted)
      return accepted
    } catch {
      try check(error, &progress, CachedReadiness(of: self, access), access)
      return nil
    }
  }
}
