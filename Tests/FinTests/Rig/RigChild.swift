import Glibc
import Peers
import TestTraits
import Testing

@Suite("Rig: programs beside the test", .needsProgram("sh"), .onThreads)
struct RigChild {
  private let shell = Programs.find("sh") ?? "/bin/sh"

  @Test("a child's output is read by line and to EOF; its exit code is known")
  func output() throws {
    try withChild(shell, ["-c", "echo one; echo two; printf three; exit 5"]) { child throws in
      #expect(try child.readLine() == "one")
      #expect(try child.readToEnd() == "two\nthree")
      #expect(try child.wait() == .exited(5))
      #expect(try child.wait() == .exited(5))
    }
  }

  @Test("a child reads what the test writes, until its input ends")
  func input() throws {
    try withChild(shell, ["-c", "while read word; do echo \"got $word\"; done; echo end"]) { child throws in
      try child.write("fish\n")
      #expect(try child.readLine() == "got fish")
      child.closeInput()
      #expect(try child.readToEnd() == "end\n")
      #expect(throws: RigError.self) { try child.write("more") }
    }
  }

  @Test("a child has the environment that it is given, and inherits no descriptor")
  func inheritance() throws {
    let listener = try PlainSocket.listening()
    let ours = try #require(try KernelView.openDescriptors().first { $0.number == listener.descriptor })
    try withChild(
      shell, ["-c", "echo $WORD; ls -l /proc/self/fd"], environment: ["WORD": "fin", "PATH": "/bin:/usr/bin"]
    ) { child throws in
      #expect(try child.readLine() == "fin")
      let descriptors = try child.readToEnd()
      #expect(descriptors.contains("pipe:[") && !descriptors.contains(ours.target), "\(descriptors)")
    }
    #expect(listener.port != 0)
  }

  @Test("a stopped child is silent; resumed, it goes on; killed, it is reaped")
  func signals() throws {
    let child = try Child.spawn(shell, ["-c", "while read word; do echo $word; done"])
    child.stop()
    try child.write("late\n")
    #expect(throws: TimedOut.self) { try child.readLine(within: .milliseconds(100)) }
    #expect(throws: TimedOut.self) { try child.wait(within: .milliseconds(10)) }
    child.resume()
    #expect(try child.readLine() == "late")
    #expect(child.end() == .signalled(SIGKILL))
    #expect(try child.wait() == .signalled(SIGKILL))
    #expect(throws: RigError.self) { try child.write("more") }
  }

  @Test("a program that has not reached its exec yet holds no socket of ours: closing a listener ends it")
  func beforeExec() throws {
    let folder = try TemporaryFolder()
    let fifo = folder.path + "/fifo"
    try #require(unsafe mkfifo(fifo, 0o600) == 0)
    let listener = try PlainSocket.listening()
    let port = listener.port
    let name = "spawn-\(port)"
    var writer: CInt = -1
    // Left open after a failure, so that the child ends whenever it opens the other end.
    defer { if writer < 0 { unsafe _ = open(fifo, O_RDWR) } else { close(writer) } }
    // The child's first action opens a FIFO, which waits for a writer, with the table that it has until its exec.
    let spawning = onThread { [shell] () throws -> Child in
      try KernelView.nameThread(name)
      return try Child.spawn(shell, ["-c", "exit 3"], firstOpening: fifo)
    }
    try eventually("the child waits before its exec") { KernelView.isProcess(named: name) }
    listener.close()
    #expect(throws: RigError("connect", code: ECONNREFUSED)) {
      _ = try PlainSocket.connected(to: "127.0.0.1", port: port)
    }
    // Held until the child has opened the other end: it may not have come to that yet.
    writer = unsafe open(fifo, O_RDWR)
    #expect(try spawning.join(within: .seconds(20)).wait() == .exited(3))
  }

  @Test("a write to a child that no longer reads is an error, and does not end the tests")
  func brokenPipe() throws {
    try withChild(shell, ["-c", "exec <&-; echo closed; sleep 60"]) { child throws in
      #expect(try child.readLine() == "closed")
      #expect(throws: RigError("write", code: EPIPE)) { try child.write("x") }
    }
  }

  @Test("starting a program that does not exist is an error")
  func missing() {
    #expect(throws: RigError.self) { try Child.spawn("/no/such/program") }
  }

  @Test("a child runs in the namespace of the thread that started it", .needsNamespaces)
  func namespace() throws {
    let namespace = try NetworkNamespace()
    let child = try namespace.run { try Child.spawn(shell, ["-c", "ls -l /proc/self/ns/net"]) }
    let line = try child.readLine() ?? ""
    let expected = try namespace.run { try KernelView.namespace() }
    #expect(line.hasSuffix(expected), "\(line)")
  }
}
