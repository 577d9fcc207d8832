import ArgumentParser
import FinDoctor
import Glibc

/// The folder of a history.
struct HistoryDirectory: ParsableArguments {
  @Option(help: ArgumentHelp("The folder of fin record.", valueName: "folder"), completion: .directory)
  var directory: String?

  /// The folder that is named, or the usual one: that of the service, or of the user.
  var folder: HistoryFolder { HistoryFolder(directory ?? Self.usual) }

  /// The folder of the system's service.
  static let system = "/var/lib/fin"

  private static var usual: String {
    func variable(_ name: String) -> String? {
      unsafe getenv(name).map { unsafe String(cString: $0) }.flatMap { $0.hasPrefix("/") ? $0 : nil }
    }
    // systemd may name several, separated by colons.
    if let state = variable("STATE_DIRECTORY"), let first = state.split(separator: ":").first { return String(first) }
    if geteuid() == 0 { return system }
    guard let own = variable("XDG_STATE_HOME") ?? variable("HOME").map({ $0 + "/.local/state" }) else { return system }
    func exists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }
    return exists(own + "/fin") || !exists(system) ? own + "/fin" : system
  }
}

extension HistoryFault {
  /// The status of a command that it ends.
  var status: ExitStatus {
    switch kind {
    case .unavailable: .unavailable
    case .notPermitted: .notPermitted
    case .noFolder: .noInput
    case .notWritten: .outputFailed
    }
  }

  /// Writes the reason to standard error, and returns the error that ends the command.
  var exit: ExitCode { status.because(description) }
}

extension HistoryReader {
  /// Opens a history, or ends the command with the reason why it cannot be read.
  static func opening(_ folder: HistoryFolder) throws -> HistoryReader {
    do throws(HistoryFault) { return try HistoryReader(folder) } catch { throw error.exit }
  }

  /// The record of a moment, or the end of the command with the reason why there is none.
  func record(at moment: WrittenMoment) throws -> CensusRecord {
    do throws(HistoryFault) { return try noted(at: moment.milliseconds).record } catch { throw error.exit }
  }

  /// The machine at a moment. Its record has the notes that say how exactly the history answers.
  /// - Throws: If no look is near the moment; the fault says from when to when the history reaches.
  func noted(at moment: Int64, now: Int64 = LocalTime.now) throws(HistoryFault) -> HistoryAnswer {
    var answer: HistoryAnswer
    do throws(HistoryFault) {
      answer = try self.answer(at: moment)
    } catch {
      let bounds = range().map {
        "; it reaches from \(LocalTime.words($0.first, now: now)) to \(LocalTime.words($0.last, now: now))"
      }
      throw HistoryFault(error.kind, error.description + (bounds ?? ""))
    }
    if answer.next == nil, answer.moment - answer.look > answer.period * 2 + 5000 {
      throw HistoryFault(
        .unavailable,
        "the last look was at \(LocalTime.words(answer.look, now: now)): fin record has written nothing since")
    }
    answer.record.notes = HistoryNotes.sentences(answer, now: now)
    return answer
  }
}

/// The sentences that say how exactly a history answers.
enum HistoryNotes {
  static func sentences(_ answer: HistoryAnswer, now: Int64) -> [String] {
    func time(_ moment: Int64) -> String { LocalTime.words(moment, now: now) }
    var all: [String] = []
    let asked = "this is \(time(answer.moment)), "
    if answer.isGap, let next = answer.next {
      let missed = answer.missed > 0 ? "could not write \(Phrase.noun(answer.missed, "look"))" : "did not look"
      all.append(
        asked + "and fin record \(missed) between \(time(answer.look)) and \(time(next)): shown is the look at "
          + "\(time(answer.look)), and what came after it is unknown")
    } else if let next = answer.next {
      var sentence = asked + "between the looks at \(time(answer.look)) and \(time(next))"
      if answer.began + answer.ended > 0 {
        sentence +=
          ": \(Phrase.noun(answer.began, "socket")) appeared or changed between them, and "
          + "\(Phrase.noun(answer.ended, "socket")) ended or changed; shown is the first of the two"
      }
      all.append(sentence)
      if answer.short > 0 || answer.hasMoreShort {
        all.append(
          "\(answer.hasMoreShort ? "at least " : "")\(Phrase.noun(answer.short, "connection")) began and ended between "
            + "these two looks: fin record short counts them")
      }
    } else {
      all.append(asked + "after the last look at \(time(answer.look))")
    }
    if answer.isTwice { all.append("the clock was set back and showed this time twice: this is the later one") }
    if !answer.isFrame {
      all.append(
        "sockets, states and owners are those of the look; times of data, queues, arguments, epoll sets, threads and "
          + "limits are those of the key frame at \(time(answer.frame)), and what it does not have is unknown")
      if answer.resting > 0 {
        all.append(
          "\(Phrase.noun(answer.resting, "further socket")) in TIME-WAIT: only key frames list them, and a look counts "
            + "those of the destinations with the most")
      }
    }
    return all + answer.problems
  }
}
