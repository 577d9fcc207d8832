import Peers
import TestTraits
import Testing

@testable import FinDoctor

@Suite("The script of an interpreter is taken from its command line, or is unknown", .onThreads)
struct ScriptTests {
  private func name(_ executable: String, _ words: String...) -> String? {
    let line = Array(([executable] + words).map { $0 + "\0" }.joined().utf8)
    return Script.name(executable: executable, line: line).map { String(decoding: $0, as: UTF8.self) }
  }

  @Test("the script is the first argument that is neither an option nor an option's value, without its folder")
  func scripts() {
    #expect(name("python3.11", "api.py") == "api.py")
    #expect(name("python3", "-B", "-W", "ignore", "-X", "dev", "/srv/app/api.py", "--port", "80") == "api.py")
    #expect(name("node", "--inspect", "--require", "./hook.js", "server.js") == "server.js")
    #expect(name("node", "--max-old-space-size=4096", "dist/main.js") == "main.js")
    #expect(name("java", "-Xmx1g", "-cp", "a.jar:b.jar", "com.example.Main") == "com.example.Main")
    #expect(name("java", "-jar", "/opt/app/server.jar", "--debug") == "server.jar")
    #expect(name("ruby", "-I", "lib", "bin/puma") == "puma")
    #expect(name("bash", "-e", "run.sh") == "run.sh")
  }

  @Test("a Python module is named; code on the command line (-c, -e) has no name")
  func modules() {
    #expect(name("python3", "-m", "http.server", "8000") == "http.server")
    #expect(name("python3", "-c", "import socket", "x") == nil)
    #expect(name("node", "-e", "require('net')") == nil)
    #expect(name("sh", "-c", "exec server") == nil)
  }

  @Test("another program, no arguments or a truncated command line: the script is unknown")
  func none() {
    #expect(name("nginx", "-c", "/etc/nginx.conf") == nil)
    #expect(name("shiny", "app.R") == nil && name("nodemon", "x.js") == nil && name("pythonista", "x.py") == nil)
    #expect(name("python3") == nil && name("python3", "-i") == nil && name("python3", "-m") == nil)
    #expect(name("python3", "") == nil && name("python3", "-m", "") == nil && name("python3", "-W") == nil)
    #expect(Script.name(executable: "python3", line: []) == nil)
    #expect(Script.name(executable: "python3", line: Array("python3".utf8)) == nil)
  }

  @Test("findings and mutes name a running interpreter with its script", .needsScenes)
  func running() throws {
    try Scene.with("close_wait", "known", "12") { scene in
      let program = try #require(Program.read(scene.pid))
      #expect(program.script == "close_wait.py" && program.title == program.name + " close_wait.py")
      let finding = try scene.findings().only(.closeWaitKnown)
      #expect(finding.sentence.hasPrefix("\(program.name) close_wait.py (pid \(scene.pid)) keeps 12 "))
      #expect(
        try Mutes(parsing: "L1 close_wait.*").mutes(finding) && Mutes(parsing: "L1 \(program.name)").mutes(finding))
      #expect(try !Mutes(parsing: "L1 close_wait").mutes(finding))
    }
  }
}
