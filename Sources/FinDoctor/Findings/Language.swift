/// What a program is probably written in: so that the change can be told in its terms.
public enum Language: String, CaseIterable, Hashable, Sendable {
  /// The interpreter of Python.
  case python
  /// Node, and others that run JavaScript.
  case node
  /// A Java virtual machine, whatever language ran through it.
  case java
  /// A program that Go's compiler made.
  case go
  /// A program that Swift's compiler made.
  case swift
  /// Anything else: told in terms of the system's own calls.
  case unknown

  /// By the name of the executable.
  public init(executable name: String) {
    func isNamed(_ stem: String) -> Bool {
      // `python3.11`, `java8`: the version is a part of the name.
      name.hasPrefix(stem) && name.dropFirst(stem.count).allSatisfy { $0.isNumber || $0 == "." || $0 == "-" }
    }
    if isNamed("python") || isNamed("pypy") || name == "uwsgi" || name.hasPrefix("gunicorn") {
      self = .python
    } else if isNamed("node") || name == "nodejs" || name == "bun" || name == "deno" {
      self = .node
    } else if isNamed("java") {
      self = .java
    } else {
      self = .unknown
    }
  }

  /// By what the compilers leave in the names of an executable's sections.
  init(sections: some Sequence<Substring>) {
    self = .unknown
    for section in sections {
      if section == ".go.buildinfo" || section == ".note.go.buildid" {
        self = .go
        return
      }
      if section.hasPrefix("swift5_") { self = .swift }
    }
  }
}
