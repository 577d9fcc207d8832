extension Duration {
  /// The time as a person would say it, rounded to three digits or to whole units: `0.4 ms`, `250 ms`, `1.5 s`, `30 s`.
  /// A remaining time is never a round number of nanoseconds, and the last of them mean nothing to a reader.
  var text: String {
    // A longer duration may have more seconds than `components` can count.
    guard self < .seconds(1_000_000_000) else { return "more than 30 years" }
    guard self > .zero else { return "0 ms" }
    let (seconds, attoseconds) = components
    // Rounded to whole microseconds; then to tenths of a millisecond, or to hundredths of a second.
    let total = seconds * 1_000_000 + (attoseconds + 500_000_000_000) / 1_000_000_000_000
    // From 999.95 ms on, the tenths of a millisecond would round up to 1,000 ms.
    if total < 999_950 { return Duration.decimal(total, unit: 1000, digit: 100) + " ms" }
    if total < 60_000_000 { return Duration.decimal(total, unit: 1_000_000, digit: 10_000) + " s" }
    return "\((total + 500_000) / 1_000_000) s"
  }

  /// `value` in `unit`, rounded to multiples of `digit`, without zeros at the end.
  private static func decimal(_ value: Int64, unit: Int64, digit: Int64) -> String {
    let rounded = (value + digit / 2) / digit
    let whole = rounded * digit / unit
    var fraction = String(rounded * digit % unit / digit)
    let width = String(unit / digit).utf8.count - 1
    fraction = String(repeating: "0", count: width - fraction.utf8.count) + fraction
    while fraction.hasSuffix("0") { fraction.removeLast() }
    return fraction.isEmpty ? "\(whole)" : "\(whole).\(fraction)"
  }
}
