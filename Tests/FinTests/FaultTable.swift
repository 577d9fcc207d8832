/// The catalogue of faults, and the tests that inject each. `FaultTableTests` holds it against the tests' own marks.
enum FaultTable {
  struct Row: Sendable {
    let number: Int
    let fault: String
    let tests: [String]
    /// Why there is no test, where there is none.
    let whyNone: String?

    init(_ number: Int, _ fault: String, _ tests: String..., whyNone: String? = nil) {
      self.number = number
      self.fault = fault
      self.tests = tests + (FaultTable.inTasks[number] ?? [])
      self.whyNone = whyNone
    }
  }

  static let rows: [Row] = [
    Row(
      1, "close while another thread waits in receive",
      "closing wakes every receiver that waits, and every later call says closed",
      "a receiver that is parked already wakes with the close",
      "a close ends a receive that never has to wait",
      "eight tasks open, exchange and close at random, and cancel each other: every byte lands where it was sent or is reported",
      "four tasks and four threads on the same sockets, at random: every byte lands where it was sent or is reported",
      "a receive that waits wakes with .closed, and close returns when it has left",
      "when close returns the number is free, whoever was inside",
      "eight threads open, exchange and close at random: every byte lands where it was sent or is reported, and nothing is left"
    ),
    Row(
      2, "close while another thread waits in send, the buffer full",
      "closing wakes a sender that waits for a full queue",
      "eight tasks open, exchange and close at random, and cancel each other: every byte lands where it was sent or is reported",
      "four tasks and four threads on the same sockets, at random: every byte lands where it was sent or is reported",
      "a send that waits for room wakes with .closed and says how many bytes were accepted: exactly those arrive",
      "a send that waits for room wakes at an abort as well, and what did not arrive is in the report",
      "queued writers wake with .closed; nothing of theirs was accepted",
      "when close returns the number is free, whoever was inside",
      "eight threads open, exchange and close at random: every byte lands where it was sent or is reported, and nothing is left"
    ),
    Row(
      3, "close while another thread waits in accept",
      "every accept that waits wakes with .closed when another thread stops the listener, and the port is free",
      "when close returns the number is free, whoever was inside"),
    Row(
      4, "close while another thread waits in connect",
      "a connect whose SYN gets no answer wakes with .closed, and no SYN is left",
      "a connect that waits for a place in a full queue wakes with .closed, and no SYN is left"),
    Row(
      5, "two closes at once",
      "closing wakes every receiver that waits, and every later call says closed",
      "eight tasks open, exchange and close at random, and cancel each other: every byte lands where it was sent or is reported",
      "four tasks and four threads on the same sockets, at random: every byte lands where it was sent or is reported",
      "eight threads close at once, with readers and writers inside: one does the work, all get its report",
      "SECOND_CLOSE, RELEASED: of eight who close at once one does the work, and none returns before it is done",
      "eight threads open, exchange and close at random: every byte lands where it was sent or is reported, and nothing is left"
    ),
    Row(
      6, "close after close",
      "closing wakes every receiver that waits, and every later call says closed",
      "eight tasks open, exchange and close at random, and cancel each other: every byte lands where it was sent or is reported",
      "four tasks and four threads on the same sockets, at random: every byte lands where it was sent or is reported",
      "a second close does nothing and gives the same report",
      "eight threads open, exchange and close at random: every byte lands where it was sent or is reported, and nothing is left"
    ),
    Row(
      7, "use after close",
      "with it, none does, and the compiler names the misuse",
      "closing wakes every receiver that waits, and every later call says closed",
      "eight tasks open, exchange and close at random, and cancel each other: every byte lands where it was sent or is reported",
      "four tasks and four threads on the same sockets, at random: every byte lands where it was sent or is reported",
      "after a close every verb throws .closed and asks the kernel nothing",
      "eight threads open, exchange and close at random: every byte lands where it was sent or is reported, and nothing is left"
    ),
    Row(
      8, "a number reused after a double close",
      "eight tasks open, exchange and close at random, and cancel each other: every byte lands where it was sent or is reported",
      "four tasks and four threads on the same sockets, at random: every byte lands where it was sent or is reported",
      "a number that a stranger closed stops the program at our close, and says so",
      "eight threads open, exchange and close at random: every byte lands where it was sent or is reported, and nothing is left"
    ),
    Row(
      9, "a stale event for a reused slot",
      "eight tasks open, exchange and close at random, and cancel each other: every byte lands where it was sent or is reported",
      "four tasks and four threads on the same sockets, at random: every byte lands where it was sent or is reported"),
    Row(
      10, "a duplicated or forked descriptor, and shutdown",
      "closing one of two descriptors of a connection ends nothing; the last one's close does"),
    Row(
      11, "a descriptor inherited through exec",
      "a socket closes on exec and does not block",
      "a listener, the connection that comes and the one that is accepted",
      "a listener made of a bound socket",
      "both ends of a pair, and a duplicate",
      "an adopted descriptor that was neither becomes both",
      "what waits need: wakers and pollers close on exec",
      "a detached descriptor is still both",
      "a program that we start inherits nothing",
      "a listener that somebody else made is served, its queued clients too, and safe from then on"),
    Row(
      12, "fork without exec",
      "a child forked without exec is stopped at its first operation, with the reason",
      "a process may fork before its first socket"),
    Row(
      13, "close says EINTR or EIO",
      "close is never retried, whatever it says",
      "close(2) is asked once, also when it says EINTR or EIO, and the number is free"),
    Row(
      14, "dropped without close",
      "it says where it was opened, how old it is, its state, what was unread and what was unacknowledged",
      "bytes that were read ahead and not taken are unread too",
      "every kind of owner, dropped open, is reported and its descriptor closed",
      "report: one line on standard error, and the program goes on",
      "trap: the program stops with the report",
      "quiet: nothing is said, and the ledger counts it",
      "a socket dropped open is closed and reported with the line that opened it, fresh or bound"),
    Row(
      15, "adopting what is not a socket, or is ours already; detaching",
      "a socket from elsewhere is taken over, safe from then on, and given away again",
      "what is no datagram socket is refused, and untouched",
      "a listener that somebody else made is served, its queued clients too, and safe from then on",
      "a listener given away keeps its clients: its successor serves them",
      "a Unix listener given away keeps its path; who takes it over leaves it to who made it",
      "what does not listen is refused, and untouched",
      "a listener that a stop has released cannot be given away: closed"),
    Row(
      16, "a handle moved while an operation is in flight",
      "with it, none does, and the compiler names the misuse"),
    Row(
      17, "1,048,576 operations at once on one socket",
      "1,048,575 operations at once are let in; one more is refused, in every way to enter"),
    Row(
      18, "finishing twice, after the peer's FIN, on a socket without a connection",
      "the peer finishes first: we read its end and may still send",
      "finishing twice is finishing once: one FIN",
      "what is not connected has nothing to finish, and can still connect and send"),
    Row(
      19, "send after finishing",
      "sending after finishing is an error that says so, and never SIGPIPE"),
    Row(
      20, "a reset in the middle of the drain",
      "the report names the ending and the bytes",
      "a reset in the middle of much data: what was acknowledged by then is not counted",
      "a reset between the last look and our FIN: all of the bytes are counted, and none for a FIN"),
    Row(
      21, "a peer that never acknowledges the FIN",
      "a background close returns at once; the kernel's orphan is gone after its time",
      "the report names the ending and the bytes"),
    Row(
      22, "a FIN that is lost",
      "the first two FINs are lost: it waits until the third is acknowledged"),
    Row(
      23, "a zero window for ever",
      "a background close returns at once; the kernel's orphan is gone after its time",
      "the report names the ending and the bytes",
      "a peer whose window let half of it through: never sent is what did not leave, without the FIN"),
    Row(
      24, "a peer that vanishes",
      "a peer that vanishes while nothing is said: keepalive finds out",
      "bytes that stay unacknowledged for the time for sends: the connection is given up, and they are counted",
      "the kernel gives up in the middle of a close: time ran out in that phase",
      "the link goes down: time runs out in the phase it was in; the bytes are counted",
      "the link goes down and the kernel gives up before the close: that is in the report"),
    Row(
      25, "everything acknowledged, then a reset",
      "the report names the ending and the bytes",
      "a program that closes without reading, seen while we linger: acknowledged, then discarded",
      "a program closes with our bytes unread: all acknowledged, and discarded",
      "a program is killed with our bytes unread, while we linger"),
    Row(
      26, "our own unread input at close",
      "what we have not read does not become a reset: it is read, counted, and the peer gets a FIN",
      "what was buffered and not taken counts as discarded"),
    Row(
      27, "abort: one reset, no TIME-WAIT",
      "an abort is exactly one RST, whatever was unread or unsent, and leaves nothing behind",
      "an abort after our FIN is one RST too",
      "the peer of an abort hears a reset",
      "an aborted connection leaves no TIME-WAIT on either side"),
    Row(
      28, "SO_LINGER above zero is never used",
      "an adopted descriptor that lingers does not hold its close",
      "SO_LINGER is set in one place, to no time, and by nobody else"),
    Row(
      29, "a drain whose deadline is zero or has passed",
      "no time left, or none at all: one look, no wait"),
    Row(
      30, "SIGTERM during a drain",
      "one SIGTERM: who is queued is served, a conversation goes on to its own end, and the exit status is 0",
      "a second SIGTERM: the conversation that runs is aborted, its peer hears a reset, and the exit status is another"),
    Row(
      31, "SIGKILL, and the path it leaves behind",
      "a path that a dead server left behind is replaced, whatever its kind"),
    Row(
      32, "simultaneous close",
      "the report names the ending and the bytes"),
    Row(
      33, "data after the peer's FIN",
      "data after a FIN is ignored: the end stays the end"),
    Row(
      34, "closing what has no stream to drain",
      "what is no datagram socket is refused, and untouched",
      "what does not listen is refused, and untouched"),
    Row(
      35, "out of descriptors in accept",
      "no room and nobody waiting: it waits as always, and takes who comes then",
      "no room and a client waiting: an error, and the client stays queued",
      "no room for a moment, and a client that comes when there is some again: it is taken",
      "accept with a client waiting: an error that says what to do; the client stays queued",
      "accept with nobody waiting: it waits, and takes who comes once there is room",
      "connect, pair, socket, bind and duplicate: an error each, and nothing is left behind",
      "what is open goes on: it sends, receives, waits and closes with confirmation",
      "a shared connection waits and is closed from another thread without a descriptor to be had",
      "a server at the limit serves everyone in the end",
      "serve lives through a want of room: it is counted, and the client is served",
      "a want of room that lasts beyond the drain does not hold up its end",
      "forty clients and two dozen descriptors: all are served in the end, nobody fails, and nothing spins",
      "forty clients, two dozen descriptors: the reserve is let go and had again, all are served, nobody fails, nothing spins",
      "a want of room in a server in tasks is counted, and the client is served",
      "a want of room that lasts beyond the drain does not hold up the end of a server in tasks",
      "without a descriptor to wait with, the wait fails and says why; closing still works, and waits"),
    Row(
      36, "errors of accept that are about one client",
      "trouble with one client, or of the network, is passed over",
      "no room and nobody waiting: it waits as always, and takes who comes then",
      "no room and a client waiting: an error, and the client stays queued",
      "no room for a moment, and a client that comes when there is some again: it is taken"),
    Row(
      37, "a client that was reset in the queue",
      "a client that was reset in the queue comes as a connection whose first receive says so",
      "a client that was reset is served and counted as one, and the next is served",
      "a client that was reset in the queue is one failed handler, not the end of the server"),
    Row(
      38, "the accept queue overflows",
      "the queue is full: whoever comes runs into his own deadline, and those inside are unharmed",
      "a connect that waits for a place in a full queue wakes with .closed, and no SYN is left"),
    Row(
      39, "a flood of SYNs",
      "a flood of SYNs does not disturb a connection that is there"),
    Row(
      40, "a listener closed or stopped with clients queued",
      "a stop resets none of forty queued clients: all are served, then the port is free",
      "a listener that is closed with clients in the queue tells how many it reset",
      "a listener given away keeps its clients: its successor serves them",
      "a stop of a server in tasks resets none of forty queued clients: all are served, then the port is free",
      "stopped before it serves in tasks: the queue is served, then serve returns",
      "the drain of a full server in tasks is over with clients still queued: they are reset, and counted",
      "cancelling serve's task stops it with no time left: who runs is cancelled, who is queued is reset, and the report comes"
    ),
    Row(
      41, "shutdown(SHUT_RD) on a listener",
      "a listener that somebody else shut down is a failure, not a loop",
      "paused: who is queued is reset, who comes is refused, the port stays; resumed: it serves again",
      "an accept that waits is told of the pause; serve waits for the resumption and goes on",
      "paused while it serves in tasks: who is being served goes on, who comes is refused; resumed, it goes on",
      "a listener that somebody else shut down ends a server in tasks: who runs is served, and the report says why"),
    Row(
      42, "the limit of connections is reached",
      "never more handlers at once than threads; who comes while all are busy waits, and is served",
      "connections of one address are limited; one more is reset at once, and another address is not concerned",
      "never more handlers at once than connections are allowed; the next waits in the kernel's queue, and is served when one leaves",
      "in tasks too connections of one address are limited; one more is reset at once, and another address is not concerned"
    ),
    Row(
      43, "a client that sends a byte at a time",
      "a client that sends byte by byte meets the deadline of the line, not one for each byte",
      "a line without an end meets its deadline in a thread, though there always is one more byte",
      "a line without an end meets its deadline in a task, though there always is one more byte"),
    Row(
      44, "idle connections at the drain",
      "what runs may finish within the time of the drain",
      "what waits for its peer when the drain is over is aborted: its wait ends with .closed, its peer hears a reset",
      "what runs in tasks may finish within the time of the drain",
      "what waits for its peer when the drain is over is cancelled: it hears so, and its peer hears a reset",
      "stopped a second time the drain can only end earlier: it is brought to now, and never put off"),
    Row(
      45, "a handler that never returns",
      "what waits for its peer when the drain is over is aborted: its wait ends with .closed, its peer hears a reset",
      "a handler that never returns: its connection is aborted, it is counted, and serve returns",
      "a handler in the middle of a long send is aborted at the end of the drain, and hears how far it got",
      "what waits for its peer when the drain is over is cancelled: it hears so, and its peer hears a reset",
      "a handler that ignores its cancellation: its peer hears a reset at once, and serve returns when the handler does",
      "a handler in a task in the middle of a long send is cut at the end of the drain, and hears how far it got",
      "a send that waits for room wakes at an abort as well, and what did not arrive is in the report"),
    Row(
      46, "thousands of connections",
      "9,000 open sockets are counted one by one, and none is left",
      "a thousand receives are cancelled while they wait: each says so, and what comes later is still received",
      "a thousand sends are cancelled while they wait for room: each says how many bytes are on their way, and those arrive",
      "a thousand connects are cancelled while they wait for an answer: no socket and no SYN is left",
      "a thousand accepts are cancelled, first in peace, then while clients come: every client is taken or still queued",
      "a thousand closes are cancelled while they wait for their peers: each becomes an abort, with its report",
      "10,000 connections under a limit of 20,000 descriptors are opened, used, and drained by a stop, without an error"
    ),
    Row(
      47, "refused, unreachable, prohibited, dropped",
      "nobody listens",
      "a path that is not there, and one whose server has gone",
      "no route at all",
      "routes that refuse: unreachable, prohibit, blackhole",
      "a host that drops SYNs: the deadline, and no SYN is left",
      "while the deadline runs there is a SYN; a shared attempt that is aborted leaves none",
      "a peer that answers the SYN with a reset"),
    Row(
      48, "connect interrupted by a signal",
      "an interrupted connect goes on: it is not made again",
      "an interrupted connect that is refused says so"),
    Row(
      49, "a socket connected to itself",
      "a connection that met itself is refused, and leaves the port to who would listen there",
      "by chance, among few ports: no attempt ever gives a connection"),
    Row(
      50, "ephemeral ports exhausted",
      "every port to a destination taken: an error that says so, and a port that comes free serves",
      "bound to a source without a port, connections take no port before they connect"),
    Row(
      51, "binding over TIME-WAIT",
      "a server that closed first can be started again on its port at once",
      "when only TIME-WAIT is left, it says so and what to do"),
    Row(
      52, "address in use, not local, privileged",
      "a port of this program's is named with its descriptor",
      "a wildcard that is in the way is named as what it is",
      "another program is named with its process and descriptor",
      "a program of another user, which may not be looked into, is said to be that",
      "when only TIME-WAIT is left, it says so and what to do",
      "when only connections of an old listener are left, it says so and whose they are",
      "a socket that is bound and does not listen is in no table: that is all that is said",
      "it looks in the network namespace of the thread that binds",
      "two programs cannot have one port, also with SO_REUSEADDR on the second",
      "a living listener's path is never taken; the error says whose it is, and it hears nothing",
      "a folder that is not there, or does not let this user write, is named as what is in the way"),
    Row(
      53, "ports and addresses that are none",
      "a Unix path of 107 bytes serves; one of 108 is refused before any system call",
      "what cannot be an address is refused before any system call, with the place of the mistake"),
    Row(
      54, "names that resolve slowly, to nothing, or to too much",
      "a name that does not resolve"),
    Row(
      55, "IPv6 only, IPv4-mapped, dual stack",
      "an IPv6 listener takes IPv4 clients under mapped addresses, or not, as it was told"),
    Row(
      56, "Unix paths: too long, stale, live, not a socket",
      "a Unix listener given away keeps its path; who takes it over leaves it to who made it",
      "closing removes the path of a listener and of a datagram socket",
      "a listener that was stopped, dropped, or never came to listen leaves no path",
      "a path that somebody else has replaced is left alone",
      "a path that a dead server left behind is replaced, whatever its kind",
      "a living listener's path is never taken; the error says whose it is, and it hears nothing",
      "who is bound and does not listen yet, is paused, or has a full queue is living too",
      "a symbolic link, dangling or not, and a file that is no socket are neither followed nor removed",
      "of many that start at once on a stale path exactly one wins, and the others leave it be",
      "who comes between the look at a stale path and its removal waits, and then finds it taken",
      "while another program holds the folder's lock, a stale path stays and the error says why",
      "the path is born with exactly the permissions asked for, whatever the umask",
      "107 bytes are bound and removed, 108 are refused before any system call",
      "an abstract name needs no file, and goes with its socket; a NUL may stand in it",
      "a folder that is not there, or does not let this user write, is named as what is in the way",
      "a path relative to the process's folder is removed also after the process has moved"),
    Row(
      57, "SIGPIPE",
      "writing to a dead peer raises no SIGPIPE, whatever the verb",
      "the control: the same write with write(2) ends the process",
      "a send to a peer that takes no more is an error and no signal"),
    Row(
      58, "EINTR at each call; ENOBUFS and ENOMEM on send",
      "EINTR three times at each call changes nothing",
      "EINTR at socketpair",
      "an interrupted connect goes on: it is not made again",
      "no memory to send: an error, and the connection lives",
      "no memory to receive: an error, and no byte is lost",
      "threads that are signalled all the time lose no byte and no client"),
    Row(
      59, "partial, empty, too large and truncated transfers",
      "the kernel stops in the middle of a piece, again and again",
      "the kernel takes so many bytes of each call, wherever that is",
      "a random conversation",
      "a peer that stalls: the deadline passes in the middle, and the number is the number that arrives",
      "gathering to a peer that stalls tells the number too",
      "closed by another thread in the middle: the number accepted is the number that arrives",
      "a peer whose machine takes the first bytes only",
      "a peer that resets in the middle: the number accepted, then reset for ever",
      "no bytes: no system call, and nothing arrives",
      "one byte a system call, in both directions, for a whole conversation",
      "0, 1 and 65,507 bytes arrive as they are, and 0 bytes are no end",
      "65,508 bytes are refused with the limit in words, and the socket goes on",
      "a datagram that is cut says so, and how long it was; the rest is not the next datagram",
      "what is received into memory of the caller's stands behind what is there, with its envelope"),
    Row(
      60, "two readers at once",
      "eight tasks open, exchange and close at random, and cancel each other: every byte lands where it was sent or is reported",
      "four tasks and four threads on the same sockets, at random: every byte lands where it was sent or is reported",
      "a second reader is .busy, in every verb that receives; whatever only looks is not",
      "ENTER_READ: one reader at a time, the second is told so at once; writers and others go in beside it",
      "eight threads open, exchange and close at random: every byte lands where it was sent or is reported, and nothing is left"
    ),
    Row(
      61, "deadlines: past, zero, huge",
      "time is up in the middle of a line: the line is not lost",
      "exactly, and time is up in the middle: what came stays, in order",
      "a peer that stalls: the deadline passes in the middle, and the number is the number that arrives",
      "gathering to a peer that stalls tells the number too",
      "a wait lasts its time, not less",
      "zero, and less, is one try: what is there is given, else time is up",
      "a line that trickles has one deadline, and not one for each byte",
      "times too long to count are for ever, and do not overflow",
      "setting the machine's clock moves nothing: no source but one reads a clock, and that one the monotonic",
      "a receive that nothing comes for ends at its deadline; one past already looks once"),
    Row(
      62, "cancelled tasks",
      "a thousand receives are cancelled while they wait: each says so, and what comes later is still received",
      "a thousand sends are cancelled while they wait for room: each says how many bytes are on their way, and those arrive",
      "a thousand connects are cancelled while they wait for an answer: no socket and no SYN is left",
      "a thousand accepts are cancelled, first in peace, then while clients come: every client is taken or still queued",
      "a thousand closes are cancelled while they wait for their peers: each becomes an abort, with its report",
      "who connects in a task that is cancelled already hears so, and nothing is left open",
      "what waits for its peer when the drain is over is cancelled: it hears so, and its peer hears a reset",
      "cancelling serve's task stops it with no time left: who runs is cancelled, who is queued is reset, and the report comes",
      "cancelled while it accepts, while it is paused, before it began: serve returns its report each time",
      "eight tasks open, exchange and close at random, and cancel each other: every byte lands where it was sent or is reported",
      "four tasks and four threads on the same sockets, at random: every byte lands where it was sent or is reported",
      "a close that begins when the bytes are in hand takes none of them away",
      "a close that begins when the bytes are accepted makes no failure of the send",
      "a stop that comes when a client is in hand loses no client"),
    Row(
      63, "options: unknown, of the wrong size, out of range, clamped",
      "buffers: Linux doubles what is asked for, and set says so",
      "a receive buffer of 1 GiB is clamped, and set returns the kernel's figure",
      "out of range is refused before the kernel is asked, and the option is named",
      "an option that this kind of socket has not: the error names it",
      "a wrong level, a wrong size, a name that no kernel has",
      "SO_LINGER cannot be set and SO_ERROR cannot be read, not as bytes either",
      "options of another kind of socket are refused by name, and what buffers became is read back"),
    Row(
      64, "the wrong operation for the type",
      "what is no datagram socket is refused, and untouched",
      "what sending without an address fails with says what to do",
      "a broadcast address without the option is refused, and the error names the option",
      "what does not listen is refused, and untouched"),
    Row(
      65, "the urgent byte",
      "an urgent byte is taken out of the stream, unless it is asked to stay",
      "the urgent byte leaves the stream; with SO_OOBINLINE it stays"),
    Row(
      66, "ended from outside: ss -K",
      "a connection that an administrator ends: lost, and queued data first",
      "a waiting receive hears that an administrator ended the connection"),
  ]
}
