import Fin
import FinBase
import FinTerminal
import SystemPackage

/// A server of the command: it listens, can be stopped by signals, and may be offered to a successor.
struct StartedServer: ~Copyable {
  let signals: StopSignals
  let listener: Listener
  /// Whether the listener is that of the server before.
  let isTakenOver: Bool
  let stop: ServeStop
  private let handover: ServeHandover?

  /// Takes the listener of the server before, or listens at the address. Ends the command with the status for the
  /// reason when it can do neither.
  ///
  /// It comes before any thread, so that all of them leave the signals to one.
  static func start(
    _ options: ServerOptions, of verb: String, timeouts: Timeouts, grace: Duration
  ) throws -> StartedServer {
    let signals = StopSignals()
    let over: Bell
    do throws(KernelError) { over = try Bell() } catch {
      throw ExitStatus.kernelFailure.because("no descriptor for an event: \(error)")
    }
    let endpoint = try options.endpoint
    let handover = try options.handingOver(of: verb)
    let taken = try handover?.take(endpoint, timeouts)
    let isTakenOver = taken != nil
    let listener = if let taken { taken } else { try bind(endpoint, timeouts) }
    let stop = ServeStop(listener.handle, grace: grace, over)
    return StartedServer(
      signals: signals, listener: listener, isTakenOver: isTakenOver, stop: stop, handover: handover)
  }

  /// Listens at the address, or ends the command with the status for the reason.
  private static func bind(_ endpoint: Endpoint, _ timeouts: Timeouts) throws -> Listener {
    do throws(SocketError) { return try Listener.bind(endpoint, timeouts: timeouts) } catch {
      let status: ExitStatus =
        switch error.cause {
        case .unresolved: .noHost
        case .system(.permissionDenied), .system(.notPermitted): .notPermitted
        default: .unavailable
        }
      throw status.because("\(error)")
    }
  }

  /// Offers the listener to a successor, if the command has a path for it.
  func offer(_ lines: ServerLines) throws -> ServeHandover.Offer? {
    do throws(SocketError) {
      return try handover?.offer(listener.handle, stop) { lines.handedOver($0) }
    } catch {
      guard isTakenOver else { throw ExitStatus.unavailable.because("\(error)") }
      // The clients are this server's already.
      Output.complain("no successor can take over: \(error)")
      return nil
    }
  }

  /// Lets the signals stop the server from now on.
  func hearSignals() {
    let (signals, stop) = (signals, stop)
    signals.hear { if !stop.stop() { signals.end(by: $0) } }
  }
}
