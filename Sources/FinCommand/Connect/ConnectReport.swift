import Fin
import FinBase
import FinDoctor
import FinTerminal
import Glibc
import SystemPackage

/// The report of `fin connect`: how the connection ended, and which bytes were not delivered.
struct ConnectReport {
  /// The event that decided the end.
  enum End: Sendable {
    /// The input has ended, and the peer has finished.
    case finished
    /// The connection failed, with the error as a sentence.
    case failed(SocketError.Cause, String)
    case inputFailed(KernelError)
    case outputFailed(KernelError)
    case idle
    case signal(CInt)
    case noThread(KernelError)
    /// There was no connection.
    case refused(SocketError)
  }

  let end: End
  let close: CloseReport?
  let counts: Conversation.Counts
  var remote: SocketAddress?
  var local: SocketAddress?
  let nanoseconds: Int64
  var attempts: [DialAttempt] = []
  /// The results of the handshake of TLS.
  var secured: SecuredFacts?
  /// The signals, if this command took them over.
  var signals: StopSignals?

  init(
    end: End, close: CloseReport, counts: Conversation.Counts, remote: SocketAddress?, local: SocketAddress?,
    nanoseconds: Int64
  ) {
    self.end = end
    self.close = close
    self.counts = counts
    self.remote = remote
    self.local = local
    self.nanoseconds = nanoseconds
  }

  /// The report of a dial that failed.
  init(refusedBy error: SocketError, _ attempts: [DialAttempt], time nanoseconds: Int64) {
    end = .refused(error)
    close = nil
    counts = Conversation.Counts()
    remote = error.remoteAddress
    self.nanoseconds = nanoseconds
    self.attempts = attempts
  }

  /// The signal that ended it, if one did.
  var signal: CInt? { if case .signal(let number) = end { number } else { nil } }

  /// Bytes that were read from the input and that the kernel did not take.
  var bytesNotSent: Int { counts.read - counts.sent }
  /// Bytes that arrived and were not written to the output, or not even received.
  var bytesNotWritten: Int { counts.received - counts.written + (close?.bytesDiscarded ?? 0) }
  private var isUnix: Bool { remote?.family == .unix }

  /// The number of bytes of the input that did not arrive; for a Unix socket, those that the kernel did not take.
  private var bytesNotDelivered: Int { bytesNotSent + (isUnix ? 0 : close?.bytesUnacknowledged ?? 0) }

  var status: ExitStatus {
    switch end {
    case .finished:
      guard let close, !close.isDelivered else { return .success }
      return Self.status(of: close.ending)
    case .failed(let cause, _): return Self.status(of: cause)
    case .inputFailed: return .noInput
    case .outputFailed: return .outputFailed
    case .idle: return .timedOut
    case .signal(let number): return number == SIGHUP ? .hungUp : number == SIGINT ? .interrupted : .terminated
    case .noThread: return .kernelFailure
    case .refused(let error):
      switch error.cause {
      case .unresolved(.timedOut), .timedOut, .lost(.timedOut): return .timedOut
      case .unresolved(.noThread), .unresolved(.noReactor): return .kernelFailure
      case .unresolved: return .noHost
      case .system(.permissionDenied), .system(.notPermitted): return .notPermitted
      case .tls, .unverified: return .protocolFailure
      case .invalid where error.operation == .secure: return .noInput
      case .system(.tooManyOpenFiles), .system(.tooManyOpenFilesInSystem), .system(.noMemory): return .kernelFailure
      default: return .unavailable
      }
    }
  }

  private static func status(of cause: SocketError.Cause) -> ExitStatus {
    switch cause {
    case .reset, .peerClosed: .reset
    case .truncated, .tls, .unverified: .protocolFailure
    case .timedOut, .lost(.timedOut): .timedOut
    case .lost: .lost
    default: .kernelFailure
    }
  }

  private static func status(of ending: Ending) -> ExitStatus {
    switch ending {
    case .reset, .discardedByPeer: .reset
    case .timedOut: .timedOut
    // The first two with bytes that were not acknowledged.
    case .peerFinished, .truncated, .acknowledged, .aborted, .background, .shared, .detached: .lost
    }
  }

