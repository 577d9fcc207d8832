/// The language that a program is probably written in, so that a remedy can use its terms.
public enum Language: String, CaseIterable, Hashable, Sendable {
  /// Run by a Python interpreter.
  case python
  /// Run by Node or another JavaScript runtime.
  case node
  /// Run by a Java virtual machine, whatever the source language.
  case java
  /// Compiled by Go.
  case go
  /// Compiled by Swift.
  case swift
  /// Any other language; remedies use the terms of system calls.
  case unknown

  /// Guesses the language from the name of the executable.
  package init(executable name: String) {
    func isNamed(_ stem: String) -> Bool {
      // A version may follow the name: `python3.11`, `java8`.
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

  /// Guesses the language from the section names that the compilers leave in an executable.
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
