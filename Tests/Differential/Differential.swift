import Glibc
import Peers

/// Random sequences of verbs on sockets of the kernel's, beside a model of what must come of each step.
///
///     Differential                        1000 scripts, from seed 1
///     Differential 20000 7                20,000 scripts, from seed 7
///     Differential minutes 60             for an hour, from a seed that it prints
///     Differential play SCRIPT            one script, as an earlier run printed it, step by step
///     Differential seed 42                the script of one seed, step by step
///
/// A script that fails is shrunk, and the rest of it is printed as the words that play it again. Each batch runs in a
/// process of its own, so that a trap is laid to a script as well. Ends with status 1 when a script failed.
@main
enum Differential {
  static func main() throws {
    var words = Array(CommandLine.arguments.dropFirst())
    // A model that takes an end of file for a reset must be found out: the test of this test.
    if words.first == "wrong" {
      words.removeFirst()
      unsafe setenv("FIN_WRONG_MODEL", "1", 1)
    }
    switch words.first {
    case "play":
      guard words.count == 2, let script = Script(words[1]) else { stop("play what? \(words.dropFirst())") }
      exit(try play(script))
    case "seed":
      guard words.count == 2, let seed = UInt64(words[1]) else { stop("which seed?") }
      exit(try play(Script(seed: seed)))
    case "batch":
      guard words.count == 3, let count = Int(words[1]), let seed = UInt64(words[2]) else { stop("batch COUNT SEED") }
      exit(try batch(count, from: seed))
    case "minutes":
      guard words.count == 2, let minutes = Int(words[1]) else { stop("how many minutes?") }
      let seed = UInt64.random(in: 1...1 << 40)
      print("from seed \(seed)")
      let end = ContinuousClock.now + .seconds(60 * minutes)
      var failed = 0
      var next = seed
      while ContinuousClock.now < end {
        failed += try run(500, from: next)
        next += 500
      }
      print("\(next - seed) scripts, \(failed) failed")
      exit(failed == 0 ? 0 : 1)
    default:
      let numbers = words.map { UInt64($0) }
      guard numbers.count <= 2, !numbers.contains(nil) else { stop("see the head of Differential.swift") }
      let count = Int(numbers.first.flatMap { $0 } ?? 1000)
      let failed = try run(count, from: numbers.count == 2 ? numbers[1]! : 1)
      print("\(count) scripts, \(failed) failed")
      exit(failed == 0 ? 0 : 1)
    }
  }

  private static func stop(_ reason: String) -> Never {
    print(reason)
    exit(2)
  }

  private static func play(_ script: Script) throws -> CInt {
    print(script)
    guard let complaint = Stage.play(script, try Executors(), isVerbose: true) else { return 0 }
    print("FAILED \(complaint)")
    return 1
  }

  /// Says which seed it plays before it plays it: the last one said is to blame when the process ends.
  private static func batch(_ count: Int, from seed: UInt64) throws -> CInt {
    let executors = try Executors()
    for seed in seed..<(seed + UInt64(count)) {
      print("seed \(seed)")
      fflush(nil)
      if let complaint = Stage.play(Script(seed: seed), executors) {
        print("FAILED \(complaint)")
        return 1
      }
    }
    return 0
  }

  // MARK: From outside

  /// - Returns: how many failed.
  private static func run(_ count: Int, from seed: UInt64) throws -> Int {
    var next = seed
    let end = seed + UInt64(count)
    var failed = 0
    while next < end {
      guard let culprit = try culprit(["batch", "\(end - next)", "\(next)"]) else { break }
      failed += 1
      report(culprit.seed, culprit.said)
      next = culprit.seed + 1
    }
    return failed
  }

  /// Runs a batch in a process of its own.
  ///
  /// - Returns: the seed that failed; `nil` when none did.
  private static func culprit(_ words: [String]) throws -> (seed: UInt64, said: String)? {
    try withChild("/proc/self/exe", words) { child in
      var last: UInt64 = 0
      var said = "the process ended"
      do {
        while let line = try child.readLine(within: .seconds(90)) {
          if line.hasPrefix("seed ") { last = UInt64(line.dropFirst(5)) ?? 0 } else { said = line }
        }
        let exit = try child.wait(within: .seconds(60))
        if exit == .exited(0) { return nil }
        return (last, "\(said) (\(exit))")
      } catch { return (last, "\(error)") }
    }
  }

  /// The sense of a complaint, without its numbers and without the step.
  private static func kind(_ said: String) -> String {
    let lines = said.split(separator: "\n")
    guard let last = lines.last(where: { $0.hasPrefix("FAILED") }) else { return "no verdict" }
    let words = last.split(separator: ": ")
    return String(
      (words.count > 2 ? words.dropFirst(2).joined() : words.last.map(String.init) ?? "").filter { !$0.isNumber })
  }

  private static func report(_ seed: UInt64, _ said: String) {
    print("seed \(seed): \(said)")
    fflush(nil)
    let script = Script(seed: seed)
    func outcome(_ script: Script) -> String? {
      try? withChild("/proc/self/exe", ["play", "\(script)"]) { child in
        let text = try child.readToEnd(within: .seconds(60))
        return try child.wait(within: .seconds(60)) == .exited(0) ? nil : text
      } ?? "no end in a minute"
    }
    func kind(_ script: Script) -> String? { outcome(script).map(Differential.kind) }
    guard let wanted = kind(script) else { return print("  played alone, it does not fail: '\(script)'") }
    let small = Shrinking.shrink(script) { kind($0) == wanted }
    print("  play '\(small)'")
    if let text = outcome(small) {
      for line in text.split(separator: "\n").dropFirst().suffix(12) { print("  \(line)") }
    }
  }
}
