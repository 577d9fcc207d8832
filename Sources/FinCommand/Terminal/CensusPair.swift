import FinDoctor
import FinTerminal

/// One snapshot of the machine, or two.
struct CensusPair {
  let census: Census
  let earlier: Census?

  /// - Parameter over: The time between two snapshots; nil for one snapshot.
  static func take(_ options: Census.Options, over: TimeSpan? = nil) throws -> CensusPair {
    guard let over else { return CensusPair(census: try Census.taking(options), earlier: nil) }
    let earlier = try Census.taking(options)
    over.pass()
    return CensusPair(census: try Census.taking(options), earlier: earlier)
  }

  /// Writes to standard error what could not be seen.
  func complain() {
    for sentence in census.gaps.sentences { Output.complain(sentence) }
  }
}

extension Census {
  /// Takes a census, or ends the command with the reason why the kernel could not be queried.
  static func taking(_ options: Options) throws -> Census {
    do {
      return try take(options)
    } catch {
      throw ExitStatus.kernelFailure.because("\(error)")
    }
  }
}
