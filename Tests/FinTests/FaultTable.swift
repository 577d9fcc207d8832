/// The catalogue of faults. The tests name the faults that they inject by their marks (`.faults(5)`); `Tests/faults`
/// prints both as a table.
enum FaultTable {
  struct Row: Sendable {
    let number: Int
    let fault: String
    /// The reason why no test injects the fault; `nil` when one does.
    let whyNone: String?

    init(_ number: Int, _ fault: String, whyNone: String? = nil) {
      self.number = number
      self.fault = fault
      self.whyNone = whyNone
    }
  }

  static let rows: [Row] = [
    Row(1, "close while another thread waits in receive"),
    Row(2, "close while another thread waits in send, the buffer full"),
    Row(3, "close while another thread waits in accept"),
    Row(4, "close while another thread waits in connect"),
    Row(5, "two closes at once"),
    Row(6, "close after close"),
    Row(7, "use after close"),
    Row(8, "a number reused after a double close"),
    Row(9, "a stale event for a reused slot"),
    Row(10, "a duplicated or forked descriptor, and shutdown"),
    Row(11, "a descriptor inherited through exec"),
    Row(12, "fork without exec"),
    Row(13, "close returns EINTR or EIO"),
    Row(14, "dropped without close"),
    Row(15, "adopting a descriptor that is no socket, or that Fin owns already; detaching"),
    Row(16, "a handle moved while an operation is in flight"),
    Row(17, "1,048,576 operations at once on one socket"),
    Row(18, "finishing sending twice, after the peer's FIN, on a socket without a connection"),
    Row(19, "send after finishing"),
    Row(20, "a reset in the middle of the drain"),
    Row(21, "a peer that never acknowledges the FIN"),
    Row(22, "a lost FIN"),
    Row(23, "a window that stays zero"),
    Row(24, "a peer that vanishes"),
    Row(25, "everything acknowledged, then a reset"),
    Row(26, "unread input of ours at close"),
    Row(27, "abort: one reset, no TIME-WAIT"),
    Row(28, "SO_LINGER with a time above zero"),
    Row(29, "a drain whose deadline is zero or has passed"),
    Row(30, "SIGTERM during a drain"),
    Row(31, "SIGKILL, and the path it leaves behind"),
    Row(32, "simultaneous close"),
    Row(33, "data after the peer's FIN"),
    Row(34, "closing a socket that has no stream to drain"),
    Row(35, "out of descriptors in accept"),
    Row(36, "errors of accept about a single client"),
    Row(37, "a client that was reset in the queue"),
    Row(38, "the accept queue overflows"),
    Row(39, "a SYN flood"),
    Row(40, "a listener closed or stopped with clients queued"),
    Row(41, "shutdown(SHUT_RD) on a listener"),
    Row(42, "the connection limit is reached"),
    Row(43, "a client that sends a byte at a time"),
    Row(44, "idle connections at the drain"),
    Row(45, "a handler that never returns"),
    Row(46, "thousands of connections"),
    Row(47, "refused, unreachable, prohibited, dropped"),
    Row(48, "connect interrupted by a signal"),
    Row(49, "a socket connected to itself"),
    Row(50, "ephemeral ports exhausted"),
    Row(51, "binding over TIME-WAIT"),
    Row(52, "address in use, not local, privileged"),
    Row(53, "invalid ports and addresses"),
    Row(54, "names that resolve slowly, to nothing, or to too much"),
    Row(55, "IPv6 only, IPv4-mapped, dual stack"),
    Row(56, "Unix paths: too long, stale, live, not a socket"),
    Row(57, "SIGPIPE"),
    Row(58, "EINTR at each call; ENOBUFS and ENOMEM on send"),
    Row(59, "partial, empty, too large and truncated transfers"),
    Row(60, "two readers at once"),
    Row(61, "deadlines: past, zero, huge"),
    Row(62, "cancelled tasks"),
    Row(63, "options: unknown, of the wrong size, out of range, clamped"),
    Row(64, "the wrong operation for the type"),
    Row(65, "the urgent byte"),
    Row(66, "a connection ended from outside: ss -K"),
  ]
}
