/// The catalogue of faults, with the tests that inject each. `FaultTableTests` compares it with the tests' own marks.
enum FaultTable {
  struct Row: Sendable {
    let number: Int
    let fault: String
    let tests: [String]
    /// The reason why no test injects the fault; `nil` when one does.
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
      "closing a datagram socket wakes every waiting receiver, and every later call throws .closed",
      "closing a datagram socket wakes a receiver that is already parked",
      "a close ends a receive that never has to wait",
      "eight tasks open, exchange, close and cancel at random: every byte arrives or is reported, and nothing is left",
      "four tasks and four threads on the same sockets, at random: every byte arrives or is reported",
      "a waiting receive wakes with .closed, and close returns when it has left",
      "when close returns the number is free, whatever operations were inside",
      "eight threads open, exchange and close at random: every byte arrives or is reported, and nothing is left"
    ),
    Row(
      2, "close while another thread waits in send, the buffer full",
      "closing a datagram socket wakes a sender that waits for room in a full queue",
      "eight tasks open, exchange, close and cancel at random: every byte arrives or is reported, and nothing is left",
      "four tasks and four threads on the same sockets, at random: every byte arrives or is reported",
      "a send that waits for room wakes with .closed and reports the bytes accepted: exactly those arrive",
      "a send that waits for room wakes at an abort too, and the report counts the bytes that did not arrive",
      "queued writers wake with .closed; none of their bytes were accepted",
      "when close returns the number is free, whatever operations were inside",
      "eight threads open, exchange and close at random: every byte arrives or is reported, and nothing is left"
    ),
    Row(
      3, "close while another thread waits in accept",
      "every waiting accept wakes with .closed when another thread stops the listener, and the port is free",
      "when close returns the number is free, whatever operations were inside"),
    Row(
      4, "close while another thread waits in connect",
      "a connect whose SYN gets no answer wakes with .closed, and no SYN-SENT is left",
      "a connect that waits for room in a full queue wakes with .closed, and no SYN-SENT is left"),
    Row(
      5, "two closes at once",
      "closing a datagram socket wakes every waiting receiver, and every later call throws .closed",
      "eight tasks open, exchange, close and cancel at random: every byte arrives or is reported, and nothing is left",
      "four tasks and four threads on the same sockets, at random: every byte arrives or is reported",
      "eight threads close at once, with readers and writers inside: one does the work, all get its report",
      "SECOND_CLOSE, RELEASED: of eight threads that close at once one does the work, and all return after it",
      "eight threads open, exchange and close at random: every byte arrives or is reported, and nothing is left"
    ),
    Row(
      6, "close after close",
      "closing a datagram socket wakes every waiting receiver, and every later call throws .closed",
      "eight tasks open, exchange, close and cancel at random: every byte arrives or is reported, and nothing is left",
      "four tasks and four threads on the same sockets, at random: every byte arrives or is reported",
      "a second close does nothing and returns the same report",
      "eight threads open, exchange and close at random: every byte arrives or is reported, and nothing is left"
    ),
    Row(
      7, "use after close",
      "with its misuse, no program compiles, and the compiler names the misuse",
      "closing a datagram socket wakes every waiting receiver, and every later call throws .closed",
      "eight tasks open, exchange, close and cancel at random: every byte arrives or is reported, and nothing is left",
      "four tasks and four threads on the same sockets, at random: every byte arrives or is reported",
      "after a close every verb throws .closed and makes no system call",
      "eight threads open, exchange and close at random: every byte arrives or is reported, and nothing is left"
    ),
    Row(
      8, "a number reused after a double close",
      "eight tasks open, exchange, close and cancel at random: every byte arrives or is reported, and nothing is left",
      "four tasks and four threads on the same sockets, at random: every byte arrives or is reported",
      "a descriptor that other code closed makes our close trap, with the reason",
      "eight threads open, exchange and close at random: every byte arrives or is reported, and nothing is left"
    ),
    Row(
      9, "a stale event for a reused slot",
      "eight tasks open, exchange, close and cancel at random: every byte arrives or is reported, and nothing is left",
      "four tasks and four threads on the same sockets, at random: every byte arrives or is reported"),
    Row(
      10, "a duplicated or forked descriptor, and shutdown",
      "closing one of two descriptors does not end the connection; closing the last one does"),
    Row(
      11, "a descriptor inherited through exec",
      "a new socket is close-on-exec and non-blocking",
      "a listener, a connecting and an accepted connection are close-on-exec and non-blocking",
      "a listener made of a bound socket is close-on-exec and non-blocking",
      "both ends of a pair, and a duplicate, are close-on-exec and non-blocking",
      "an adopted descriptor becomes close-on-exec and non-blocking",
      "the descriptors of wakers and pollers are close-on-exec",
      "a detached descriptor is still close-on-exec and non-blocking",
      "a program that is started inherits no descriptor",
      "an adopted listener is made safe and can be served, with its queued clients"),
    Row(
      12, "fork without exec",
      "a child forked without exec traps at its first operation, with the reason",
      "a process may fork before its first socket"),
    Row(
      13, "close returns EINTR or EIO",
      "close is never retried, whatever error it returns",
      "close(2) is called once, even when it fails with EINTR or EIO, and the number is free"),
    Row(
      14, "dropped without close",
      "a leak report names the opening line, the age, the state, and the unread and unacknowledged bytes",
      "a leak report counts bytes that were read ahead and not taken as unread",
      "every kind of owner, dropped open, is reported and its descriptor closed",
      "leak policy report: one line on standard error, and the program goes on",
      "leak policy trap: the program stops with the report",
      "leak policy quiet: nothing is printed, and the ledger counts the leak",
      "a datagram socket dropped open, fresh or bound, is closed and reported with the line that opened it"),
    Row(
      15, "adopting a descriptor that is no socket, or that Fin owns already; detaching",
      "a datagram socket from elsewhere is adopted, made safe, and can be detached again",
      "adopting a descriptor that is no datagram socket is refused, and leaves it untouched",
      "an adopted listener is made safe and can be served, with its queued clients",
      "a detached listener keeps its queued clients: its successor serves them",
      "a detached Unix listener keeps its path; its adopter does not remove it",
      "adopting a descriptor that does not listen is refused, and leaves it untouched",
      "detaching a listener that a stop has released throws .closed"),
    Row(
      16, "a handle moved while an operation is in flight",
      "with its misuse, no program compiles, and the compiler names the misuse"),
    Row(
      17, "1,048,576 operations at once on one socket",
      "1,048,575 operations at once may enter; one more is refused, with every kind of access"),
    Row(
      18, "finishing sending twice, after the peer's FIN, on a socket without a connection",
      "the peer finishes first: we read EOF and may still send",
      "finishing twice sends one FIN",
      "finishing before the connect is refused, and the socket can still connect and send"),
    Row(
      19, "send after finishing",
      "sending after finishing is an error that says so, and never SIGPIPE"),
    Row(
      20, "a reset in the middle of the drain",
      "a close report names the ending and the bytes",
      "a reset in the middle of much data: bytes acknowledged by then do not count as unacknowledged",
      "a reset between the last check and our FIN: all bytes are counted, and none for a FIN"),
    Row(
      21, "a peer that never acknowledges the FIN",
      "a background close returns at once; the kernel's orphan is gone after its timeout",
      "a close report names the ending and the bytes"),
    Row(
      22, "a lost FIN",
      "the first two FINs are lost: the close waits until the third is acknowledged"),
    Row(
      23, "a window that stays zero",
      "a background close returns at once; the kernel's orphan is gone after its timeout",
      "a close report names the ending and the bytes",
      "a peer whose window stays full: bytesNeverSent counts the data that never left, without the FIN"),
    Row(
      24, "a peer that vanishes",
      "a peer that vanishes from an idle connection: keepalive detects it",
      "bytes that stay unacknowledged for the send timeout: the connection is lost, and they are counted",
      "the kernel gives up in the middle of a close: the ending is a timeout in that phase",
      "the link goes down: the close times out in its phase, and the bytes are counted",
      "the link goes down and the kernel gives up before the close: the report says so"),
    Row(
      25, "everything acknowledged, then a reset",
      "a close report names the ending and the bytes",
      "a peer program that closes without reading while we linger: acknowledged, then discarded",
      "a peer program closes with our bytes unread: all are acknowledged, then discarded",
      "a peer program is killed with our bytes unread, while we linger: discarded by the peer"),
    Row(
      26, "unread input of ours at close",
      "unread input does not turn a close into a reset: it is read and counted, and the peer gets a FIN",
      "bytes that were read ahead and not taken count as discarded"),
    Row(
      27, "abort: one reset, no TIME-WAIT",
      "an abort sends exactly one RST, whatever was unread or unsent, and leaves no socket behind",
      "an abort after our FIN sends exactly one RST too",
      "the peer of an abort reads a reset",
      "an aborted connection leaves no TIME-WAIT on either side"),
    Row(
      28, "SO_LINGER with a time above zero",
      "an adopted descriptor with SO_LINGER set does not block its close",
      "SO_LINGER is set in one place only, to zero, and callers cannot set it"),
    Row(
      29, "a drain whose deadline is zero or has passed",
      "a timeout of zero or less: one check, no wait"),
    Row(
      30, "SIGTERM during a drain",
      "one SIGTERM: queued clients are served, a conversation runs to its own end, and the exit status is 0",
      "a second SIGTERM: the running conversation is aborted, its peer reads a reset, the exit status differs"),
    Row(
      31, "SIGKILL, and the path it leaves behind",
      "a path that a dead server left behind is replaced, whatever its kind"),
    Row(
      32, "simultaneous close",
      "a close report names the ending and the bytes"),
    Row(
      33, "data after the peer's FIN",
      "data after a FIN is ignored: EOF stays EOF"),
    Row(
      34, "closing a socket that has no stream to drain",
      "adopting a descriptor that is no datagram socket is refused, and leaves it untouched",
      "adopting a descriptor that does not listen is refused, and leaves it untouched"),
    Row(
      35, "out of descriptors in accept",
      "accept without descriptors or memory, no client queued: it waits as usual, and accepts the next client",
      "accept without descriptors or memory, a client queued: it throws, and the client stays queued",
      "accept briefly without descriptors or memory: a client that connects afterwards is accepted",
      "accept at the descriptor limit, a client queued: an error that says what to do; the client stays queued",
      "accept at the descriptor limit, no client queued: it waits, and accepts the next one once there is room",
      "connect, pair, socket, bind and duplicate at the descriptor limit: an error each, and nothing is left behind",
      "at the descriptor limit, open sockets still send, receive, wait and close with confirmation",
      "a shared connection can wait and be closed from another thread without a free descriptor",
      "a server at the descriptor limit serves every client in the end",
      "serve survives a lack of descriptors or memory: it is counted, and the client is served",
      "a lack of descriptors that outlasts the drain does not delay its end",
      "forty clients and 24 descriptors: all are served in the end, none fails, and nothing spins",
      "forty clients, 24 descriptors: spare descriptors are closed and reopened, all are served, nothing spins",
      "a lack of descriptors or memory in a server in tasks is counted, and the client is served",
      "a lack of descriptors that outlasts the drain does not delay the end of a server in tasks",
      "without a descriptor to wait with, the wait fails and says why; closing still works, and waits"),
    Row(
      36, "errors of accept about a single client",
      "errors of accept about one client, or about the network, are skipped",
      "accept without descriptors or memory, no client queued: it waits as usual, and accepts the next client",
      "accept without descriptors or memory, a client queued: it throws, and the client stays queued",
      "accept briefly without descriptors or memory: a client that connects afterwards is accepted"),
    Row(
      37, "a client that was reset in the queue",
      "a client that was reset in the queue is accepted as a connection whose first receive reports the reset",
      "clients that were reset in the queue are counted by their ending, and the next one is served",
      "a client that was reset in the queue is one failed handler, and does not end the server"),
    Row(
      38, "the accept queue overflows",
      "with a full accept queue, a new client runs into its own deadline, and running ones are unharmed",
      "a connect that waits for room in a full queue wakes with .closed, and no SYN-SENT is left"),
    Row(
      39, "a SYN flood",
      "a SYN flood does not disturb an established connection"),
    Row(
      40, "a listener closed or stopped with clients queued",
      "a stop resets none of forty queued clients: all are served, then the port is free",
      "a listener that is closed with clients in the queue reports how many it reset",
      "a detached listener keeps its queued clients: its successor serves them",
      "a stop of a server in tasks resets none of forty queued clients: all are served, then the port is free",
      "a listener stopped before serve in tasks: the queue is served, then serve returns",
      "the drain of a full server in tasks times out with clients still queued: they are reset and counted",
      "cancelling serve's task stops it at once: handlers are cancelled, queued clients reset, the report returned"
    ),
    Row(
      41, "shutdown(SHUT_RD) on a listener",
      "a listener that other code shut down ends serve with a failure, and not with a busy loop",
      "paused: queued clients are reset, new ones refused, the port stays bound; resumed: it serves again",
      "a pause during serve: running clients go on, new ones are refused; resumed, it serves again",
      "paused while it serves in tasks: running clients go on, new ones are refused; resumed, it serves again",
      "a listener that other code shut down ends a server in tasks: running clients are served, the report says why"),
    Row(
      42, "the connection limit is reached",
      "never more handlers at once than threads; a client that comes while all are busy waits, and is served",
      "connections of one address are limited; one more is reset at once, and other addresses are unaffected",
      "never more handlers in tasks than connections allowed; the next client waits in the queue, and is then served",
      "in tasks too, connections of one address are limited; one more is reset at once, others are unaffected"
    ),
    Row(
      43, "a client that sends a byte at a time",
      "a client that sends byte by byte runs into the deadline of the line, not one for each byte",
      "a line without an end runs into its deadline in a thread, although there always is one more byte",
      "a line without an end runs into its deadline in a task, although there always is one more byte"),
    Row(
      44, "idle connections at the drain",
      "running handlers may finish within the drain's timeout",
      "a handler that waits for its peer when the drain ends is aborted: it gets .closed, its peer a reset",
      "running handlers in tasks may finish within the drain's timeout",
      "a handler in a task that waits for its peer when the drain ends is cancelled, and its peer reads a reset",
      "a second stop can only end the drain earlier, and never later"),
    Row(
      45, "a handler that never returns",
      "a handler that waits for its peer when the drain ends is aborted: it gets .closed, its peer a reset",
      "a handler that never returns: its connection is aborted, it is counted, and serve returns",
      "a handler in a long send is aborted at the end of the drain, and gets the number of bytes accepted",
      "a handler in a task that waits for its peer when the drain ends is cancelled, and its peer reads a reset",
      "a handler that ignores its cancellation: its peer reads a reset at once; serve returns when the handler does",
      "a handler in a task in a long send is cut off at the end of the drain, and gets the bytes accepted",
      "a send that waits for room wakes at an abort too, and the report counts the bytes that did not arrive"),
    Row(
      46, "thousands of connections",
      "9,000 open sockets are all counted, and none is left",
      "a thousand receives are cancelled while they wait: each says so, and later data is still received",
      "a thousand sends are cancelled while they wait for room: each reports the bytes accepted, and those arrive",
      "a thousand connects are cancelled while they wait for an answer: no socket and no SYN-SENT is left",
      "a thousand accepts are cancelled, without and with clients: every client is accepted or still queued",
      "a thousand closes are cancelled while they wait for their peers: each becomes an abort, with its report",
      "10,000 connections under a limit of 20,000 descriptors are opened, used and drained without an error"
    ),
    Row(
      47, "refused, unreachable, prohibited, dropped",
      "connecting to a port without a listener is refused",
      "connecting to a missing Unix path, and to one whose server is gone",
      "connecting without a route",
      "connecting over a route that refuses: unreachable, prohibit, blackhole",
      "connecting to a host that drops SYNs ends at the deadline, and leaves no SYN-SENT",
      "a connect attempt is in SYN-SENT until its deadline; an aborted shared attempt leaves none",
      "connecting to a peer that answers the SYN with a reset is refused"),
    Row(
      48, "connect interrupted by a signal",
      "an interrupted connect goes on: connect(2) is not called again",
      "an interrupted connect that is then refused reports the refusal"),
    Row(
      49, "a socket connected to itself",
      "a connect that reaches itself is refused, and leaves the port free for a listener",
      "a connect that reaches itself by chance, among few ports, never gives a connection"),
    Row(
      50, "ephemeral ports exhausted",
      "every local port to a destination taken: an error that says so, and a freed port works again",
      "bound to a source address without a port, a connection takes no port before it connects"),
    Row(
      51, "binding over TIME-WAIT",
      "a server that closed first can be started again on its port at once",
      "a port held by TIME-WAIT alone: the error says so, and what to do"),
    Row(
      52, "address in use, not local, privileged",
      "a port held by this program: the error names the descriptor",
      "a port that conflicts with a wildcard address: the error names the address that holds it",
      "a port held by another program: the error names its process and descriptor",
      "a port held by a program of another user, which may not be examined: the error says so",
      "a port held by TIME-WAIT alone: the error says so, and what to do",
      "a port held by connections of an old listener alone: the error says so, and whose they are",
      "a port held by a bound socket that does not listen, which no table shows: the error says only that",
      "the holder of a port is searched in the network namespace of the thread that binds",
      "two programs cannot have one UDP port, even with SO_REUSEADDR on the second",
      "a live listener's path is never taken; the error says whose it is, and the listener gets no client",
      "a folder that is missing, or that this user may not write to, is named in the error"),
    Row(
      53, "invalid ports and addresses",
      "a Unix path of 107 bytes works; one of 108 is refused before any system call",
      "an invalid address is refused before any system call, with the place of the error"),
    Row(
      54, "names that resolve slowly, to nothing, or to too much",
      "connecting to a name that does not resolve fails in time, with the name"),
    Row(
      55, "IPv6 only, IPv4-mapped, dual stack",
      "an IPv6 listener accepts IPv4 clients under mapped addresses, or not, as IPV6_V6ONLY says"),
    Row(
      56, "Unix paths: too long, stale, live, not a socket",
      "a detached Unix listener keeps its path; its adopter does not remove it",
      "closing removes the path of a listener and of a datagram socket",
      "a listener that was stopped, dropped, or never listened leaves no path",
      "a path that another program has replaced is left alone",
      "a path that a dead server left behind is replaced, whatever its kind",
      "a live listener's path is never taken; the error says whose it is, and the listener gets no client",
      "a socket that is bound but not listening, is paused, or has a full queue counts as live",
      "a symbolic link, dangling or not, and a file that is no socket are neither followed nor removed",
      "of many servers that start at once on a stale path, exactly one wins, and the others leave it alone",
      "a server that starts between the check of a stale path and its removal waits, and then finds it taken",
      "while another program holds the folder's lock, a stale path stays, and the error says why",
      "a Unix path is created with exactly the permissions asked for, whatever the umask",
      "a path of 107 bytes is bound and removed, one of 108 is refused before any system call",
      "an abstract name needs no file, disappears with its socket, and may contain a NUL",
      "a folder that is missing, or that this user may not write to, is named in the error",
      "a relative path is removed even after the process has changed its working directory"),
    Row(
      57, "SIGPIPE",
      "writing to a dead peer raises no SIGPIPE, whatever the verb",
      "the control: the same write with write(2) ends the process",
      "a datagram to a peer that reads no more is an error and no signal"),
    Row(
      58, "EINTR at each call; ENOBUFS and ENOMEM on send",
      "EINTR three times at each system call changes nothing",
      "socketpair is retried after EINTR",
      "an interrupted connect goes on: connect(2) is not called again",
      "no memory to send: an error, and the connection lives",
      "no memory to receive: an error, and no byte is lost",
      "threads under a constant stream of signals lose no byte and no client"),
    Row(
      59, "partial, empty, too large and truncated transfers",
      "a gathered send continues when the kernel stops in the middle of a piece, again and again",
      "a gathered send continues when the kernel accepts 1 to 12 bytes per call, wherever that ends",
      "a random sequence of sends and receives delivers every byte once and in order",
      "a peer that stalls: a send that times out reports exactly the number of bytes that arrive",
      "a peer that stalls: a gathered send that times out reports the number of bytes too",
      "a send that another thread closes reports exactly the number of bytes that arrive",
      "a peer that acknowledges only the first bytes: the send reports the bytes accepted",
      "a peer that resets in the middle of a send: the bytes accepted are reported, then always the reset",
      "sending no bytes makes no system call, and nothing arrives",
      "a whole conversation works with one byte per system call, in both directions",
      "datagrams of 0, 1 and 65,507 bytes arrive as they are, and 0 bytes are no EOF",
      "a datagram of 65,508 bytes is refused with the limit in the message, and the socket still works",
      "a truncated datagram says so, and how long it was; its rest is not the next datagram",
      "a datagram received into the caller's memory is appended to its content, and has its envelope"),
    Row(
      60, "two readers at once",
      "eight tasks open, exchange, close and cancel at random: every byte arrives or is reported, and nothing is left",
      "four tasks and four threads on the same sockets, at random: every byte arrives or is reported",
      "a second reader gets .busy, from every verb that receives; a verb that only looks does not",
      "ENTER_READ: one reader at a time, a second is refused at once; writers and others enter beside it",
      "eight threads open, exchange and close at random: every byte arrives or is reported, and nothing is left"
    ),
    Row(
      61, "deadlines: past, zero, huge",
      "a timeout in the middle of a line does not lose the line",
      "receive(exactly:) that times out in the middle: the bytes that arrived stay, in order",
      "a peer that stalls: a send that times out reports exactly the number of bytes that arrive",
      "a peer that stalls: a gathered send that times out reports the number of bytes too",
      "a wait lasts its whole timeout, not less",
      "a timeout of zero or less is one attempt: available data is returned, else it times out",
      "a line that arrives byte by byte has one deadline, and not one for each byte",
      "durations too long to count are unlimited, and do not overflow",
      "setting the machine's clock moves no deadline: one source file reads a clock, the monotonic one",
      "a datagram receive without data ends at its deadline; one already past allows one attempt"),
    Row(
      62, "cancelled tasks",
      "a thousand receives are cancelled while they wait: each says so, and later data is still received",
      "a thousand sends are cancelled while they wait for room: each reports the bytes accepted, and those arrive",
      "a thousand connects are cancelled while they wait for an answer: no socket and no SYN-SENT is left",
      "a thousand accepts are cancelled, without and with clients: every client is accepted or still queued",
      "a thousand closes are cancelled while they wait for their peers: each becomes an abort, with its report",
      "a connect in a task that is already cancelled throws .cancelled, and leaves nothing open",
      "a handler in a task that waits for its peer when the drain ends is cancelled, and its peer reads a reset",
      "cancelling serve's task stops it at once: handlers are cancelled, queued clients reset, the report returned",
      "serve cancelled while it accepts, while it is paused, before it began: it returns its report each time",
      "eight tasks open, exchange, close and cancel at random: every byte arrives or is reported, and nothing is left",
      "four tasks and four threads on the same sockets, at random: every byte arrives or is reported",
      "a close that begins after the kernel returned the bytes does not take them from the receive",
      "a close that begins after the kernel accepted the bytes does not make the send fail",
      "a stop that begins after the kernel returned a client loses no client"),
    Row(
      63, "options: unknown, of the wrong size, out of range, clamped",
      "buffer sizes: Linux doubles the request, and set returns the result",
      "a receive buffer of 1 GiB is clamped, and set returns the kernel's value",
      "an option value out of range is refused before any system call, and the error names the option",
      "an option that this kind of socket does not have: the error names it",
      "an option with a wrong level, a wrong size or an unknown name is an error",
      "SO_LINGER cannot be set and SO_ERROR cannot be read, not even as raw bytes",
      "a datagram socket refuses options of other kinds of socket by name, and reads its buffer sizes back"),
    Row(
      64, "the wrong operation for the type",
      "adopting a descriptor that is no datagram socket is refused, and leaves it untouched",
      "sending a datagram without an address is an error that says what to do",
      "a broadcast address without the option is refused, and the error names the option",
      "adopting a descriptor that does not listen is refused, and leaves it untouched"),
    Row(
      65, "the urgent byte",
      "an urgent byte between data is removed from the stream, unless SO_OOBINLINE keeps it",
      "an urgent byte leaves the stream of a connection; with SO_OOBINLINE it stays"),
    Row(
      66, "a connection ended from outside: ss -K",
      "a connection that an administrator ends: queued data is read first, then it is lost",
      "a waiting receive throws .lost when an administrator ends the connection"),
  ]
}
