import ArgumentParser
import FinDoctor
import FinTerminal

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
