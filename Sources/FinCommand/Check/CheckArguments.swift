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
struct FindingName: ExpressibleByArgument {
  var id: FindingID

  init?(argument: String) {
    guard let id = FindingID(argument) else { return nil }
    self.id = id
  }
}
