import Glibc

/// Unbuffered output, so that nothing that was written is lost if the program crashes afterwards.
package enum Output {
  package static func write(_ text: String) { write([UInt8](text.utf8)) }

  package static func write(_ bytes: [UInt8]) { write(bytes, to: STDOUT_FILENO) }

  /// Writes a sentence to standard error, with the command's name before it.
  package static func complain(_ sentence: String) { write([UInt8]("fin: \(sentence)\n".utf8), to: STDERR_FILENO) }

  private static func write(_ bytes: [UInt8], to descriptor: CInt) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress!, $0.count) }
      guard count > 0 else { return }
      rest = rest.dropFirst(count)
    }
  }
}
