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

  /// Checks that the interfaces that addresses name exist: each in one of the namespaces that are meant.
  /// - Parameters:
  ///   - names: The names.
  ///   - places: The namespaces, as indices; nil for all.
  func require(interfaces names: Set<String>, in places: Set<Int>? = nil) throws {
    for name in names.sorted() {
      let isKnown = namespaces.indices.contains { place in
        places?.contains(place) != false && namespaces[place].interfaces[name] != nil
      }
      if isKnown { continue }
      let meant = places.map { $0.sorted().map { namespaces[$0].name }.joined(separator: ", ") }
      throw ExitStatus.usage.because(
        "no interface is called \(visible(name, limit: 64)) in "
          + (meant.map { "network namespace \($0)" } ?? "the network namespaces that were read"))
    }
  }
}
