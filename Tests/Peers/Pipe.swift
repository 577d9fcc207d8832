import CPeers
import Glibc

/// Both ends of a pipe, close-on-exec.
struct Pipe: ~Copyable {
  let reading: OwnedDescriptor
  let writing: OwnedDescriptor

  init() throws(RigError) {
    var ends: [CInt] = [-1, -1]
    guard unsafe peers_pipe(&ends) == 0 else { throw .last("pipe") }
    let first = try OwnedDescriptor(ends[0], from: "pipe")
    let second = try OwnedDescriptor(ends[1], from: "pipe")
    reading = first
    writing = second
  }

  /// Keeps one end and closes the other.
  consuming func keepReading() -> OwnedDescriptor { reading }
  consuming func keepWriting() -> OwnedDescriptor { writing }
}

/// Runs `body` with SIGPIPE blocked in the calling thread, and discards the one that a write causes, so that a program
/// that has closed its input cannot kill the tests.
func withoutSIGPIPE<E>(_ body: () throws(E) -> Void) throws(E) {
  var pipe = sigset_t()
  var before = sigset_t()
  unsafe sigemptyset(&pipe)
  unsafe sigaddset(&pipe, SIGPIPE)
  unsafe pthread_sigmask(SIG_BLOCK, &pipe, &before)
  defer {
    var noTime = timespec()
    while unsafe sigtimedwait(&pipe, nil, &noTime) == SIGPIPE {}
    unsafe pthread_sigmask(SIG_SETMASK, &before, nil)
  }
  try body()
}
