import FinBase
import TestTraits
import Testing

@testable import FinDoctor

@Suite("Names chosen by other programs are shown without harm", .onThreads)
struct UntrustedTests {
  @Test("control characters, escape sequences, bidirectional overrides and invalid UTF-8 are escaped")
  func visibleText() {
    #expect(visible("nginx: worker") == "nginx: worker" && visible("größe") == "größe")
    #expect(visible("a\u{1B}[31mb\n\t\u{7f}") == "a\\x1b[31mb\\x0a\\x09\\x7f")
    #expect(visible("\u{202E}txt.exe\u{200B}") == "\\xe2\\x80\\xaetxt.exe\\xe2\\x80\\x8b")
    #expect(visible([0xff, 0x41, 0xc3] as [UInt8]) == "\\xffA\\xc3" && visible("a\\b") == "a\\x5cb")
    #expect(visible("abcdef", limit: 3) == "abc...")
  }

  @Test("random bytes never print a character that a terminal acts on")
  func anyBytes() {
    var dice = SeededDice(seed: 7)
    for _ in 0..<2000 {
      let bytes = (0..<40).map { _ in UInt8.random(in: 0...255, using: &dice) }
      #expect(visible(bytes).unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7f && $0 != "\u{202E}" })
    }
  }

  @Test("a process name with parentheses, spaces and line ends does not shift the fields after it")
  func processStatus() {
    var program = Program(pid: 1, name: "x")
    let rest = (0..<40).map { "\($0)" }.joined(separator: " ")
    program.take(stat: Array("7 (a) S 1\n(b)) R \(rest)".utf8))
    #expect(program.parent == 0 && program.age != nil)
    var broken = Program(pid: 1, name: "x")
    broken.take(stat: Array("7 (a".utf8))
    broken.take(stat: Array("7 (a) S".utf8))
    #expect(broken.parent == nil && broken.age == nil)
    // A start that no kernel tells: as one in the future.
    broken.take(stat: Array("7 (a) R \((0..<18).map { "\($0)" }.joined(separator: " ")) \(UInt64.max)".utf8))
    #expect(broken.age == .zero)
  }

  @Test(
    "units and containers are read from the path of a cgroup",
    arguments: [
      ("0::/system.slice/nginx.service\n", "nginx.service", nil),
      (
        "0::/system.slice/docker-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.scope\n",
        "docker-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.scope", "0123456789ab"
      ),
      ("12:cpu:/a\n0::/user.slice/user@0.service/x\n", "user@0.service", nil), ("0::/\n", nil, nil), ("", nil, nil),
    ] as [(String, String?, String?)])
  func cgroups(text: String, unit: String?, container: String?) {
    var program = Program(pid: 1, name: "x")
    program.take(cgroup: Array(text.utf8))
    #expect(program.unit == unit && program.container == container)
  }

  @Test("a deleted executable keeps its name, and the descriptor limit is the soft limit")
  func names() {
    #expect(Array(Program.fileName(Array("/usr/bin/api (deleted)".utf8))) == Array("api".utf8))
    #expect(Array(Program.fileName(Array("api".utf8))) == Array("api".utf8))
    var program = Program(pid: 1, name: "x")
    program.take(
      limits: Array("Limit Soft Hard\nMax open files            1024                 524288      files\n".utf8))
    #expect(program.descriptorLimit == 1024)
    program.take(limits: Array("Max open files  unlimited unlimited files\n".utf8))
    #expect(program.descriptorLimit == nil)
  }

  @Test("counters are found by name in any order; malformed pairs are skipped")
  func counters() {
    var counters = Counters()
    counters.take(
      table: Array("TcpExt: A B\nTcpExt: 1 -2\nOdd: X\nIpExt: C D\nIpExt: 3\nTail: E".utf8))
    counters.take(pairs: Array("sockets: used 5\nTCP: inuse 7 orphan x tw 9 alloc\nnonsense\n".utf8))
    #expect(
      counters.values == [
        "TcpExt.A": 1, "TcpExt.B": -2, "IpExt.C": 3, "sockstat.sockets.used": 5, "sockstat.TCP.inuse": 7,
        "sockstat.TCP.tw": 9,
      ])
    #expect(KernelLimits.ranges(Array("8080,9000-9010,5-4,x,70000\n".utf8)) == [8080...8080, 9000...9010])
  }

  @Test("numbers that overflow or contain other characters are rejected")
  func numbers() {
    #expect(UInt32(decimal: "4294967295".utf8) == .max && UInt32(decimal: "4294967296".utf8) == nil)
    #expect(UInt32(decimal: "".utf8) == nil && UInt32(decimal: "-1".utf8) == nil && UInt32(decimal: "1 ".utf8) == nil)
    #expect(UInt32(hexadecimal: "ffffffff".utf8) == .max && UInt32(hexadecimal: "1ffffffff".utf8) == nil)
  }

  @Test("malformed lines of epoll sets and of system calls are rejected")
  func watchers() {
    func interests(_ text: String, most: Int = .max) -> [Watchers.Interest] {
      var all: [Watchers.Interest] = []
      let isWhole = Watchers.Interest.forEach(in: Array(text.utf8), epoll: 3) {
        guard all.count < most else { return false }
        all.append($0)
        return true
      }
      #expect(isWhole == (all.count < most))
      return all
    }
    func interest(_ line: String) -> Watchers.Interest? { interests(line).first }
    let sound = interest("tfd:       11 events:       19 data:                b  pos:0 ino:1b2d35 sdev:9")
    #expect(sound == Watchers.Interest(epoll: 3, descriptor: 11, events: 0x19, inode: 0x1b2d35))
    #expect(interest("tfd: 11 events: 19") == nil && interest("pos: 0") == nil && interest("") == nil)
    #expect(interest("tfd: 99999999999 events: 19 data: b pos:0 ino:1 sdev:9") == nil)
    #expect(interest("tfd: 1 events: 1g data: b pos:0 ino:1 sdev:9") == nil && interest("tfd: 1 events: 1 ino:") == nil)
    #expect(interest("tfd: 1 events: 1 data: b pos:0 ino:100000000 sdev:9") == nil)
    let three = "pos:\t0\ntfd: 1 events: 2 data: 0 pos:0 ino:a sdev:9\n\ntfd: 3 events: 4 data: 0 pos:0 ino:b\ntfd: 5 "
    #expect(interests(three).map(\.descriptor) == [1, 3] && interests(three).map(\.inode) == [10, 11])
    #expect(interests(three, most: 1).map(\.descriptor) == [1])
    #expect(Watchers.BlockedThread(Array("running".utf8), thread: 1) == nil)
    #expect(Watchers.BlockedThread(Array("-1 0x7ff 0x0".utf8), thread: 1) == nil)
  }
}