  /// The reason for the end.
  var reason: String {
    switch end {
    case .finished:
      switch close?.ending {
      case .peerFinished: "both sides have finished"
      case .acknowledged: "the input has ended, and the peer has finished"
      case .discardedByPeer, .reset: "the peer reset the connection during the close"
      case .timedOut: "the close ended by its time limit (--grace)"
      case .truncated: "the peer's stream was cut off"
      case .aborted: "the connection was ended during the close"
      case .background, .shared, .detached, nil: "the end is unknown"
      }
    case .failed(_, let sentence): sentence
    case .inputFailed(let error): "the input could not be read: \(error); the connection was reset"
    case .outputFailed(let error): "the output could not be written: \(error); the connection was reset"
    case .idle: "no byte moved for the time that --idle gives; \(howClosed)"
    case .signal(let number): "ended by \(Self.name(of: number)); \(howClosed)"
    case .noThread(let error): "no thread could be started: \(error)"
    case .refused(let error): "\(error)"
    }
  }

  private var howClosed: String {
    switch close?.ending {
    case .aborted: "the connection was reset"
    case .peerFinished, .acknowledged: "everything was sent before, and the connection was closed"
    case .truncated: "the peer's stream was cut off"
    case .discardedByPeer, .reset: "the peer reset the connection"
    case .timedOut: "the close ended by its time limit (--grace)"
    case .background, .shared, .detached, nil: "the end is unknown"
    }
  }

  private static func name(of signal: CInt) -> String {
    signal == SIGINT ? "SIGINT" : signal == SIGHUP ? "SIGHUP" : "SIGTERM"
  }

  /// The report for a person: `both sides have finished: 12 bytes sent, all acknowledged; 0 bytes received; 0.2 ms`.
  var sentence: String {
    guard let close else { return reason }
    var text = "\(reason): \(Phrase.noun(counts.read, "byte")) sent"
    if counts.read > 0 { text += ", " + delivery(close) }
    text += "; \(Phrase.noun(counts.received, "byte")) received"
    if bytesNotWritten > 0 { text += ", and \(Phrase.noun(bytesNotWritten, "byte")) not written to the output" }
    if let notify = close.closeNotify { text += "; " + SecuredFacts.ends(notify) }
    return text + "; \(Phrase.time(nanoseconds))"
  }

  private func delivery(_ close: CloseReport) -> String {
    if bytesNotDelivered > 0 { return "\(Phrase.number(bytesNotDelivered)) of them not delivered" }
    switch close.ending {
    case .discardedByPeer: return "all acknowledged, perhaps not read by the peer's program"
    case .peerFinished, .truncated, .acknowledged, .reset, .timedOut, .aborted, .background, .shared, .detached:
      if !isUnix { return "all acknowledged" }
      // A peer that closes empties its queue, read or not.
      return close.isDelivered ? "all read by the peer" : "perhaps not all read by the peer"
    }
  }
}

/// The report as JSON; the schema is what `fin help json connect` prints.
enum ConnectJSON {
  static func write(_ report: ConnectReport) {
    var json = JSONWriter()
    json.object { json in
      json.write("version", number: UInt64(1))
      json.write("fin", string: CommandVersion.current)
      json.write("status", number: UInt64(report.status.rawValue))
      json.write("reason", string: report.reason)
      if let address = report.remote { json.write("remote", string: "\(address)") }
      if let address = report.local { json.write("local", string: "\(address)") }
      if let close = report.close {
        json.write("ending", string: "\(close.ending)")
        json.write("isDelivered", flag: close.isDelivered && report.bytesNotSent == 0)
        json.write("bytesSent", number: UInt64(report.counts.sent))
        json.write("bytesNotSent", number: UInt64(report.bytesNotSent))
        json.write("bytesUnacknowledged", number: UInt64(close.bytesUnacknowledged))
        json.write("bytesReceived", number: UInt64(report.counts.received))
        json.write("bytesNotWritten", number: UInt64(report.bytesNotWritten))
        SecuredFacts.write(report.secured, close, to: &json)
      }
      json.write("milliseconds", decimal: Double(report.nanoseconds) / 1_000_000)
      json.array("failedAttempts") { json in
        for attempt in report.attempts {
          json.object { json in
            json.write("address", string: "\(attempt.address)")
            json.write("failure", string: "\(attempt)")
            json.write("milliseconds", decimal: Double(attempt.duration.inNanoseconds) / 1_000_000)
          }
        }
      }
    }
    json.text.write("\n")
    Output.show(String(decoding: json.text.bytes, as: UTF8.self))
  }
}
