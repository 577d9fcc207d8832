/// The states of a TCP connection by the kernel's numbers (`net/tcp_states.h`), and their names in RFC 9293, section
/// 3.3.2.
package enum TCPStates {
  /// The names of the states 1 to 11; the kernel's numbers begin with 1.
  private static let names = [
    "ESTABLISHED", "SYN-SENT", "SYN-RECEIVED", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "CLOSED", "CLOSE-WAIT",
    "LAST-ACK", "LISTEN", "CLOSING",
  ]

  /// The state's name as RFC 9293 writes it, `FIN-WAIT-2`; nil for a number that is no state of the RFC.
  package static func name(_ number: UInt8) -> String? {
    number >= 1 && number <= names.count ? names[Int(number) - 1] : nil
  }
}
