/// The version of the command, as `fin --version` and every JSON output give it.
package enum CommandVersion {
  package static let current = "0.1.0"
  /// The date of this version, as the manual pages and the packages give it.
  package static let released = "2026-11-30"
}
