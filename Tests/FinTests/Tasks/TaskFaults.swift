/// The tests of tasks that inject faults of the catalogue, by the fault's number.
extension FaultTable {
  static let inTasks: [Int: [String]] = [
    1: [
      "a close wakes the tasks and the threads that wait for the socket: each gets .closed",
      "a receive in a thread is woken by a close in a task, and one in a task by a close in a thread",
    ],
    2: [
      "a close wakes the tasks and the threads that wait for the socket: each gets .closed"
    ],
    3: [
      "a stop wakes the waiting accepts in tasks and threads, and the port is free",
      "a pause ends the waiting accepts in tasks with .paused",
    ],
    4: [
      "a waiting connect in a task wakes with .closed, closed by task or thread, and no SYN-SENT is left"
    ],
    5: [
      "a second close that is cancelled cuts short the first, and both get the report",
      "a second close, from a task or a thread, waits for the first and gets its report",
      "an abort, from a task or a thread, cuts short a close that is under way in a task",
      "an abort in a task cuts short a close that is under way in a thread",
    ],
    6: [
      "a second close, from a task or a thread, waits for the first and gets its report"
    ],
    9: [
      "an event for a slot that has been reused since is dropped",
      "an event for a slot's last generation is not delivered to its first",
    ],
    14: [
      "a connection dropped open after it waited in a task is closed and reported, and its slot is free"
    ],
    27: [
      "an abort, from a task or a thread, cuts short a close that is under way in a task",
      "an abort in a task cuts short a close that is under way in a thread",
    ],
    43: [
      "every receive verb in a task copes with a peer that sends one byte at a time"
    ],
    45: [
      "a send cancelled while it waits for room reports the bytes accepted: exactly those arrive"
    ],
    47: [
      "an unanswered connect in a task ends at its deadline, and leaves no SYN-SENT"
    ],
    54: [
      "a name lookup that is cancelled ends at once, and its answer is dropped"
    ],
    56: [
      "a connect cancelled while a Unix listener's queue is full ends, and leaves no socket behind",
      "a connect to a Unix listener whose queue is full waits for room",
    ],
    58: [
      "signals during every receive and send of a task change nothing"
    ],
    59: [
      "a receive that gets its data in small pieces goes on reading until it is complete",
      "datagrams in a task arrive whole, those of 0 bytes too, and a truncated one says so",
      "sending 0 bytes in a task sends nothing and waits for nothing",
      "64 MiB from a task to a slow reader: every byte, in order, and all of it confirmed",
    ],
    61: [
      "a receive without data ends at its deadline, and not before",
      "every other wait ends at its deadline: accept, send, queued writers, connect",
      "an unanswered connect in a task ends at its deadline, and leaves no SYN-SENT",
      "in a task, a timeout of zero or less is one attempt: available data is returned, else it times out",
      "data that arrived in time is returned, although the loop sees it together with the expired deadline",
      "deadlines longer and shorter than before on the same socket, each kept",
      "a reader and a writer of one socket have a deadline each",
      "three hundred sockets at once, each with its own deadline: none ends before it, none is forgotten",
    ],
    62: [
      "an accept cancelled before it begins or while it waits takes no client; the next one does",
      "an accept cancelled at the moment when the kernel returns a client returns that client",
      "accepts that are cancelled while clients come lose no client",
      "a connect cancelled while its SYN is unanswered throws .cancelled, is closed, and leaves no SYN-SENT",
      "a connect cancelled before it begins sends no SYN, leaks nothing, and is closed",
      "a connect cancelled at the moment when connect(2) has been called leaves no socket behind",
      "a connect cancelled while a Unix listener's queue is full ends, and leaves no socket behind",
      "a name lookup that is cancelled ends at once, and its answer is dropped",
      "a datagram receive cancelled while it waits takes none; the next one gets it whole",
      "a datagram send cancelled while the receiver's queue is full sends nothing",
      "withConnection in a cancelled task: its body ends with .cancelled, and the peer reads a reset",
      "a receive cancelled before it begins makes no system call; the next one gets every byte",
      "a receive cancelled while it waits throws .cancelled; the next one gets every byte",
      "a receive cancelled when half of its data has arrived leaves that half to the next one",
      "a receive cancelled at the moment when the kernel returns the bytes returns them",
      "a receive cancelled at the moment when the kernel returns half of its data leaves that half to the next one",
      "ten thousand bytes, with receives cancelled at any moment: each byte arrives once, in order",
      "a send cancelled before it begins hands the kernel nothing",
      "a send cancelled while it waits for room reports the bytes accepted: exactly those arrive",
      "a send cancelled at the moment when the kernel accepts some bytes counts them",
      "a send cancelled at the moment when the kernel accepts all bytes succeeds",
      "a send cancelled in the queue behind another writer sends nothing, and those behind it move up",
      "finishSending cancelled in the queue behind a writer sends no FIN",
      "sendSome cancelled while it waits sends nothing",
      "a close cancelled before it begins: the peer reads a reset and no FIN, and the report counts the bytes",
      "a close cancelled in the middle: the peer reads a reset, and the report counts the unacknowledged bytes",
      "a close cancelled while it lingers after all is acknowledged: an abort all the same",
      "a close cancelled while both buffers are full: the report counts the bytes that the peer did not take",
      "a second close that is cancelled cuts short the first, and both get the report",
      "an owner's close in a cancelled task: aborted, and no socket is left",
      "a task that is already cancelled, or whose answer has arrived, does not wait",
      "event, wake, deadline, cancellation and stop at the same moment: each wait ends exactly once",
      "when one half of a duplex throws, the other is cancelled, and the connection goes on",
    ],
    65: [
      "an urgent byte in the middle: a read that stops before it loses nothing after it",
      "an urgent byte that arrives alone, after data that was read and before data that was not",
      "with SO_OOBINLINE the urgent byte stays, in a task as well",
    ],
  ]
}
