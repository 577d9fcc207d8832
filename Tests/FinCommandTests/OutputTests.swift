import FoundationEssentials
import Peers
import TestTraits
import Testing

@testable import FinCommand

@Suite("Output is whole, or an error says that it is not", .onThreads, .timeLimit(.minutes(30)))
struct OutputTests {
  @Test(
    "a full disk: status 74 and a reason, from every way of printing",
    arguments: [
      "list --own-namespace", "list --own-namespace --json", "check --own-namespace --json", "listeners --json",
      "help json", "-h", "--version", "lab --list", "lab --list --json", "lifecycle",
      "--generate-completion-script bash",
    ])
  func full(words: String) async throws {
    let fin = try await Fin.shell("exec \"$0\" \(words) > /dev/full")
    #expect(fin.status == 74 && fin.complaints.contains("could not be written"), "\(fin)")
  }

  @Test("standard output is closed: status 74, and no file of the command takes its place")
  func closed() async throws {
    for words in ["list --own-namespace --json", "--version"] {
      let fin = try await Fin.shell("exec \"$0\" \(words) >&-")
      #expect(fin.status == 74 && fin.complaints.contains("could not be written"), "\(fin)")
    }
    let quiet = try await Fin.shell("exec \"$0\" --version <&- 2>&-")
    #expect(quiet.status == 0 && !quiet.output.isEmpty)
  }

  @Test("a command of --leaks gets a closed stream as it is")
  func inherited() async throws {
    let fin = try await Fin.shell("exec \"$0\" check --leaks -- sh -c 'test ! -e /proc/self/fd/0' <&-")
    #expect(fin.status == 0, "\(fin)")
  }

  @Test("a reader that has gone ends the command by SIGPIPE; where that is ignored, the status is 74")
  func gone() async throws {
    let ended = try await Fin.shell("{ \"$0\" help json; echo $? >&2; } | true")
    let ignored = try await Fin.shell("trap '' PIPE; { sleep 0.2; \"$0\" help json; echo $? >&2; } | true")
    // The page may be written before `true` has ended.
    #expect(ended.complaints.hasSuffix("141\n") || ended.complaints.hasSuffix("0\n"), "\(ended)")
    #expect(ignored.complaints.hasSuffix("74\n") || ignored.complaints.hasSuffix("0\n"), "\(ignored)")
  }

  @Test(
    "a non-blocking pipe that is full: the command waits, and its JSON is whole",
    .enabled(if: Programs.find("python3") != nil, "needs python3"))
  func nonBlocking() throws {
    let script = """
      import fcntl, os, struct, subprocess, sys, termios, time
      reading, writing = os.pipe()
      os.set_blocking(writing, False)
      size = fcntl.fcntl(writing, 1031, 4096)
      fin = subprocess.Popen([sys.argv[1], "help", "json"], stdout=writing)
      os.close(writing)
      def waiting(): return struct.unpack("i", fcntl.ioctl(reading, termios.FIONREAD, b"0000"))[0]
      while waiting() < size and fin.poll() is None: time.sleep(0.001)
      text = b""
      while part := os.read(reading, 1000): text += part
      whole = subprocess.run([sys.argv[1], "help", "json"], capture_output=True).stdout
      print(fin.wait(), len(whole) > size, text == whole)
      """
    let python = try #require(Programs.find("python3"))
    #expect(try Scene.output(of: python, ["-c", script, Fin.path]) == "0 True True\n")
  }

  @Test(
    "a write that a signal interrupts is repeated: the output is whole",
    .enabled(if: Programs.find("strace") != nil, "needs strace"))
  func interrupted() throws {
    let whole = try Scene.output(of: Fin.path, "help", "json")
    let strace = try #require(Programs.find("strace"))
    let every = ["-qq", "-o", "/dev/null", "-e", "trace=write", "-e", "inject=write:error=EINTR:when=1+2"]
    let (text, status) = try withChild(strace, every + [Fin.path, "help", "json"]) { child in
      child.closeInput()
      return (try child.readToEnd(within: .seconds(60)), try child.wait())
    }
    #expect(status == .exited(0) && text == whole && whole.utf8.count > 10_000)
  }

  @Test("no error shows an argument unescaped")
  func escapes() async throws {
    let word = "\u{1B}[31mred\u{202E}"
    for words in [
      ["list", "--\(word)"], ["list", "--limit", word], ["list", "--sort", word], ["list", "--state", word],
      ["list", "--fields", word], ["list", "--namespace", word], ["check", word], ["check", "--only", word],
      ["check", "--mute", "/\(word)"], ["check", "--leaks", "--", word], ["explain", word], ["lab", word],
      ["kill", word], ["ports", "--address", word], [word], ["help", word], ["help", "json", word],
      ["lab-experiment", word], ["lifecycle", "--format", word], ["connect", word], ["connect", "\(word):1"],
      ["connect", "127.0.0.1:1", "--from", word], ["serve", word, "--echo"], ["serve", ":0", "--exec", word],
    ] {
      let fin = try await Fin.run(words)
      #expect(fin.status != 0 && !fin.complaints.isEmpty, "\(words)")
      #expect(!fin.complaints.utf8.contains(0x1B) && !fin.complaints.contains("\u{202E}"), "\(words)")
    }
    #expect(EscapedText.lines("a\\x1b\n\u{7}b") == "a\\x1b\n\\x07b")
  }
}
