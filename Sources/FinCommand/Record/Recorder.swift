import Fin
import FinDoctor
import FinTerminal
import Glibc

/// The loop of `fin record`: a look each period, and a small one each second.
struct Recorder {
  private let writer: HistoryWriter
  private let options: Census.Options
  private let period: Int64
  private let hasRing: Bool
  private var looks: RecorderLooks
  /// The last complaint, which is not repeated with each look.
  private var complaint: String?

  init(_ writer: HistoryWriter, _ options: Census.Options, every: TimeSpan, hasRing: Bool) {
    (self.writer, self.options, self.hasRing) = (writer, options, hasRing)
    period = every.milliseconds
    looks = RecorderLooks(options)
    if hasRing { writer.ring = SecondRing() }
  }

  /// Looks until a signal comes. The first look must succeed: a service that cannot write at all does not start.
  mutating func run(until signals: AwaitedSignals) throws {
    let start = AwaitedSignals.now
    let first = try look()
    Output.write("records to \(visible(writer.folder.path))/\(first)\n")
    report(.ready)
    var (next, second) = (start + period, start + 1000)
    while true {
      switch signals.wait(until: hasRing ? min(next, second) : next) {
      case nil: break
      case SIGUSR1:
        dump()
        continue
      default: return end()
      }
      let now = AwaitedSignals.now
      if hasRing, now >= second {
        lookAtSockets()
        second = max(second + 1000, AwaitedSignals.now)
      }
      if now >= next {
        do { _ = try look() } catch {}
        // After a suspend, or where looks take longer than the period, those that are due are not made up for.
        next += period
        if next <= AwaitedSignals.now { next = AwaitedSignals.now + period }
      }
    }
  }

  /// Takes the small look of each second. One that cannot be taken now is missing, and the next one is in a second.
  private func lookAtSockets() {
    looks.hear()
    if let census = try? Census.takeOfOthers(SecondRing.options(options)) { writer.ring?.look(census) }
  }

  private func end() {
    report(.stopping)
    writer.finish()
  }

  /// Takes a look at once, and writes the last ten minutes with it.
  private mutating func dump() {
    guard hasRing else { return complain("there are no looks beside those of --every") }
    lookAtSockets()
    guard let file = try? look(withRing: true) else { return }
    Output.write("wrote the last ten minutes to \(visible(writer.folder.path))/\(file)\n")
  }

  /// Takes a look and writes it; returns the name of the file.
  /// - Parameter withRing: Whether the sockets of each second of the last ten minutes are written too.
  @discardableResult
  private mutating func look(withRing: Bool = false) throws -> String {
    let look: HistoryWriter.Look
    do {
      look = try looks.next()
    } catch {
      complain("\(error)")
      throw ExitStatus.kernelFailure.exit
    }
    do throws(HistoryFault) {
      let written = try writer.write(look, withRing: withRing) { looks.record(of: $0) }
      for note in written.notes { Output.complain(note) }
      if complaint != nil { Output.complain("looks are written again") }
      complaint = nil
      return written.file
    } catch {
      complain(error.description)
      throw ExitStatus.outputFailed.exit
    }
  }

  private mutating func complain(_ sentence: String) {
    if sentence != complaint { Output.complain(sentence) }
    complaint = sentence
  }

  /// Tells the service manager, if there is one. Without an answer, recording goes on.
  private func report(_ message: ServiceManager.Message) {
    do throws(SocketError) {
      try ServiceManager.notify(message, within: .seconds(1))
    } catch {
      Output.complain("the service manager was not reached: \(error)")
    }
  }
}
