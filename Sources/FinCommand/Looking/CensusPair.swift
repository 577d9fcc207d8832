import ArgumentParser
import FinDoctor

/// One snapshot of the machine, or two.
struct CensusPair {
  let census: Census
  let earlier: Census?

  /// - Parameter over: The time between two snapshots; nil for one snapshot.
  static func take(_ options: Census.Options, over: TimeSpan? = nil) throws -> CensusPair {
    guard let over else { return CensusPair(census: try one(options), earlier: nil) }
    let earlier = try one(options)
    over.pass()
    return CensusPair(census: try one(options), earlier: earlier)
  }

  private static func one(_ options: Census.Options) throws -> Census {
    do {
      return try Census.take(options)
    } catch {
      Output.complain("fin: \(error)\n")
      throw ExitCode(71)
    }
  }

  /// Writes to standard error what could not be seen.
  func complain() {
    for sentence in census.gaps.sentences { Output.complain("fin: \(sentence)\n") }
  }
}

/// Phrases that the texts of several commands share.
enum Phrase {
  /// `12,400`, `12`, `3.2`, `0.25`, `0`
  static func rate(_ perSecond: Double) -> String {
    guard perSecond.isFinite, perSecond > 0 else { return "0" }
    if perSecond >= 10 { return number(Int(min(perSecond, 1e12).rounded())) }
    let digits = perSecond >= 1 ? 10 : 100
    let scaled = Int((perSecond * Double(digits)).rounded())
    if scaled == 0 { return "less than 0.01" }
    if scaled % digits == 0 { return "\(scaled / digits)" }
    let fraction = String(scaled % digits)
    let zeros = String(repeating: "0", count: (digits == 10 ? 1 : 2) - fraction.count)
    return "\(scaled / digits).\(zeros)\(fraction)"
  }

  /// `28,232`
  static func number(_ value: Int) -> String {
    var text = ""
    for (place, digit) in String(value.magnitude).reversed().enumerated() {
      if place > 0, place % 3 == 0 { text.append(",") }
      text.append(digit)
    }
    return (value < 0 ? "-" : "") + String(text.reversed())
  }

  /// `1 client`, `3 clients`
  static func noun(_ count: Int, _ one: String, _ many: String? = nil) -> String {
    "\(number(count)) \(count == 1 ? one : many ?? one + "s")"
  }

  /// The text in place of a program's name if the process ended between the reading of its descriptors and of its name.
  static let ended = "(ended)"

  /// `nginx[812]`; `(ended)[812]` for a process that ended during the census.
  static func program(_ pid: Int32, in census: Census) -> String {
    pid == 0 ? "unknown" : "\(census.programs[pid]?.name ?? ended)[\(pid)]"
  }

  /// Returns lines with a margin that are no wider than the paper; a word that is too long is broken.
  static func lines(_ label: String, _ text: String, margin: Int = 2, labelWidth: Int = 10, on paper: Terminal)
    -> [String]
  {
    let room = paper.width - margin - labelWidth
    let pieces = Terminal.wrap(text, to: room).flatMap { line -> [String] in
      var pieces: [String] = []
      var rest = line[...]
      while rest.count > room {
        pieces.append(String(rest.prefix(room)))
        rest = rest.dropFirst(room)
      }
      return pieces + [String(rest)]
    }
    let blank = String(repeating: " ", count: labelWidth)
    return pieces.enumerated().map { place, piece in
      String(repeating: " ", count: margin)
        + (place == 0 ? paper.ink(.quiet, Terminal.pad(label, to: labelWidth)) : blank) + piece
    }
  }
}

extension JSONWriter {
  /// Writes the members of a process, as all schemas have them.
  mutating func write(program pid: Int32, in census: Census) {
    if pid > 0 { write("pid", number: UInt64(pid)) }
    if let program = census.programs[pid] {
      write("program", string: program.name)
      if let script = program.script { write("script", string: script) }
      if let unit = program.unit { write("unit", string: unit) }
      if let container = program.container { write("container", string: container) }
    }
  }

  /// Writes two bounds in milliseconds; nothing if they are unknown.
  mutating func write(_ key: JSONKey, since: AgeBounds?) {
    guard let since, since != .unknown else { return }
    object(key) { json in
      json.write("atLeastMilliseconds", number: since.lower)
      if since.atMost != nil { json.write("atMostMilliseconds", number: since.upper) }
    }
  }

  /// Writes the members that every schema begins with.
  mutating func writeHead(_ census: Census) {
    write("version", number: UInt64(1))
    write("fin", string: FinCommand.version)
    write("taken", number: UInt64(max(0, census.when.wall)) / 1_000_000)
    array("hidden") { json in
      for sentence in census.gaps.sentences { json.write(string: sentence) }
    }
  }
}
