import Glibc
import Peers
import Testing

@Suite("Rig: programs beside the test", .needsProgram("sh"))
struct RigChild {
  private let shell = Programs.find("sh") ?? "/bin/sh"

  @Test("what it writes is read by line and to its end; its exit code is known")
  func output() throws {
    try withChild(shell, ["-c", "echo one; echo two; printf three; exit 5"]) { child throws in
      #expect(try child.readLine() == "one")
      #expect(try child.readToEnd() == "two\nthree")
      #expect(try child.wait() == .exited(5))
      #expect(try child.wait() == .exited(5))
    }
  }

  @Test("what is written it reads, until its input ends")
  func input() throws {
    try withChild(shell, ["-c", "while read word; do echo \"got $word\"; done; echo end"]) { child throws in
      try child.write("fish\n")
      #expect(try child.readLine() == "got fish")
      child.closeInput()
      #expect(try child.readToEnd() == "end\n")
      #expect(throws: RigError.self) { try child.write("more") }
    }
  }

  @Test("it has the environment that it is given, and no descriptor of ours")
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

  @Test("stopped, it says nothing; resumed, it goes on; killed, it is reaped")
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

  @Test("a write to a program that reads no more is an error, not the end of the tests")
  func brokenPipe() throws {
    try withChild(shell, ["-c", "exec <&-; echo closed; sleep 60"]) { child throws in
      #expect(try child.readLine() == "closed")
      // A program that another test is starting at this moment holds the pipe as well, until its exec.
      var failure: RigError?
      try eventually(within: .seconds(10), "an error") {
        do throws(RigError) { try child.write("x") } catch { failure = error }
        return failure != nil
      }
      #expect(failure == RigError("write", code: EPIPE))
    }
  }

  @Test("a program that is not there is an error")
  func missing() {
    #expect(throws: RigError.self) { try Child.spawn("/no/such/program") }
  }

  @Test("it runs in the namespace of the thread that started it", .needsNamespaces)
  func namespace() throws {
    let namespace = try NetworkNamespace()
    let child = try namespace.run { try Child.spawn(shell, ["-c", "ls -l /proc/self/ns/net"]) }
    let line = try child.readLine() ?? ""
    let expected = try namespace.run { try KernelView.namespace() }
    #expect(line.hasSuffix(expected), "\(line)")
  }
}
