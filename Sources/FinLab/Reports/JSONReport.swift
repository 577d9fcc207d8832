import FinTerminal
import FoundationEssentials

/// The findings as JSON. The schema is what `fin help json lab` prints.
package enum JSONReport {
  static let version = 1

  private struct Whole: Encodable {
    var version = JSONReport.version
    var fin = CommandVersion.current
    let kernel: String
    let seconds: Double
    let experiments: [Finding]
    let summary: Summary
  }

  private struct Summary: Encodable {
    let kept, broken, timedOut, crashed, skipped: Int
  }

  private struct Listing: Encodable {
    struct Entry: Encodable {
      let id: String
      let articles: [Experiment.Article]
      let claim: String
      let truth: String
      let async: String
    }
    var version = JSONReport.version
    var fin = CommandVersion.current
    let experiments: [Entry]
  }

  package static func text(of findings: [Finding], seconds: Double) throws -> String {
    func count(_ verdict: Finding.Verdict) -> Int { findings.count { $0.verdict == verdict } }
    return try string(
      of: Whole(
        kernel: Kernel.release, seconds: seconds.rounded(toPlaces: 3),
        experiments: findings,
        summary: Summary(
          kept: count(.kept), broken: count(.broken), timedOut: count(.timedOut), crashed: count(.crashed),
          skipped: count(.skipped))))
  }

  package static func list(_ experiments: [Experiment]) throws -> String {
    try string(
      of: Listing(
        experiments: experiments.map {
          Listing.Entry(id: $0.id, articles: $0.articles, claim: $0.claim, truth: $0.truth, async: $0.wordOfTasks)
        }))
  }

  private static func string(of value: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(value), as: UTF8.self)
  }
}

/// One line that the process of an experiment sends to the process that started it.
enum Message: Codable {
  case trial(Trial)
  /// The experiment cannot be done on this machine.
  case skip(String)
  /// The experiment failed, though it should have been possible.
  case mishap(String)
  case done

  /// The message as one line, with its newline.
  var line: [UInt8] {
    guard let data = try? JSONEncoder().encode(self) else { return [] }
    return [UInt8](data) + [0x0A]
  }

  init?(line: some Collection<UInt8>) {
    guard let message = try? JSONDecoder().decode(Message.self, from: Data(line)) else { return nil }
    self = message
  }
}

extension Finding: Encodable {
  private enum Key: String, CodingKey {
    case id, articles, claim, truth, world, verdict, why, truthShown, seconds, trials
  }

  package func encode(to encoder: any Encoder) throws {
    var object = encoder.container(keyedBy: Key.self)
    try object.encode(id, forKey: .id)
    try object.encode(articles, forKey: .articles)
    try object.encode(claim, forKey: .claim)
    try object.encode(truth, forKey: .truth)
    try object.encode(world, forKey: .world)
    try object.encode(verdict, forKey: .verdict)
    try object.encodeIfPresent(why, forKey: .why)
    try object.encodeIfPresent(truthShown, forKey: .truthShown)
    try object.encode(seconds.rounded(toPlaces: 3), forKey: .seconds)
    try object.encode(trials, forKey: .trials)
  }
}

extension Trial: Codable {
  private enum Key: String, CodingKey {
    case side, recipe, headline, outcome, problem, held, facts
  }

  func encode(to encoder: any Encoder) throws {
    var object = encoder.container(keyedBy: Key.self)
    try object.encode(side, forKey: .side)
    try object.encode(recipe, forKey: .recipe)
    try object.encode(isHeadline, forKey: .headline)
    try object.encode(outcome, forKey: .outcome)
    try object.encodeIfPresent(problem, forKey: .problem)
    try object.encode(held, forKey: .held)
    try object.encode(facts, forKey: .facts)
  }

  init(from decoder: any Decoder) throws {
    let object = try decoder.container(keyedBy: Key.self)
    self.init(
      side: try object.decode(Side.self, forKey: .side), recipe: try object.decode(String.self, forKey: .recipe),
      isHeadline: try object.decode(Bool.self, forKey: .headline),
      facts: try object.decode([Fact].self, forKey: .facts), outcome: try object.decode(String.self, forKey: .outcome),
      problem: try object.decodeIfPresent(String.self, forKey: .problem))
  }
}

extension Fact: Codable {
  private enum Key: String, CodingKey {
    case name, value, unit, source, expected, met
  }

  func encode(to encoder: any Encoder) throws {
    var object = encoder.container(keyedBy: Key.self)
    try object.encode(name, forKey: .name)
    switch value {
    case .bytes(let count), .count(let count): try object.encode(count, forKey: .value)
    case .seconds(let seconds): try object.encode(seconds.rounded(toPlaces: 6), forKey: .value)
    case .text(let text): try object.encode(text, forKey: .value)
    case .flag(let flag): try object.encode(flag, forKey: .value)
    }
    try object.encode(value.unit, forKey: .unit)
    try object.encode(source, forKey: .source)
    try object.encodeIfPresent(expected, forKey: .expected)
    try object.encodeIfPresent(met, forKey: .met)
  }

  init(from decoder: any Decoder) throws {
    let object = try decoder.container(keyedBy: Key.self)
    let value: Value =
      switch try object.decode(String.self, forKey: .unit) {
      case "bytes": .bytes(try object.decode(Int.self, forKey: .value))
      case "count": .count(try object.decode(Int.self, forKey: .value))
      case "seconds": .seconds(try object.decode(Double.self, forKey: .value))
      case "flag": .flag(try object.decode(Bool.self, forKey: .value))
      default: .text(try object.decode(String.self, forKey: .value))
      }
    self.init(
      name: try object.decode(String.self, forKey: .name), value: value,
      source: try object.decode(String.self, forKey: .source),
      expected: try object.decodeIfPresent(String.self, forKey: .expected),
      met: try object.decodeIfPresent(Bool.self, forKey: .met))
  }
}

extension Fact.Value {
  fileprivate var unit: String {
    switch self {
    case .bytes: "bytes"
    case .count: "count"
    case .seconds: "seconds"
    case .text: "text"
    case .flag: "flag"
    }
  }
}

extension Double {
  fileprivate func rounded(toPlaces places: Int) -> Double {
    let scale = (0..<places).reduce(1.0) { scale, _ in scale * 10 }
    return (self * scale).rounded() / scale
  }
}
