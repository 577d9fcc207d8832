import CAllocations
import Glibc

/// Counts the allocations of all threads of this process while connections are used, to check that the operations said
/// to be free of allocations and copies are. Meant for a release build: `.ci/allocations`.
///
///     Allocations            both of the following
///     Allocations trips      round trips
///     Allocations copies     sending a mebibyte
///
/// Exits with status 1 if a count breaks its promise, 2 if the allocator cannot be counted.
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

/// The counted allocations of an operation, and the promise for them.
struct Count: CustomStringConvertible {
  enum Promise {
    /// No allocation at all.
    case nothing
    /// At most `atMost` bytes.
    case bytes(atMost: Int)
    /// Not a promise but a known minimum, which detects a counter that counts nothing.
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
