internal import FinBase

extension Double {
  /// The number with as many decimals as a reader needs: "0.31", "12.4", "108".
  var short: String {
    let places = self < 10 ? 2 : self < 100 ? 1 : 0
    let scale = [1.0, 10, 100][places]
    let scaled = Int((self * scale).rounded())
    guard places > 0 else { return scaled.grouped }
    let (whole, rest) = scaled.quotientAndRemainder(dividingBy: Int(scale))
    return "\(whole)." + String(repeating: "0", count: places - String(rest).count) + String(rest)
  }
}

extension Double {
  /// This number of seconds as "12.4 s", "0.31 s", "4.2 ms" or "0 ms".
  var time: String {
    let milliseconds = self * 1000
    if self >= 0.1 { return "\(short) s" }
    return milliseconds < 0.05 ? "0 ms" : "\((milliseconds * 10).rounded() / 10) ms"
  }
}

extension Duration {
  package var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
  var inMilliseconds: Int { Int(components.seconds) * 1000 + Int(components.attoseconds / 1_000_000_000_000_000) }
}

/// Runs an async body, and measures how long it took.
func timed<Value>(_ body: () async throws -> Value) async rethrows -> (Value, seconds: Double) {
  let clock = ContinuousClock()
  let begun = clock.now
  let answer = try await body()
  return (answer, (clock.now - begun).inSeconds)
}

/// Runs a body, and measures how long it took.
func timed<Value>(_ body: () throws -> Value) rethrows -> (Value, seconds: Double) {
  let clock = ContinuousClock()
  let begun = clock.now
  let answer = try body()
  return (answer, (clock.now - begun).inSeconds)
}
