import ArgumentParser
import FinDoctor
import FinTerminal

/// One snapshot of the machine, or two.
struct CensusPair {
  var census: Census
  let earlier: Census?
  /// The file that the snapshot comes from; nil for the running machine.
  var record: CensusRecord?

  /// - Parameters:
  ///   - over: The time between two snapshots; nil for one snapshot.
  ///   - source: The option that may name a file to read instead of the machine; nil for a command without it.
  static func take(_ options: Census.Options, over: TimeSpan? = nil, from source: SourceOption? = nil) throws
    -> CensusPair
  {
    guard over == nil || source?.isUsed != true else {
      throw ValidationError("--over needs the running machine: --from and --at are about one moment.")
    }
    if let record = try source?.read(options) {
      return CensusPair(census: record.census, earlier: nil, record: record)
    }
    guard let over else { return CensusPair(census: try Census.taking(options), earlier: nil) }
    let earlier = try Census.taking(options)
    over.pass(showing: "between the two looks")
    return CensusPair(census: try Census.taking(options), earlier: earlier)
  }

  /// The gaps of the census, one sentence each.
  var hidden: [String] { record?.hidden ?? census.gaps.sentences }

  /// Writes to standard error what could not be seen.
  func complain() {
    for sentence in hidden { Output.complain(sentence) }
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
