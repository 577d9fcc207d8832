/// The version of the command, as `fin --version` and every JSON output give it.
package enum CommandVersion {
  package static let current = "0.1.0"
}
