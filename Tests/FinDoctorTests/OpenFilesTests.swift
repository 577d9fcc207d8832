import CFin
import Glibc
import Peers
import TestTraits
import Testing

@testable import FinDoctor

extension Privileges {
  /// Whether this process may load BPF programs, the kernel has BTF, and this is the initial PID namespace. In the PID
  /// namespace of a container the process ids differ from those that the kernel counts.
  static let canLoadPrograms: Bool = {
    // With permission, the kernel rejects an empty program only as too short.
    let isAllowed = unsafe fin_bpf_load([], 0, 0) < 0 && fin_errno() != EPERM && fin_errno() != ENOSYS
    let isTold = unsafe access("/sys/kernel/btf/vmlinux", R_OK) == 0
    let isCountedAlike = (try? Files.link("/proc/self/ns/pid")) == Array("pid:[4026531836]".utf8)
    return isAllowed && isTold && isCountedAlike
  }()
}

@Suite(
  "A BPF iterator over all open files finds the same descriptors as the links in /proc",
  .enabled(
    if: Privileges.canLoadPrograms && Privileges.canMakeNamespaces, "needs the right to load a BPF program"),
  .onThreads, .timeLimit(.minutes(30)))
struct OpenFilesTests {
  private func layout() throws -> BPFOpenFiles.Layout { try #require(BPFOpenFiles.Layout.ofRunningKernel) }

  @Test("sockets, epoll sets, ledgers, namespaces and io_uring rings: the same descriptors, and no others")
  func agreement() throws {
    try Scene.with("open_files") { scene in
      let pid = scene.pid
      let inOnePass = try #require(DescriptorReading.readInOnePass([pid, .max], least: 0))
      let links = DescriptorReading.read([pid, .max], threads: 1)
      func numbers(_ holders: ContiguousArray<Holder>) -> Set<Holder> { Set(holders.filter { $0.pid == pid }) }
      #expect(numbers(inOnePass.sockets) == numbers(links.sockets))
      for kind in [\DescriptorReading.epolls, \.ledgers, \.namespaces, \.rings] {
        let found = inOnePass[keyPath: kind].filter { $0.pid == pid }
        #expect(Set(found) == numbers(links[keyPath: kind]) && Set(found).count == found.count)
      }
      #expect(inOnePass.processes.first { $0.pid == pid } == links.processes.first)
      #expect(inOnePass.ended.contains(.max) && !inOnePass.ended.contains(pid))

      let sockets = inOnePass.sockets.filter { $0.pid == pid }
      // All sockets except the epoll set and the socket of the thread with its own descriptor table.
      #expect(try sockets.count == scene.number(6) - 1 && Set(sockets).count == sockets.count)
      #expect(try sockets.contains(Holder(inode: UInt32(scene.number(0)), pid: pid, descriptor: 900)))
      #expect(try !sockets.contains { try $0.inode == UInt32(scene.number(5)) })
      func only(_ holders: ContiguousArray<Holder>) -> [Int32] { holders.filter { $0.pid == pid }.map(\.descriptor) }
      #expect(try only(inOnePass.epolls) == [Int32(scene.number(1))])
      #expect(try only(inOnePass.ledgers) == [Int32(scene.number(2))])
      #expect(try only(inOnePass.namespaces) == [Int32(scene.number(3))])
      let ring = try Int32(scene.number(4))
      #expect(only(inOnePass.rings) == (ring < 0 ? [] : [ring]))
    }
  }

  @Test("a process that is not in the list of processes is read too")
  func born() throws {
    try Scene.with("open_files") { scene in
      let reading = try #require(DescriptorReading.readInOnePass([getpid()], least: 0))
      #expect(reading.processes.contains { $0.pid == scene.pid && $0.isReadable && ($0.descriptorCount ?? 0) > 10 })
      #expect(reading.sockets.contains { $0.pid == scene.pid && $0.descriptor == 900 })
    }
  }

  @Test("a structure layout of another kernel is rejected, whatever the BPF program then reads")
  func wrongLayout() throws {
    let right = try layout()
    #expect(BPFOpenFiles.forEach(right) { _ in })
    let members: [WritableKeyPath<BPFOpenFiles.Layout, Int>] = [\.tgid, \.inode, \.number, \.fileSystem, \.magic]
    for member in members {
      for step in [-64, -8, 8, 64, 4096] {
        var wrong = right
        wrong[keyPath: member] = max(0, right[keyPath: member] + step)
        guard wrong != right else { continue }
        #expect(!BPFOpenFiles.forEach(wrong) { _ in }, "\(member) \(step)")
        #expect(DescriptorReading.readInOnePass([getpid()], least: 0, wrong) == nil)
      }
    }
    var another = right
    for iterator in [0, 1, right.iterator - 1, Int(Int32.max)] {
      another.iterator = iterator
      #expect(!BPFOpenFiles.forEach(another) { _ in })
    }
  }

  @Test("the BPF program is used by default, but not if few descriptors are open")
  func few() throws {
    var isAsked = false
    func asked() -> BPFOpenFiles.Layout? {
      isAsked = true
      return nil
    }
    #expect(DescriptorReading.readInOnePass([getpid()], asked()) == nil && !isAsked)
    #expect(DescriptorReading.readInOnePass([getpid()], least: 1, asked()) == nil && isAsked)
    #expect(Census.Options().loadsProgram)
  }

  @Test("after a pass no BPF program, link or iterator stays open")
  func nothingLeft() throws {
    for _ in 0..<20 { #expect(try BPFOpenFiles.forEach(layout()) { _ in }) }
    // Other tests hold such descriptors for a moment.
    try eventually(within: .seconds(30), "no descriptor of ours is a program, a link or an iterator") {
      try KernelView.openDescriptors().allSatisfy { !$0.target.hasPrefix("anon_inode:bpf") }
    }
  }
}

@Suite("BTF, the kernel's type information, is parsed within its bounds", .onThreads)
struct KernelTypesTests {
  /// Hand-made BTF of a few types.
  private struct Description {
    var types: [UInt8] = []
    var names: [UInt8] = [0]

    mutating func name(_ text: String) -> UInt32 {
      if text.isEmpty { return 0 }
      defer { names += Array(text.utf8) + [0] }
      return UInt32(names.count)
    }

    /// Adds a type; `more` follows its twelve bytes.
    mutating func add(_ name: String, kind: UInt32, count: UInt32 = 0, flag: UInt32 = 0, _ more: [UInt32] = []) {
      for word in [self.name(name), flag << 31 | kind << 24 | count, 0] + more {
        types += Self.bytes(of: word)
      }
    }

    mutating func structure(
      _ name: String, kind: UInt32 = 4, flag: UInt32 = 0, _ members: [(name: String, type: UInt32, bits: UInt32)]
    ) {
      let words = members.flatMap { [self.name($0.name), $0.type, $0.bits] }
      add(name, kind: kind, count: UInt32(members.count), flag: flag, words)
    }

    private static func bytes(of word: UInt32) -> [UInt8] {
      (0..<4).map { UInt8(truncatingIfNeeded: word.littleEndian >> (8 * $0)) }
    }

    var bytes: [UInt8] {
      var all: [UInt8] = [0x9f, 0xeb, 1, 0]
      for word in [24, 0, UInt32(types.count), UInt32(types.count), UInt32(names.count)] {
        all += Self.bytes(of: UInt32(word))
      }
      return all + types + names
    }

    static var usual: Description {
      var all = Description()
      all.add("int", kind: 1, [32])  // 1
      all.add("", kind: 3, [1, 1, 4])  // 2: an array
      all.add("file", kind: 12)  // 3: a function with the name of a structure
      all.structure("", kind: 5, [("inner", 1, 0), ("bit", 1, 3)])  // 4
      all.structure("file", [("first", 1, 0), ("", 4, 64), ("last", 1, 256)])  // 5
      all.structure("flagged", flag: 1, [("wide", 1, 8 << 24 | 128)])  // 6
      all.structure("circle", [("", 7, 0)])  // 7
      for kind: UInt32 in [2, 7, 8, 9, 10, 11, 16, 18] { all.add("x", kind: kind) }
      for (kind, words) in [(14, 1), (17, 1), (15, 3), (19, 3), (6, 2), (13, 2)] as [(UInt32, Int)] {
        all.add("y", kind: kind, count: 1, [UInt32](repeating: 0, count: words))
      }
      all.add("behind", kind: 12)
      return all
    }
  }

  @Test("member offsets are found, also in unnamed structures; a function and a structure may share a name")
  func members() throws {
    let types = try #require(BTF(Description.usual.bytes))
    #expect(types.offset(of: "first", in: "file") == 0 && types.offset(of: "last", in: "file") == 32)
    #expect(types.offset(of: "inner", in: "file") == 8)
    #expect(types.offset(of: "wide", in: "flagged") == 16)
    #expect(types.number(of: "file", .function) == 3 && types.number(of: "file", .structure) == 5)
    #expect(types.number(of: "behind", .function) == 22)
  }

  @Test("there is no offset for a bit field, a recursive structure, or a name that only shares a prefix")
  func absent() throws {
    let types = try #require(BTF(Description.usual.bytes))
    #expect(types.offset(of: "bit", in: "file") == nil)
    #expect(types.offset(of: "first", in: "circle") == nil)
    #expect(types.offset(of: "firs", in: "file") == nil && types.offset(of: "first_", in: "file") == nil)
    #expect(types.offset(of: "first", in: "fil") == nil && types.number(of: "int", .function) == nil)
    #expect(BPFOpenFiles.Layout(types) == nil)
  }

  @Test("truncated BTF is rejected, and corrupted BTF causes no read out of bounds")
  func hostile() {
    let whole = Description.usual.bytes
    #expect(BTF([]) == nil)
    for end in 0..<whole.count { #expect(BTF(Array(whole[..<end])) == nil) }
    var random = SystemRandomNumberGenerator()
    for _ in 0..<20_000 {
      var bytes = whole
      for _ in 0..<Int.random(in: 1...3, using: &random) {
        bytes[Int.random(in: 4..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
      }
      guard let types = BTF(bytes) else { continue }
      for member in ["first", "inner", "last", "wide"] as [StaticString] {
        for structure in ["file", "flagged", "circle"] as [StaticString] {
          if let offset = types.offset(of: member, in: structure) { #expect(offset >= 0) }
        }
      }
    }
  }
}
