import FoundationEssentials
import Glibc
import Peers
import TestTraits
import Testing

@testable import FinCommand

@Suite("fin check --leaks runs a command to its end", .needsScenes, .onThreads, .timeLimit(.minutes(30)))
struct LeaksCommandTests {
  private func python() throws -> String { try #require(Programs.find("python3")) }

  /// A program that leaks a connection, up to its end.
  private static let leak = """
    import os, socket, sys, threading
    l = socket.create_server(("127.0.0.1", 0)); c = socket.create_connection(l.getsockname()); a, _ = l.accept()
    c.close(); a.recv(1)

    """

  /// A Python program that denies ptrace to itself and to what it starts, and then becomes another program.
  private static let withoutTracing = """
    import ctypes, os, platform, struct, sys
    number = {"x86_64": 101, "aarch64": 117}[platform.machine()]
    def step(code, yes, no, k): return struct.pack("HBBI", code, yes, no, k)
    # Loads the number of the system call; for ptrace, returns EPERM.
    steps = step(0x20, 0, 0, 0) + step(0x15, 0, 1, number) + step(0x06, 0, 0, 0x50001) + step(0x06, 0, 0, 0x7fff0000)
    room = ctypes.create_string_buffer(steps)
    class Program(ctypes.Structure): _fields_ = [("count", ctypes.c_ushort), ("steps", ctypes.c_void_p)]
    program = Program(4, ctypes.addressof(room))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0
    assert libc.prctl(22, 2, ctypes.byref(program), 0, 0) == 0, ctypes.get_errno()
    os.execv(sys.argv[1], sys.argv[1:])
    """

  @Test("where tracing is denied, a check that finds nothing is not passed: status 4, also in JSON, with the reason")
  func denied() async throws {
    let script = ["-c", Self.withoutTracing, Fin.path, "check", "--leaks", "--json", "--", try python(), "-c"]
    let fin = try await Fin.run(program: "python3", script + [Self.leak + "os._exit(0)"])
    #expect(fin.status == 4 && fin.complaints.contains("says nothing about leaks"), "\(fin)")
    #expect(fin.output.contains("\"status\":4") && fin.output.contains("could not be traced"), "\(fin.output)")
  }

  @Test("where tracing is denied, sockets that its children hold are found all the same")
  func deniedWithChild() async throws {
    let child = Self.leak + "os.fork() or (os.close(1), os.close(2), threading.Event().wait(60)); os._exit(0)"
    let script = ["-c", Self.withoutTracing, Fin.path, "check", "--leaks", "--", try python(), "-c", child]
    let fin = try await Fin.run(program: "python3", script)
    #expect(fin.status == 1 && fin.output.contains("L5") && fin.complaints.contains("could not be traced"), "\(fin)")
    let pid = try #require(fin.complaints.firstMatch(of: /running: pid (\d+)/)?.1)
    kill(try #require(Int32(pid)), SIGKILL)
  }

  @Test(
    "a fin that is itself traced does not see the end of its command: status 4, with the reason",
    .enabled(if: Programs.find("strace") != nil, "needs strace"))
  func traced() async throws {
    let words = ["-f", "-qq", "-o", "/dev/null", "-e", "trace=none", Fin.path, "check", "--leaks", "--", try python()]
    let fin = try await Fin.run(program: "strace", words + ["-c", Self.leak + "os._exit(0)"])
    #expect(fin.status == 4 && fin.complaints.contains("or fin is itself traced"), "\(fin)")
  }

  @Test("the first thread ends before the others: the sockets are those at the end of the last, and no earlier")
  func firstThreadEnds() async throws {
    // The main thread ends by itself while another thread still closes everything, or leaks a socket.
    let script = """
      import ctypes, sys, time
      def rest():
          while "Z (zombie)" not in open(f"/proc/{os.getpid()}/status").read(): time.sleep(0.001)
          if sys.argv[1] == "closes": a.close(); l.close()
          os._exit(0)
      threading.Thread(target=rest).start()
      ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[os.uname().machine], 0)
      """
    for (mode, status) in [("closes", Int32(0)), ("leaks", 1)] {
      let fin = try await Fin.run("check", "--leaks", "--", try python(), "-c", Self.leak + script, mode)
      #expect(fin.status == status, "\(mode): \(fin)")
    }
  }

  @Test("threads that are killed by the exit of another: the sockets at the end are seen once")
  func manyThreads() async throws {
    let script = """
      for _ in range(20): threading.Thread(target=threading.Event().wait, daemon=True).start()
      threading.Thread(target=lambda: os._exit(0)).start()
      threading.Event().wait()
      """
    let fin = try await Fin.run("check", "--leaks", "--", try python(), "-c", Self.leak + script)
    #expect(fin.status == 1 && fin.output.contains("L1 close-wait-known"), "\(fin)")
    #expect(fin.complaints.contains("2 sockets were open when the command ended"), "\(fin)")
  }

  @Test("a signal is handed on to the command, whose end is then reported", arguments: [SIGTERM, SIGINT, SIGHUP])
  func signals(signal: CInt) throws {
    let script = """
      import signal, time
      signal.signal(signal.SIGINT, signal.SIG_DFL)
      print(os.getpid(), flush=True)
      while True: time.sleep(60)
      """
    let words = ["check", "--leaks", "--", try python(), "-c", Self.leak + script]
    try withChild(Fin.path, words) { child in
      let command = try #require(Int32(try child.readLine() ?? ""))
      child.signal(signal)
      let output = try child.readToEnd(within: .seconds(60))
      #expect(try child.wait() == .exited(1))
      #expect(output.contains("L1 close-wait-known"), "\(output)")
      #expect(kill(command, 0) != 0)
    }
  }

  @Test("a command does not outlive the fin that watches it", arguments: [true, false])
  func killed(isTraced: Bool) throws {
    let script = "import os, time\nprint(os.getpid(), flush=True)\nwhile True: time.sleep(60)"
    let words = [Fin.path, "check", "--leaks", "--", try python(), "-c", script]
    let all = isTraced ? words : [try python(), "-c", Self.withoutTracing] + words
    try withChild(all[0], Array(all.dropFirst())) { child in
      let command = try #require(Int32(try child.readLine() ?? ""))
      child.signal(SIGKILL)
      // Its number stays with a zombie until pid 1 reaps it.
      try eventually(within: .seconds(60), "the end of the command") {
        let state = try? String(contentsOfFile: "/proc/\(command)/stat", encoding: .utf8)
        return state.map { $0.contains(") Z ") } ?? true
      }
    }
  }

  @Test("the command begins with the signals and the streams that fin was given")
  func surroundings() async throws {
    let fin = try await Fin.run("check", "--leaks", "--", "grep", "-E", "^(SigBlk|SigIgn):", "/proc/self/status")
    let plain = try await Fin.run(program: "grep", ["-E", "^(SigBlk|SigIgn):", "/proc/self/status"])
    #expect(fin.status == 0 && fin.output.hasPrefix(plain.output), "\(fin) \(plain)")
  }
}
