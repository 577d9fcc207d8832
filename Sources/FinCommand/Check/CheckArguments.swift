import ArgumentParser
import FinDoctor

/// A severity, given by its name.
struct SeverityName: ExpressibleByArgument {
  var severity: Severity

  init(severity: Severity) { self.severity = severity }

  init?(argument: String) {
    guard let found = Severity.allCases.first(where: { $0.description == argument.lowercased() }) else { return nil }
    severity = found
  }

  var defaultValueDescription: String { severity.description }
}

/// A finding, given by its code or name.
struct FindingName {
  var id: FindingID

  /// - Throws: `ValidationError` with the nearest finding and all of them.
  init(parsing argument: String) throws {
    guard let id = FindingID(argument) else {
      throw unknownWord(argument, among: FindingID.allCases.flatMap { [$0.rawValue, $0.name] }, "finding")
    }
    self.id = id
  }
}
