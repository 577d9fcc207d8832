/// Shortens a script that fails.
enum Shrinking {
  /// Removes groups of steps, ever smaller, then simplifies the setting and the counts, as long as the script still
  /// fails (delta debugging).
  static func shrink(_ script: Script, mostTries: Int = 400, _ fails: (Script) -> Bool) -> Script {
    var best = script
    var tries = 0
    func holds(_ candidate: Script) -> Bool {
      tries += 1
      return tries <= mostTries && fails(candidate)
    }
    var width = max(1, best.steps.count / 2)
    while width >= 1, tries < mostTries {
      var start = 0
      var isSmaller = false
      while start < best.steps.count {
        var candidate = best
        candidate.steps.removeSubrange(start..<min(start + width, best.steps.count))
        if holds(candidate) {
          best = candidate
          isSmaller = true
        } else {
          start += width
        }
      }
      if !isSmaller || width > best.steps.count { width /= 2 }
    }
    for change in settings {
      var candidate = best
      change(&candidate.setting)
      if candidate != best, holds(candidate) { best = candidate }
    }
    for index in best.steps.indices where best.steps[index].count > 1 {
      var candidate = best
      candidate.steps[index].count = 1
      if holds(candidate) { best = candidate }
    }
    return best
  }

  private static let settings: [@Sendable (inout Setting) -> Void] = [
    { $0.a = .thread }, { $0.b = .thread }, { $0.medium = .tcp }, { $0.role = .connect }, { $0.buffers = .wide },
  ]
}
