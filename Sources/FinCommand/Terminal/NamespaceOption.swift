import ArgumentParser
import FinDoctor

/// The option that names a network namespace.
struct NamespaceOption: ParsableArguments {
  @Option(
    help: ArgumentHelp("Only in this network namespace, by name or inode, as fin list shows them.", valueName: "name"),
    completion: Completions.namespaces)
  var namespace: String?

  /// The namespaces with this name or inode, as indices in the census; nil if none is named.
  func places(in census: Census) throws -> Set<Int>? {
    guard let namespace else { return nil }
    let places = census.namespaces.indices.filter { place in
      census.namespaces[place].name == namespace || "\(census.namespaces[place].inode)" == namespace
    }
    if places.isEmpty {
      throw ExitStatus.unavailable.because("no visible network namespace is called \(visible(namespace))")
    }
    return Set(places)
  }
}
