internal import FinBase

/// Returns the bytes as text that is safe to print: see `printable`.
/// - Parameters:
///   - bytes: Bytes from another program.
///   - limit: The maximum number of bytes to show; three dots stand for the rest.
package func visible(_ bytes: some Collection<UInt8>, limit: Int = .max) -> String { printable(bytes, limit: limit) }

/// Returns the text with every character escaped that is not plainly printable, and the backslash.
package func visible(_ text: String, limit: Int = .max) -> String { printable(text.utf8, limit: limit) }
