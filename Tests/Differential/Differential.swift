import Glibc
import Peers

/// Runs random sequences of verbs on real sockets, and compares each result with a model.
///
///     Differential                        1000 scripts, from seed 1
///     Differential 20000 7                20,000 scripts, from seed 7
///     Differential minutes 60             for an hour, from a random seed that it prints
///     Differential play SCRIPT            one script that an earlier run printed, step by step
///     Differential seed 42                the script of one seed, step by step
///
/// A script that fails is shrunk, and the result is printed as the arguments that play it again. Each batch runs in a
/// process of its own, so that a trap is attributed to a script too. Exits with status 1 if a script failed.
@main
enum Differential {
  static func main() throws {
    var words = Array(CommandLine.arguments.dropFirst())
    // Tests this test: a model that rejects EOF must make scripts fail.
    if words.first == "wrong" {
      words.removeFirst()
      unsafe setenv("FIN_WRONG_MODEL", "1", 1)
    }
    switch words.first {
    case "play":
      guard words.count == 2, let script = Script(words[1]) else { stop("not a script: \(words.dropFirst())") }
      exit(try play(script))
    case "seed":
      guard words.count == 2, let seed = UInt64(words[1]) else { stop("usage: seed NUMBER") }
      exit(try play(Script(seed: seed)))
    case "batch":
      guard words.count == 3, let count = Int(words[1]), let seed = UInt64(words[2]) else {
        stop("usage: batch COUNT SEED")
      }
      exit(try batch(count, from: seed))
    case "minutes":
      guard words.count == 2, let minutes = Int(words[1]) else { stop("usage: minutes COUNT") }
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
      guard numbers.count <= 2, !numbers.contains(nil) else { stop("usage: see the top of Differential.swift") }
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

  /// Plays scripts and prints each seed first: if the process ends, the last printed seed is the cause.
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

  // MARK: Batches in child processes

  /// Runs scripts in batches; after a failure the next batch begins with the following seed.
  ///
  /// - Returns: The number of scripts that failed.
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
  /// - Returns: The seed that failed; `nil` if none did.
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

  /// A complaint without its numbers and without the step, to recognise the same failure in a shorter script.
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
      } ?? "not finished within a minute"
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
