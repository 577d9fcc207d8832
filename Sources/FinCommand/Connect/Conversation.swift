import Fin
import FinBase
import FinTerminal
import Glibc
import Synchronization

/// Standard input to a connection and the connection to standard output, in two threads, until one of them decides
/// the end.
///
/// A thread that waits for its input or output when the end comes is left behind: the command ends then.
final class Conversation: Sendable {
  /// The bytes that have moved so far.
  struct Counts: Sendable {
    var read = 0
    var sent = 0
    var received = 0
    var written = 0
    var moved: Int { sent + received }
  }

  private struct State {
    var counts = Counts()
    var inputHasEnded = false
    var hasFinished = false
    var sendFailure: SocketError?
    var peerHasFinished = false
    var end: ConnectReport.End?
    var isClosing = false
  }

  private static let bufferSize = 256 << 10

  private let connection: SharedConnection
  private let clock: IdleClock
  private let grace: Duration
  private let halfCloses: Bool
  private let bell: Bell
  private let state = Mutex(State())

  init(_ connection: SharedConnection, idle: TimeSpan?, grace: Duration, halfCloses: Bool) throws(KernelError) {
    bell = try Bell()
    clock = IdleClock(idle: idle)
    self.connection = connection
    self.grace = grace
    self.halfCloses = halfCloses
  }

  var counts: Counts { state.withLock { $0.counts } }

  /// Ends the conversation because of a signal; a second one also ends the close.
  func interrupt(_ signal: CInt) {
    let isSecond = state.withLock { state in
      if state.end == nil { state.end = .signal(signal) }
      return state.isClosing
    }
    bell.ring()
    if isSecond { connection.abort() }
  }

  /// Runs the conversation to its end, and closes the connection.
  func run(_ progress: consuming ConnectProgress) -> ConnectReport {
    let codes = [DetachedThread.start { self.upload() }, DetachedThread.start { self.download() }]
    if let code = codes.first(where: { $0 != 0 }) { finish(.noThread(KernelError(code: code))) }
    var isWarned = false
    while true {
      let (end, waitsForInput) = state.withLock { ($0.end ?? Self.end(of: $0), $0.peerHasFinished) }
      if let end { return close(end, progress) }
      if waitsForInput {
        // Nothing receives any more: only this notices that the connection is lost.
        if let cause = try? connection.failure() {
          finish(.failed(cause, "the connection was lost after the peer had finished sending"))
          continue
        }
        if !isWarned, ByteStream.input.isTerminal {
          Output.complain("the peer has finished sending; what you type is still sent, until Ctrl-D")
        }
        isWarned = true
      }
      do { try clock.check() } catch {
        finish(.idle)
        continue
      }
      progress.show(counts, clock.age)
      let pauses = [clock.left, progress.pause, waitsForInput ? 500_000_000 : nil].compactMap { $0 }
      bell.wait(atMost: pauses.min())
    }
  }

  /// The end that both directions together have reached.
  private static func end(of state: State) -> ConnectReport.End? {
    guard state.peerHasFinished else { return nil }
    if let error = state.sendFailure { return .failed(error.cause, "\(error)") }
    return state.inputHasEnded ? .finished : nil
  }

  private func finish(_ end: ConnectReport.End) {
    state.withLock { if $0.end == nil { $0.end = end } }
    bell.ring()
  }

  // MARK: The two directions

  private func upload() {
    var room = [UInt8](repeating: 0, count: Self.bufferSize)
    do {
      while true {
        let count: Int
        do throws(KernelError) { count = try ByteStream.input.read(into: &room) } catch {
          // A closed standard input is an empty one.
          if error.code == EBADF { break }
          return finish(.inputFailed(error))
        }
        if count == 0 { break }
        state.withLock { $0.counts.read += count }
        // The pause of a person is no silence of the peer's: the time of a send begins here.
        clock.move()
        try connection.send(room[..<count], clock) { more in state.withLock { $0.counts.sent += more } }
      }
      if halfCloses {
        // Before the FIN: once the peer has it, a signal must not end the connection by a reset.
        state.withLock { $0.hasFinished = true }
        try connection.finishSending()
      }
      state.withLock { $0.inputHasEnded = true }
      bell.ring()
    } catch let error as SocketError {
      // The bytes that arrived before a reset are still received. That direction then decides the end.
      state.withLock { $0.sendFailure = error }
      bell.ring()
    } catch {
      finish(.idle)
    }
  }

  private func download() {
    var room = [UInt8](repeating: 0, count: Self.bufferSize)
    do {
      while true {
        let count = try connection.receive(into: &room, clock)
        if count == 0 { break }
        state.withLock { $0.counts.received += count }
        var rest = room[..<count]
        while !rest.isEmpty {
          do throws(KernelError) {
            let written = try ByteStream.output.write(rest)
            rest = rest.dropFirst(written)
            state.withLock { $0.counts.written += written }
            clock.move()
          } catch { return finish(.outputFailed(error)) }
        }
      }
      state.withLock { $0.peerHasFinished = true }
      bell.ring()
    } catch let error as SocketError {
      finish(.failed(error.cause, "\(error)"))
    } catch {
      finish(.idle)
    }
  }

  // MARK: The close

  private func close(_ end: ConnectReport.End, _ progress: consuming ConnectProgress) -> ConnectReport {
    let (counts, hasFinished) = state.withLock { state in
      state.isClosing = true
      return (state.counts, state.hasFinished)
    }
    let (remote, local) = (connection.remoteAddress, connection.localAddress)
    let report = connection.close(policy(for: end, hasFinished: hasFinished))
    progress.clear()
    return ConnectReport(
      end: end, close: report, counts: counts, remote: remote, local: local, nanoseconds: clock.age)
  }

  /// A connection that ends early is aborted, so that the peer does not take a part for the whole. One that has sent
  /// everything, and said so, is closed.
  private func policy(for end: ConnectReport.End, hasFinished: Bool) -> ClosePolicy {
    switch end {
    // A stream that was cut off by the peer: this side may still send, and may not have sent all of its input.
    case .failed(.truncated, _): hasFinished ? .confirmed(within: grace) : .abort
    case .finished, .failed: .confirmed(within: grace)
    case .signal, .idle: hasFinished ? .confirmed(within: grace) : .abort
    case .inputFailed, .outputFailed, .noThread, .refused: .abort
    }
  }
}
