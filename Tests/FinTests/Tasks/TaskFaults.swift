/// What the tests of tasks add to the catalogue of faults, by the fault's number.
extension FaultTable {
  static let inTasks: [Int: [String]] = [
    1: [
      "a close wakes the tasks that wait in it, and the threads: each hears .closed",
      "a receive in a thread is woken by a close in a task, and one in a task by a close in a thread",
    ],
    2: [
      "a close wakes the tasks that wait in it, and the threads: each hears .closed"
    ],
    3: [
      "a stop wakes the accepts that wait in tasks and threads, and the port is free",
      "a pause ends the accepts that wait in tasks with .paused",
    ],
    4: [
      "a connect that waits in a task wakes with .closed, whoever closes, and no SYN is left"
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
      "an event for a slot that has another tenant by now is dropped",
      "an event of a slot's last generation is not told to its first",
    ],
    14: [
      "a connection dropped open after it waited in a task is closed and reported, and its place is free"
    ],
    27: [
      "an abort, from a task or a thread, cuts short a close that is under way in a task",
      "an abort in a task cuts short a close that is under way in a thread",
    ],
    43: [
      "a peer that sends one byte at a time"
    ],
    45: [
      "cancelled while it waits for room, a send tells how many bytes were accepted: exactly those arrive"
    ],
    47: [
      "a SYN without an answer: the deadline, and no SYN is left"
    ],
    54: [
      "cancelled while a name is looked up, the wait is over at once, and the answer is dropped"
    ],
    56: [
      "cancelled while a Unix listener's queue is full, a connect ends and leaves nothing",
      "a connect to a Unix listener whose queue is full waits for a place",
    ],
    58: [
      "signals in every receive and send change nothing"
    ],
    59: [
      "what the kernel gives in small pieces is asked for again",
      "datagrams arrive whole, those of 0 bytes too, and a cut one says so",
      "0 bytes send nothing and wait for nothing",
      "64 MiB to a peer that reads slowly: every byte, in order, and all of it confirmed",
    ],
    61: [
      "a receive that nothing comes for ends at its deadline, and not before",
      "every other wait ends at its deadline: accept, send, the writers in the queue, connect",
      "a SYN without an answer: the deadline, and no SYN is left",
      "zero, and less, is one look: what is there is given, else time is up",
      "what came in time is given, though the loop hears of it together with the end of the time",
      "deadlines longer and shorter than before on the same socket, each kept",
      "a reader and a writer at one socket have a deadline each",
      "three hundred sockets at once, each with its own deadline: none ends before it, none is forgotten",
    ],
    62: [
      "cancelled before it begins or while it waits, an accept takes no client; the next one does",
      "cancelled at the moment when the kernel gives a client, an accept returns it",
      "of accepts that are cancelled while clients come, none loses a client",
      "cancelled while its SYN has no answer, a connect ends with .cancelled, the reference is closed, and no SYN is left",
      "cancelled before it begins, a connect sends no SYN, leaks nothing, and the reference is closed",
      "cancelled at the moment when connect(2) has been called, a connect leaves no socket behind",
      "cancelled while a Unix listener's queue is full, a connect ends and leaves nothing",
      "cancelled while a name is looked up, the wait is over at once, and the answer is dropped",
      "cancelled while it waits for a datagram, a receive takes none; the next one gets it whole",
      "cancelled while the receiver's queue is full, a datagram is not sent",
      "cancelled, withConnection's body ends with .cancelled and the peer hears a reset",
      "cancelled before it begins, a receive asks the kernel nothing; the next one gets every byte",
      "cancelled while it waits, a receive ends with .cancelled; the next one gets every byte",
      "cancelled when half of it has come, a receive leaves that half where the next one finds it",
      "cancelled at the moment when the kernel gives the bytes, a receive returns them",
      "cancelled at the moment when the kernel gives half of it, a receive leaves that half to the next",
      "receives cancelled at any moment, ten thousand bytes: each arrives once, in order",
      "cancelled before it begins, a send hands the kernel nothing",
      "cancelled while it waits for room, a send tells how many bytes were accepted: exactly those arrive",
      "cancelled at the moment when the kernel takes some, a send counts them",
      "cancelled at the moment when the kernel takes all, a send has sent",
      "cancelled in the queue behind another writer, a send has sent nothing, and those behind it move up",
      "cancelled in the queue behind a writer, finishSending has sent no FIN",
      "sendSome that is cancelled while it waits has sent nothing",
      "cancelled before it begins: the peer hears a reset and no FIN, and the bytes are in the report",
      "cancelled in the middle: the peer hears a reset, and the bytes it did not acknowledge are in the report",
      "cancelled while it lingers after all is acknowledged: an abort all the same",
      "cancelled while a peer reads nothing and both buffers are full: what it did not take is in the report",
      "a second close that is cancelled cuts short the first, and both get the report",
      "an owner's close in a cancelled task: aborted, and nothing is left",
      "who is cancelled already, or whom the answer has reached, does not wait",
      "event, word, time, cancellation and stop at the same moment: each wait ends exactly once",
      "when one half throws the other is cancelled, and the connection goes on",
    ],
    65: [
      "an urgent byte in the middle: a read that stops before it loses nothing behind it",
      "an urgent byte that comes alone, behind what was read and before what was not",
      "with SO_OOBINLINE the urgent byte stays, in a task as well",
    ],
  ]
}
