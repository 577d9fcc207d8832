import Fin
import FinBase
import Glibc
import Synchronization

/// The program of a connection, and its end.
struct ProgramReport: Sendable {
  var name: String
  var pid: pid_t
  /// How it ended; nil if it could not be waited for.
  var exit: RunningProgram.Exit?
  /// Bytes of the client that it did not read.
  var bytesUnread = 0
}

/// A client and a program: the client's bytes to the program's standard input, and its standard output to the client,
/// in two threads.
///
/// The end of one side's bytes becomes the end of the other's. A reset of the client ends the program, and a program
/// that a signal ended resets the client, so that no side takes a part for the whole.
final class ProgramConversation: Sendable {
  private enum Stop: Error, CustomStringConvertible {
    case server
    case otherDirection
    case signalled(name: String, CInt)

    var description: String {
      switch self {
      case .server: ServeConversation.serverStopped
      case .otherDirection: "the other direction failed"
      case .signalled(let name, let signal): "\(name) was ended by signal \(signal)"
      }
    }
  }

  private struct State {
    var received = 0
    var sent = 0
    var unread = 0
    var failure: (any Error)?
  }

  private static let bufferSize = 64 << 10
  /// The time in which a process that has closed its output by its end can be waited for.
  private static let exitPause: Int64 = 1_000_000_000

  private let client: SharedConnection
  private let program: RunningProgram
  private let name: String
  private let clock: IdleClock
  /// Rings when the server has stopped.
  private let over: Bell
  /// Rings when this conversation is over.
  private let bell: Bell
  private let state = Mutex(State())

  private init(
    _ client: SharedConnection, _ program: RunningProgram, _ name: String, _ clock: IdleClock, _ over: Bell,
    _ bell: Bell
  ) {
    self.client = client
    self.program = program
    self.name = name
    self.clock = clock
    self.over = over
    self.bell = bell
  }

  /// Starts the program, serves the client with it, and closes the connection.
  static func serve(
    _ client: SharedConnection, _ words: [String], _ mask: sigset_t, _ clock: IdleClock, _ over: Bell,
    _ closing: ClosePolicy, _ served: inout ServedConnection
  ) {
    let name = printable(words[0].utf8, limit: 64)
    do throws(KernelError) {
      let bell = try Bell()
      let variables = [
        "FIN_LOCAL_ADDRESS=\(client.localAddress.map { "\($0)" } ?? "")", "FIN_REMOTE_ADDRESS=\(served.client)",
        "FIN_ORIGINAL_ADDRESS=\(served.original ?? "")",
      ]
      let program = try RunningProgram.start(words, mask, variables: variables)
      ProgramConversation(client, program, name, clock, over, bell).run(closing, &served)
    } catch {
      served.reason = "\(name) could not be started: \(error)"
      served.close = client.abort()
    }
  }

  private func run(_ closing: ClosePolicy, _ served: inout ServedConnection) {
    let feeder = JoinableThread { self.feed() }
    var exit: RunningProgram.Exit?
    do {
      exit = try answer()
      bell.ring()
      served.close = client.close(closing)
    } catch {
      let failure = state.withLock { $0.failure } ?? error
      served.reason = ServeConversation.reason(for: failure)
      bell.ring()
      served.close = client.abort()
      if case Stop.signalled(_, let signal) = failure { exit = .signalled(signal) } else { exit = program.end() }
    }
    _ = feeder.join()
    let state = state.withLock { $0 }
    served.bytesReceived = state.received
    served.bytesSent = state.sent
    served.program = ProgramReport(name: name, pid: program.pid, exit: exit, bytesUnread: state.unread)
  }

  // MARK: The two directions

  /// Sends the program's output to the client, and returns when the program has ended.
  private func answer() throws -> RunningProgram.Exit {
    var room = [UInt8](repeating: 0, count: Self.bufferSize)
    let output = ByteStream(descriptor: program.output)
    while true {
      try awaitReady(program.output, POLLIN)
      let count = try output.read(into: &room)
      if count == 0 { break }
      clock.move()
      try client.send(room[..<count], clock) { more in state.withLock { $0.sent += more } }
    }
    // Usually the program has ended. If a signal ended it, its output is not whole.
    var exit = program.awaitExit(atMost: Self.exitPause)
    if case .signalled(let signal) = exit { throw Stop.signalled(name: name, signal) }
    do {
      try client.finishSending()
      if exit == nil {
        // It has finished its output, and goes on reading.
        try awaitReady(program.process, POLLIN)
        exit = program.awaitExit(atMost: nil)
      }
    } catch {
      // It must not be ended by its number, which is free when it has been reaped.
      guard exit != nil else { throw error }
    }
    return exit ?? .exited(-1)
  }

  /// Passes the client's bytes to the program until the client finishes, and closes the program's input then. Bytes
  /// that the program no longer reads are counted and dropped, so that the end of the client is still seen.
  ///
  /// After a failure the input stays open until the program has been ended: it must not take a part for the whole.
  private func feed() {
    var room = [UInt8](repeating: 0, count: Self.bufferSize)
    do {
      while true {
        let count = try client.receive(into: &room, clock)
        if count == 0 { return program.closeInput() }
        state.withLock { $0.received += count }
        try pass(room[..<count])
      }
    } catch {
      state.withLock { if $0.failure == nil { $0.failure = error } }
      bell.ring()
    }
  }

  private func pass(_ bytes: ArraySlice<UInt8>) throws {
    var rest = bytes
    while !rest.isEmpty, let input = program.input {
      try awaitReady(input, POLLOUT)
      do throws(KernelError) {
        rest = rest.dropFirst(try ByteStream(descriptor: input).write(rest))
        clock.move()
      } catch {
        guard error.code == EPIPE else { throw error }
        program.closeInput()
      }
    }
    let unread = rest.count
    if unread > 0 { state.withLock { $0.unread += unread } }
  }

  /// Waits for a descriptor of the program.
  /// - Throws: The reason to wait no longer.
  private func awaitReady(_ descriptor: CInt, _ event: CInt) throws {
    let waits = [(over.descriptor, POLLIN), (bell.descriptor, POLLIN), (descriptor, event)]
    while true {
      switch ByteStream.firstReady(waits, atMost: clock.left) {
      case 0: throw Stop.server
      case 1: throw Stop.otherDirection
      case nil: try clock.check()
      default: return
      }
    }
  }
}
