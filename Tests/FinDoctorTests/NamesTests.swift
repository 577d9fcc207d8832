import Glibc
import Peers
import TestTraits
import Testing

@testable import FinDoctor

@Suite("Names are those that the user knows: of Unix sockets and of programs", .onThreads)
struct NamesTests {
  /// A path in a folder for temporary files that no other test uses.
  private static func path(_ name: String) -> String { "/tmp/fin-names-\(getpid())-\(name)" }

  @Test("the path of a listener is printed as it was bound, and finds the listener")
  func unixPath() throws {
    let path = Self.path("socket")
    defer { unsafe unlink(path) }
    let listener = try PlainSocket.listening(onUnix: path)
    var options = Census.Options()
    options.readsAllNamespaces = false
    let census = try Census.take(options)
    let found = census.references(toName: path)
    #expect(found.count == 1 && listener.descriptor >= 0)
    guard case .unix(let place) = found.first else { return }
    #expect(census.name(of: census.unixSockets[place]) == path)
  }

  @Test("the kernel's zero behind a path is no part of it; an abstract name keeps its zeros")
  func zeros() {
    var unix = UnixSockets()
    let names: [([UInt8], String)] = [
      (Array("/run/a\0".utf8), "/run/a"), (Array("\0abc".utf8), "@abc"), (Array("\0a\0\0".utf8), "@a\\x00\\x00"),
      (Array("relative\0".utf8), "relative"), ([0], "@"),
    ]
    for (bytes, _) in names {
      var row = UnixSocket()
      row.name = unsafe unix.append(name: bytes.span.bytes)
      unix.rows.append(row)
    }
    let census = Census(unixSockets: unix.rows, unixNames: unix.names)
    for (row, (_, text)) in zip(unix.rows, names) { #expect(census.name(of: row) == text) }
  }

  @Test(
    "a program that was started through a symbolic link has the name that ps shows, and is found by either",
    .enabled(if: Programs.find("sleep") != nil, "needs sleep"))
  func linkedProgram() throws {
    let path = Self.path("other-name")
    let program = try #require(Programs.find("sleep"))
    let linked = unsafe symlink(program, path)
    try #require(linked == 0)
    defer { unsafe unlink(path) }
    try withChild(path, ["60"]) { child in
      let program = try #require(Program.read(child.number))
      #expect(program.name == String(path.split(separator: "/").last?.prefix(15) ?? ""))
      #expect(program.fileName != program.name && program.executable?.hasSuffix("/" + program.fileName) == true)
    }
  }

  @Test("the kernel's short name is replaced by the file's only where it is its beginning, cut after 15 bytes")
  func shortNames() {
    func name(_ short: String, _ file: String) -> String {
      Program.name(Array(short.utf8)[...], ofFile: Array(file.utf8)[...])
    }
    #expect(name("redis-server", "redis-check-rdb") == "redis-server")
    #expect(name("a-very-long-nam", "a-very-long-name") == "a-very-long-name")
    #expect(name("a-very-long-nam", "another") == "a-very-long-nam")
    #expect(name("python3", "python3.11") == "python3")
    #expect(name("", "nginx") == "nginx")
  }
}
