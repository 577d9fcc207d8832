internal import FinBase

/// The limits on what a census takes from other programs: bytes, entries, and time. Other programs decide how large and
/// how slow their files, ledgers and command lines are, so each has a limit here, and a report says what was cut.
enum Budget {
  // MARK: Time

  /// A reading that neither ran nor ended for this long is given up: the kernel waits for another program.
  static let silence = Duration.milliseconds(700)
  /// The same for the details of a single socket, after a dump has shown that one is locked.
  static let silenceOfSocket = Duration.milliseconds(250)
  /// A reading without a result for this long is given up, even if the kernel works on it.
  static let answer = Duration.seconds(10)
  /// The time after which a silent process is asked again.
  static let memory = Duration.seconds(60)
  /// The readings of one user's processes that may be given up, before this user's other processes are left out.
  static let silencesOfUser = 2
  /// The readings that may be given up in all, before the rest is left out.
  static let silences = 4

  // MARK: Bytes and entries

  /// The length of a command line.
  static let commandLine = 4096
  /// The description of one epoll instance: 100,000 entries are eight million bytes.
  static let epollSet = 32 << 20
  /// The description of one io_uring.
  static let ring = 1 << 20
  /// The entries of all epoll instances of a process.
  static let interests = 1 << 20
  /// The threads of a process whose system calls are read.
  static let threads = 8192
  /// The bytes that are read from the memory of a process for the descriptors that its threads poll.
  static let polled = 64 << 20
  /// The threads that are kept for each descriptor that is polled.
  static let threadsOfDescriptor = 4
  /// The ledgers of a process that are read: more than a reader can use.
  static let ledgers = 8
  /// The records that are read from the ledgers of a process.
  static let ledgerRecords = 1 << 18
  /// The bytes that are read from the ledgers of all processes in one pass.
  static let ledgerBytes = 128 << 20
  /// The ports whose connections closed with unread data are counted apart.
  static let closedPorts = 4096
}
