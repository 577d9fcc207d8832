import CAllocations
import Glibc

/// Counts what is asked of the allocator, by every thread of this process, while connections are used: what is said to be free
/// of allocations, and of copies, is counted and not guessed. Meant for a release build: `.ci/allocations`.
///
///     Allocations            all of it
///     Allocations trips      round trips
///     Allocations copies     sending a mebibyte
///
/// Ends with status 1 when a count is not as it is promised, 2 when nothing can be counted.
@main
enum Allocations {
  static func main() async throws {
    let words = CommandLine.arguments.dropFirst()
    guard words.allSatisfy({ ["trips", "copies"].contains($0) }) else {
      return stop("usage: Allocations [trips] [copies]")
    }
    guard allocations_are_counted() == 1 else { return stop("this build has an allocator that is not counted") }
    var counts: [Count] = []
    if words.isEmpty || words.contains("trips") { counts += try await RoundTrips.all() }
    if words.isEmpty || words.contains("copies") { counts += try await Copies.all() }
    for count in counts { print(count) }
    if counts.contains(where: { !$0.isKept }) { exit(1) }
  }

  private static func stop(_ reason: String) {
    print(reason)
    exit(2)
  }
}

/// What was counted, and what was promised.
struct Count: CustomStringConvertible {
  enum Promise {
    /// Nothing at all is asked for.
    case nothing
    /// At most so many bytes.
    case bytes(atMost: Int)
    /// Not promised but known, so that a counter that counts nothing is found out.
    case control(bytes: Int)
  }

  let title: String
  let asked: allocations
  let promise: Promise

  init(_ title: String, _ asked: allocations, _ promise: Promise) {
    self.title = title
    self.asked = asked
    self.promise = promise
    if !isKept {
      print("\(title): the first who asked:")
      fflush(nil)
      allocations_print_first()
    }
  }

  var isKept: Bool {
    switch promise {
    case .nothing: asked.calls == 0
    case .bytes(let most): asked.bytes <= most
    case .control(let least): asked.bytes >= least
    }
  }

  var description: String {
    let wanted =
      switch promise {
      case .nothing: "0 calls"
      case .bytes(let most): "at most \(most) bytes"
      case .control(let least): "at least \(least) bytes, which shows that the counter counts"
      }
    return "\(isKept ? "ok    " : "BROKEN") \(title): \(asked.calls) calls for \(asked.bytes) bytes (\(wanted))"
  }
}
